"""Methods written for one leaf, lifted to trees of parameters.

A method says what it keeps of one leaf and how it updates it. The loop over the tree,
the count, the columns of the state, the fused apply, the mask of the weight decay and
meshes of explicit axes are the same for all of them, and are here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import optax
from jax.core import Tracer

from jaxopt_lab.core import trees
from jaxopt_lab.core.checks import increment, require_real
from jaxopt_lab.core.computed_once import computed_once
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.explicit_axes import with_auto_axes
from jaxopt_lab.core.joined_leaves import apart, end_to_end, groups
from jaxopt_lab.core.platforms import traced_for
from jaxopt_lab.core.typing import FusedApply, MaskOrFn, Params, PyTree, Updates


class LeafMethod(Protocol):
    """One leaf's part of a method; everything about it that is known at trace time."""

    def init(self, leaf: jax.Array, /) -> tuple[Any, ...]:
        """The state of the leaf before the first step, a ``NamedTuple``."""
        ...

    @property
    def update(self) -> Callable[..., tuple[Any, ...]]:
        """``update(g, state, p, scalars)`` gives ``(update, new state)``.

        One lifted with ``optimizer=`` takes two options more: ``decays``, a boolean
        scalar, and ``writes``, whether the new parameter is wanted as a third result.
        Every other one gets ``p=None``. A method may have ``joined``, see
        ``joined_leaves.groups``.
        """
        ...


# methods(params) -> one for each leaf; of the gradients where there are no parameters
Methods = Callable[[Params], Sequence[LeafMethod]]


def per_leaf(
    state_type: Callable[..., Any],
    leaf_state: Any,
    scalars: Callable[[Any], Any],
    *,
    constants: Callable[[], Mapping[str, Any]] | None = None,
    optimizer: str | None = None,
    mask: MaskOrFn | None = None,
    real: str | None = None,
) -> Callable[[Methods], optax.GradientTransformationExtraArgs]:
    """Decorator that makes a transformation of the methods of the leaves.

    Args:
      state_type: the state, a ``NamedTuple`` with a ``count`` and one tree like the
        parameters for each field of ``leaf_state``.
      leaf_state: type of the state of one leaf, a ``NamedTuple``.
      scalars: ``scalars(state)``, the numbers of the step that all leaves share; they
        reach a leaf as arguments, not as a closure, for meshes of explicit axes.
      constants: further attributes of the state, which no step changes.
      optimizer: name of a method that moves the parameters itself; its ``update``
        requires them and takes part in the fused apply. ``None``: a direction.
      mask: which leaves decay, for an optimizer.
      real: name of a method that takes real parameters only; complex ones are refused
        at ``init``. ``None``: it takes both.

    In a program for a CPU a kernel of equal methods and shapes is traced once.

    Returns:
      The decorator of a function ``methods(params)``.

    >>> from typing import NamedTuple
    >>> class State(NamedTuple):
    ...     count: jax.Array
    ...     trace: PyTree
    >>> class Leaf(NamedTuple):
    ...     trace: jax.Array
    >>> class Momentum:
    ...     def init(self, leaf):
    ...         return Leaf(jnp.zeros_like(leaf))
    ...     def update(self, g, state, p, decay):
    ...         trace = g + decay * state.trace
    ...         return trace, Leaf(trace)
    >>> @per_leaf(State, Leaf, lambda state: jnp.asarray(0.5))
    ... def momentum(params):
    ...     return [Momentum() for _ in jax.tree.leaves(params)]
    >>> g = {"w": jnp.array(2.0)}
    >>> _, state = momentum.update(g, momentum.init(g))
    >>> float(momentum.update(g, state)[0]["w"])
    3.0
    """

    def lift(methods: Methods) -> optax.GradientTransformationExtraArgs:
        def init(params: Params) -> Any:
            params = trees.arrays(params)
            if real is not None:
                require_real(real, params)
            leaves, structure = jax.tree.flatten(params)
            rows = [
                method.init(leaf)
                for method, leaf in zip(methods(params), leaves, strict=True)
            ]
            kept = columns(structure, rows, len(leaf_state._fields))
            return state_type(
                count=jnp.zeros((), jnp.int32),
                **(constants() if constants is not None else {}),
                **dict(zip(leaf_state._fields, kept, strict=True)),
            )

        def update(
            updates: Updates,
            state: Any,
            params: Params | None = None,
            *,
            fused_apply: FusedApply | None = None,
            **extra: Any,
        ) -> tuple[Updates, Any]:
            del extra
            updates, params = trees.arrays((updates, params))
            if optimizer is not None and params is None:
                raise InputError(
                    f"{optimizer} needs params: the weight decay acts on them"
                )
            made = methods(updates if params is None else params)
            if optimizer is None:
                params = None
            writes = fused_apply is not None and params is not None
            grads, structure = jax.tree.flatten(updates)
            weights = [None] * len(grads)
            decays: list[Any] = weights
            if params is not None:
                weights = jax.tree.leaves(params)
                decays = jax.tree.leaves(trees.resolve_mask(mask, params))
            kept = [jax.tree.leaves(getattr(state, f)) for f in leaf_state._fields]
            shared = scalars(state)
            rows: list[Any] = [None] * len(grads)

            def leaf(i: int) -> tuple[Any, Any, Any]:
                return grads[i], leaf_state(*(x[i] for x in kept)), weights[i]

            for group in groups(made, grads, weights, decays):
                first, number = group[0], len(group)
                options = () if params is None else (jnp.asarray(decays[first]),)
                if number == 1:
                    run = _runner(made[first], writes, leaf(first))
                    rows[first] = run(*leaf(first), shared, *options)
                    continue
                together = end_to_end([leaf(i) for i in group])
                method: Any = made[first]
                run = _runner(method.joined(number), writes, together)
                result = computed_once(run, *together, shared, *options)
                for i, row in zip(group, apart(result, number), strict=True):
                    rows[i] = row
            rows = [(u, written, *new) for u, new, written in rows]
            moved, written, *kept = columns(structure, rows, 2 + len(kept))
            if fused_apply is not None and params is not None:
                fused_apply.record(moved, params, written)
            after = dict(zip(leaf_state._fields, kept, strict=True))
            return moved, state._replace(count=increment(state.count), **after)

        return optax.GradientTransformationExtraArgs(init, update)

    return lift


def _runner(method: Any, writes: bool, arrays: tuple[Any, Any, Any]) -> Any:
    """``_run`` of a method, for arrays like these."""
    g, old, p = arrays
    # Not for a TPU, whose program of LDAdam had 4.2 bytes of temporaries a parameter
    # that way instead of 1.5.
    once = isinstance(g, Tracer) and traced_for(g, old) == "cpu"
    one: Any = _run_once if once and _hashable(method) else _run
    run = functools.partial(one, type(method), method, writes)
    return with_auto_axes(run, (g, old, p if writes else None))


def _hashable(method: Any) -> bool:
    try:
        hash(method)
    except TypeError:
        return False
    return True


def _run(
    kind: type,
    method: LeafMethod,
    writes: bool,
    g: Any,
    old: Any,
    p: Any,
    scalars: Any,
    *more: Any,
) -> tuple[Any, Any, Any]:
    # Tuples of two classes may be equal: the class tells methods apart.
    assert type(method) is kind
    options = (*more, writes) if more else ()
    u, new, *written = method.update(g, old, p, scalars, *options)
    return u, new, written[0] if writes else None


_run_once = jax.jit(_run, static_argnums=(0, 1, 2), inline=True)


def columns(structure: Any, rows: Sequence[Sequence[Any]], width: int) -> list[PyTree]:
    """One tree for each column of what there is for the leaves.

    Args:
      structure: structure of the parameters.
      rows: for each leaf, ``width`` arrays.
      width: number of columns, for trees without leaves.

    Returns:
      The trees.

    >>> columns(jax.tree.structure({"a": 0, "b": 0}), [(1, 2), (3, 4)], 2)
    [{'a': 1, 'b': 3}, {'a': 2, 'b': 4}]
    """
    found = zip(*rows, strict=True) if rows else [()] * width
    return [jax.tree.unflatten(structure, column) for column in found]
