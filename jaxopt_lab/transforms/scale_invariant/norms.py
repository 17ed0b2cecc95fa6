"""Normalize-and-Project: weights that keep the norms that they begin with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import trees
from jaxopt_lab.core.checks import increment, require_real
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.explicit_axes import with_auto_axes
from jaxopt_lab.core.options import COUNT, STATIC, check_arguments
from jaxopt_lab.core.typing import MaskOrFn, Params, Updates


class NormalizeAndProjectState(NamedTuple):
    """State of ``normalize_and_project``.

    Attributes:
      count: int32, number of updates so far.
      norms: tree like the parameters; of a projected tensor its norm at the start, a
        scalar or, per channel, shaped (1, ..., C); of the first of a joint pair that of
        both; an empty array elsewhere. Float32, or float64 for such parameters.
    """

    count: jax.Array
    norms: Any


def normalize_and_project(
    mask: MaskOrFn | None = None,
    *,
    every: Annotated[int, COUNT, STATIC] = 1,
    per: Literal["tensor", "channel"] = "tensor",
    joint: Sequence[tuple[str, str]] = (),
) -> optax.GradientTransformationExtraArgs:
    r"""Rescaling of the new weights to their initial norms; the last link of a chain.

    In every ``every``-th step, with :math:`\rho` the norm at ``init``:

    .. math::
        u_t \leftarrow \rho \, \frac{p + u_t}{\|p + u_t\|} - p

    In a network with a normalization before each nonlinearity the length of a weight
    acts on nothing but its effective step size, which shrinks as the weight grows. With
    the norms held, the schedule of the learning rate is that of the effective one: a
    decay that growth gave for free has to be given by the schedule.

    Args:
      mask: which tensors to project: a tree of booleans or a function of the parameters
        that gives one. Default: those of two axes and more. A last layer that no
        normalization follows may be left free.
      every: number of steps from one projection to the next.
      per: one norm for a tensor, or one for each entry of its last axis, the output
        channels of a Flax kernel.
      joint: pairs of names ``(scale, offset)``: wherever a dict of the parameters has
        both, the two are rescaled together to their initial norm (of a scale of ones
        and an offset of zeros, the root of their size).

    Returns:
      The link. Its ``update`` needs ``params``; what follows in the chain moves the
      weights off their norms.

    Raises:
      InputError: ``every`` is less than 1, the mask holds a scalar or a vector (their
        norms are for ``joint``), no parameters have the names of a pair, or parameters
        are complex.

    Memory: 4 bytes for each norm. The state of the optimizer before it stays as it is.
    A tensor that starts at zero stays there. Differentiable, zeros included.

    Decisions: there is no public code; the published text could not be opened, so that
    the points left open are ours: the projection follows the update and its decay, the
    first one comes after ``every`` steps.

    >>> import jax.numpy as jnp
    >>> w = jnp.array([[3.0], [4.0]])
    >>> tx = optax.chain(optax.sgd(1.0), normalize_and_project())
    >>> u, _ = tx.update(jnp.array([[0.0], [4.0]]), tx.init(w), w)
    >>> [round(float(x), 6) for x in (w + u)[:, 0]]
    [5.0, 0.0]

    Reference: Lyle, Zheng, Khetarpal, Martens, van Hasselt, Pascanu and Dabney,
    "Normalization and effective learning rates in reinforcement learning", NeurIPS
    2024, arXiv:2407.01800.
    """
    check_arguments(normalize_and_project, locals())

    def init(params: Params) -> NormalizeAndProjectState:
        params = trees.arrays(params)
        require_real("normalize_and_project", params)
        groups = _groups(params, mask, joint)
        leaves, structure = jax.tree.flatten(params)
        norms = [jnp.zeros((0,), trees.accumulation_dtype(p.dtype)) for p in leaves]
        for group in groups:
            norms[group[0]] = _norm([leaves[i] for i in group], per)
        count = jnp.zeros((), jnp.int32)
        return NormalizeAndProjectState(count, jax.tree.unflatten(structure, norms))

    def update(
        updates: Updates,
        state: Any,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, NormalizeAndProjectState]:
        del extra
        if params is None:
            raise InputError(
                "normalize_and_project needs params: call update(u, state, params)"
            )
        updates, params = trees.arrays((updates, params))
        count = increment(state.count)
        due = count % every == 0
        leaves, structure = jax.tree.flatten(params)
        moved, norms = jax.tree.leaves(updates), jax.tree.leaves(state.norms)
        for group in _groups(params, mask, joint):
            us, ps = [moved[i] for i in group], [leaves[i] for i in group]
            run = with_auto_axes(lambda *x: _rescaled(*x, per=per), us)
            for i, u in zip(group, run(us, ps, norms[group[0]], due), strict=True):
                moved[i] = u
        new = state._replace(count=count)
        return jax.tree.unflatten(structure, moved), new

    return optax.GradientTransformationExtraArgs(init, update)


def _norm(leaves: Sequence[jax.Array], per: str) -> jax.Array:
    """The norm of some tensors together, or of each channel of one."""
    if len(leaves) == 1 and per == "channel":
        p = leaves[0].astype(trees.accumulation_dtype(leaves[0].dtype))
        inside = tuple(range(p.ndim - 1))
        return trees.safe_sqrt(jnp.sum(p * p, inside, keepdims=True))
    return trees.global_norm(list(leaves))


def _rescaled(
    us: list[jax.Array],
    ps: list[jax.Array],
    norm: jax.Array,
    due: jax.Array,
    *,
    per: str,
) -> list[jax.Array]:
    """The updates that lead to the norm, if it is time."""
    new = [
        p.astype(norm.dtype) + u.astype(norm.dtype) for p, u in zip(ps, us, strict=True)
    ]
    factor = trees.safe_divide(norm, _norm(new, per))
    return [
        jnp.where(due, (factor * x - p.astype(norm.dtype)).astype(u.dtype), u)
        for x, p, u in zip(new, ps, us, strict=True)
    ]


def _groups(
    params: Params, mask: MaskOrFn | None, joint: Sequence[tuple[str, str]]
) -> list[tuple[int, ...]]:
    """Numbers of the leaves that are rescaled together."""
    names = [trees.path_name(path) for path, _ in trees.leaves_with_path(params)]
    leaves = jax.tree.leaves(params)
    if mask is None:
        chosen = [leaf.ndim >= 2 for leaf in leaves]
    else:
        chosen = [bool(x) for x in jax.tree.leaves(trees.resolve_mask(mask, params))]
    for name, leaf, yes in zip(names, leaves, chosen, strict=True):
        if yes and leaf.ndim < 2:
            raise InputError(
                f"mask: {name} of shape {leaf.shape} has no norm of its own to keep; "
                "leave it out, or name it in joint=((scale, offset),)"
            )
    groups = [(i,) for i, yes in enumerate(chosen) if yes and leaves[i].size]
    return groups + [pair for names_ in joint for pair in _pairs(names, names_)]


def _pairs(names: list[str], pair: tuple[str, str]) -> list[tuple[int, int]]:
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise InputError(f"joint must hold pairs of names; got {pair!r}")
    first, second = pair
    number = {name: i for i, name in enumerate(names)}
    found = []
    for name, i in number.items():
        prefix, slash, last = name.rpartition("/")
        if last == first and (other := f"{prefix}{slash}{second}") in number:
            found.append((i, number[other]))
    if names and not found:
        raise InputError(
            f"joint: nowhere do the parameters have both {first!r} and {second!r}"
        )
    return found
