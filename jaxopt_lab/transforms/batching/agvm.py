"""Adaptive gradient variance modulator: one learning rate for each module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import placement, trees
from jaxopt_lab.core.checks import increment, require_real, value_at
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import (
    COUNT,
    COUNT_OR_ZERO,
    DECAY,
    NON_NEGATIVE,
    POSITIVE,
    STATIC,
    check_arguments,
)
from jaxopt_lab.core.typing import Params, Scalar, ScalarOrSchedule, Updates

Modules: TypeAlias = Any | Callable[[Params], Any]


class AGVMState(NamedTuple):
    """State of ``agvm``.

    Attributes:
      count: int32, number of updates so far.
      scales: factor of the learning rate of each module, ``(modules,)``, 1 at first; in
        the order in which the labels occur. Float32, or float64 for such parameters.
      inner_state: state of the inner optimizer.
    """

    count: jax.Array
    scales: jax.Array
    inner_state: Any


class SecondMoment(NamedTuple):
    """The preconditioner that the half gradients are measured under.

    Attributes:
      b2: decay of the inner optimizer's second moment.
      eps: added to its root.
      field: name of the second moment in the inner optimizer's state.
    """

    b2: float = 0.999
    eps: float = 1e-8
    field: str = "nu"


def agvm(
    inner: optax.GradientTransformation,
    modules: Modules | None = None,
    *,
    anchor: str | None = None,
    interval: Annotated[int, COUNT, STATIC] = 5,
    start: Annotated[int, COUNT_OR_ZERO, STATIC] = 0,
    stop: Annotated[int, COUNT_OR_ZERO, STATIC] | None = None,
    momentum: Annotated[ScalarOrSchedule, DECAY] = 0.97,
    lowest: Annotated[Scalar, POSITIVE] = 0.5,
    highest: Annotated[Scalar, POSITIVE] = 10.0,
    eps: Annotated[Scalar, NON_NEGATIVE] = 1e-6,
    second_moment: SecondMoment | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Learning rates that bring the gradient noise of all modules to that of one.

    With the gradients a, b of the two halves of a batch, every ``interval`` steps, for
    each module m and the anchor 0:

    .. math::
        \phi_m = 1 - \cos(a_m, b_m), \qquad
        s_m \leftarrow \mu s_m + (1 - \mu)
            \sqrt{\mathrm{clip}\Bigl(\frac{\phi_0 + \epsilon}{\phi_m + \epsilon},
            0.5, 10\Bigr)}

    and in every step from ``start`` to ``stop`` the update of module m is times
    :math:`s_m`.

    Args:
      inner: the optimizer.
      modules: labels of the modules, a tree of strings like the parameters or a prefix
        of it, or a function of the parameters that gives one. Default: the first
        name in a leaf's path, behind those that all paths begin with.
      anchor: label of the module whose noise the others are brought to; default: the
        first that occurs.
      interval: steps from one measurement to the next; a multiple of it measures.
      start: first step, counted from 0, that measures and scales; in the code 500, or a
        hundred steps after the warm-up.
      stop: last such step; ``None``: no last one.
      momentum: decay of the scales, in [0, 1); a number, a traced scalar or a schedule.
      lowest: least quotient of noises.
      highest: largest one.
      eps: added to both noises.
      second_moment: for Adam, the half gradients are divided by
        :math:`\sqrt{b_2 v + (1 - b_2) a^2} + \epsilon`, v the second moment before the
        step, read from the inner state; ``None``: they are taken as they are.

    Returns:
      The wrapper. Its ``update`` takes ``grad_halves=(a, b)``, or a ``grad_fn`` made by
      ``jaxopt_lab.batch_grad``, of which it asks the halves in the steps that measure:
      those of the first and of the other devices of its axis, as the code, if their
      number is even and the first pass was at these parameters; else those of the
      batch.

    Raises:
      InputError: an argument is out of range, the labels do not cover every parameter,
        there is no such anchor or second moment, parameters are complex, or the half
        gradients are missing.

    Memory: 4 bytes a module. Gradient evaluations: 1 a step, and another one, of both
    halves, in each that measures; none with ``grad_halves``, which accumulation over
    two micro-batches gives for nothing, nor with halves of devices. Of these one is
    averaged over the devices, and the other is what it leaves of the whole.

    Decisions: as the official hook; its form for Adam takes half gradients divided by
    the number of workers beside a second moment of whole ones, here both are whole.

    >>> import jax.numpy as jnp
    >>> tx = agvm(optax.sgd(1.0))
    >>> w = {"body": jnp.ones(2), "head": jnp.ones(2)}
    >>> a = {"body": jnp.array([1.0, 0.0]), "head": jnp.array([1.0, 0.0])}
    >>> b = {"body": jnp.array([0.0, 1.0]), "head": jnp.array([1.0, 0.0])}
    >>> _, state = tx.update(a, tx.init(w), w, grad_halves=(a, b))
    >>> [round(float(s), 3) for s in state.scales]  # the head has no noise
    [1.0, 1.065]

    Reference: Xue, Li, Liu, Zong, Liu, Xu, Zhang and Li, "Large-batch Optimization for
    Dense Visual Predictions", NeurIPS 2022, arXiv:2210.11078; Sense-X/AGVM.
    """
    check_arguments(agvm, locals())
    inner = optax.with_extra_args_support(inner)

    def init(params: Params) -> AGVMState:
        params = trees.arrays(params)
        require_real("agvm", params)
        names, _ = _modules(params, modules, anchor)
        inner_state = inner.init(params)
        if second_moment is not None:
            _field(inner_state, second_moment)
        scales = jnp.ones(len(names), trees.scalar_dtype(params))
        return AGVMState(jnp.zeros((), jnp.int32), scales, inner_state)

    def update(
        updates: Updates,
        state: Any,
        params: Params | None = None,
        *,
        grad_fn: Any = None,
        grad_halves: tuple[Updates, Updates] | None = None,
        **extra: Any,
    ) -> tuple[Updates, AGVMState]:
        extra.pop("fused_apply", None)
        count, old = state.count, state.scales
        names, labels = _modules(updates, modules, anchor)
        first = 0 if anchor is None else names.index(anchor)
        active = count >= start
        if stop is not None:
            active &= count <= stop
        v = None
        if second_moment is not None:
            v = _field(state.inner_state, second_moment)

        def measured(
            params: Params, halves: Any, v: Any, old: jax.Array, own: Any
        ) -> jax.Array:
            if own is not None:
                whole, mine = own
                first_half = grad_fn.first_devices(mine)
                rest = jax.tree.map(lambda g, a: 2 * g - a, whole, first_half)
                halves = (first_half, rest)
            elif halves is None:
                shards = grad_fn.shard(2)
                halves = tuple(grad_fn.mean(shards(params, j)) for j in range(2))
            noise = _noise(halves, v, labels, len(names), second_moment)
            numbers = (eps, lowest, highest, value_at(momentum, count))
            floor, low, high, mu = (jnp.asarray(x, old.dtype) for x in numbers)
            noise = noise.astype(old.dtype)
            clipped = jnp.clip((noise[first] + floor) / (noise + floor), low, high)
            return mu * old + (1 - mu) * jnp.sqrt(clipped)

        asks = hasattr(grad_fn, "shard") and params is not None
        if grad_fn is not None:
            placement.refuse_accumulation("agvm")
        if grad_halves is None and not asks:
            raise InputError(
                "agvm needs the gradients of the two halves of the batch: pass "
                "grad_halves=(a, b), or params and "
                "grad_fn=jaxopt_lab.batch_grad(loss_fn, batch)"
            )
        due = active & (count % interval == 0)
        keep = lambda params, halves, v, old, own: old
        measured = measured if names else keep
        # Operands: a branch cannot close over arrays of a mesh of explicit axes.
        own = None
        if (
            grad_fn is not None
            and grad_halves is None
            and hasattr(grad_fn, "on_device")
        ):
            mine = grad_fn.on_device(params)
            own = None if mine is None else (grad_fn(params), mine)
        scales = jax.lax.cond(due, measured, keep, params, grad_halves, v, old, own)
        given = {} if grad_fn is None else {"grad_fn": grad_fn}
        moved, inner_state = inner.update(
            updates, state.inner_state, params, **given, **extra
        )
        factors = jnp.where(active, scales, jnp.ones_like(scales))
        leaves, structure = jax.tree.flatten(moved)
        leaves = [
            factors[label].astype(u.dtype) * u
            for u, label in zip(leaves, labels, strict=True)
        ]
        new = AGVMState(increment(count), scales, inner_state)
        return jax.tree.unflatten(structure, leaves), new

    return optax.GradientTransformationExtraArgs(init, update)


def _noise(
    halves: tuple[Updates, Updates],
    v: Any,
    labels: Sequence[int],
    modules: int,
    second_moment: SecondMoment | None,
) -> jax.Array:
    """1 - cos of the two half gradients, for each module."""
    a, b = (jax.tree.leaves(half) for half in halves)
    if second_moment is not None:
        squares = jax.tree.leaves(v)
        a, b = (
            [
                _preconditioned(*x, second_moment)
                for x in zip(half, squares, strict=True)
            ]
            for half in (a, b)
        )
    found = []
    for module in range(modules):
        mine = [i for i, label in enumerate(labels) if label == module]
        x, y = [a[i] for i in mine], [b[i] for i in mine]
        # As half the squared distance of the directions: 1 - cos of nearly equal ones
        # would have the rounding errors of 1.
        (u, no_u), (v, no_v) = _direction(x), _direction(y)
        apart = jax.tree.map(jnp.subtract, u, v)
        found.append((trees.dot(apart, apart) + no_u + no_v) / 2)
    return jnp.stack(found)


def _direction(x: list[jax.Array]) -> tuple[list[jax.Array], jax.Array]:
    """The unit vector, and 1 where there is none, for the cosine to be 0."""
    norm = trees.global_norm(x)
    unit = [trees.safe_divide(g.astype(norm.dtype), norm) for g in x]
    return unit, (norm == 0).astype(norm.dtype)


def _preconditioned(g: jax.Array, v: jax.Array, moment: SecondMoment) -> jax.Array:
    g = g.astype(v.dtype)
    root = trees.safe_sqrt(moment.b2 * v + (1 - moment.b2) * g * g)
    return trees.safe_divide(g, root + moment.eps)


def _field(inner_state: Any, moment: SecondMoment) -> Any:
    found = optax.tree_utils.tree_get(inner_state, moment.field)
    if found is None:
        raise InputError(
            f"second_moment: the inner optimizer's state has no field {moment.field!r}"
        )
    return found


def _labels(given: Any) -> list[Any]:
    return trees.leaves_with_path(given)


def _top_level(paths: list[str]) -> list[str]:
    """First name of each path behind the names that all of them begin with."""
    parts = [path.split("/") for path in paths]
    while len(parts) > 1 and all(len(p) > 1 and p[0] == parts[0][0] for p in parts):
        parts = [p[1:] for p in parts]
    return [p[0] for p in parts]


def _modules(
    tree: Params, modules: Modules | None, anchor: str | None
) -> tuple[list[str], list[int]]:
    """The labels in their order, and the number of each leaf's label."""
    paths = [trees.path_name(path) for path, _ in trees.leaves_with_path(tree)]
    if modules is None:
        labels: list[Any] = _top_level(paths)
    else:
        given = modules(tree) if callable(modules) else modules
        try:
            spread = jax.tree.map(
                lambda label, part: [label] * len(jax.tree.leaves(part)), given, tree
            )
        except ValueError:
            # Not jax's own message: it has many lines.
            labelled = ", ".join(trees.path_name(p) for p, _ in _labels(given))
            raise InputError(
                f"modules must label every parameter, {', '.join(paths)}; got labels "
                f"of {labelled or 'nothing'}"
            ) from None
        labels = jax.tree.leaves(spread)
    names = list(dict.fromkeys(labels))
    if anchor is not None and anchor not in names:
        raise InputError(f"anchor={anchor!r} is no module; they are {', '.join(names)}")
    return names, [names.index(label) for label in labels]
