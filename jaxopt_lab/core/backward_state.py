"""State of a model that is made in the backward pass.

Some layers keep statistics of the gradients that reach them (PowerNorm, unified
normalization). Such a state is an input of the loss whose *cotangent* is no derivative
but the new state; a gradient function that is handed the model state takes it from
there (``BatchGrad``), in its first pass alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from jaxopt_lab.core import jaxprs
from jaxopt_lab.core.devices import varying_as
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.jaxprs import scan_counts
from jaxopt_lab.core.typing import PyTree

Number = float | None


class BackwardState(NamedTuple):
    """A leaf of a model state whose new value is its cotangent.

    Attributes:
      value: tree of floating arrays; counts among them are floating, too, for an
        integer has no cotangent.
      uses: scalar, 0; in the cotangent the number of calls that have made a new value.
    """

    value: PyTree
    uses: jax.Array


def first_state(value: PyTree) -> BackwardState:
    """A state before the first call.

    Args:
      value: tree of floating arrays.

    Returns:
      The state.
    """
    return BackwardState(value, jnp.zeros((), jnp.float32))


class Rule(Protocol):
    """A function with a gradient rule of its own that makes a state.

    It is compared and hashed by value, as the caches of jax need it: a frozen dataclass
    of options.
    """

    def forward(self, args: PyTree, state: PyTree) -> tuple[Any, PyTree]:
        """``(output, what the backward pass needs)``."""
        ...

    def backward(self, kept: PyTree, slope: Any) -> tuple[PyTree, PyTree]:
        """``(cotangents of the arguments, new state)``, given that of the output."""
        ...


def with_backward_state(rule: Rule, args: PyTree, state: BackwardState) -> Any:
    """The output of a rule; the cotangent of ``state`` is the new state.

    Args:
      rule: the function and its gradient.
      args: tree of arrays.
      state: the state; it stays as it is where the output is not differentiated.

    Returns:
      The output. Reverse mode alone.
    """
    return _run(rule, args, state)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _run(rule: Rule, args: PyTree, state: BackwardState) -> Any:
    return rule.forward(args, state.value)[0]


def _forward(rule: Rule, args: PyTree, state: BackwardState) -> Any:
    output, kept = rule.forward(args, state.value)
    return output, (kept, state.uses)


def _backward(rule: Rule, saved: Any, slope: Any) -> Any:
    kept, uses = saved
    to_args, new = rule.backward(kept, slope)
    made = BackwardState(new, jnp.ones_like(uses))
    # Sums over the devices are the same on all of them; the state may be marked.
    return to_args, varying_as(made, uses)


_run.defvjp(_forward, _backward)


def is_one(x: Any) -> bool:
    """Whether a node of a tree is a backward state, as ``is_leaf`` of jax's."""
    return isinstance(x, BackwardState)


def found(tree: PyTree) -> list[BackwardState]:
    """The backward states of a tree, in order.

    Args:
      tree: a model state, or a tree that holds one.

    Returns:
      The states; none for most models.

    >>> found({"mean": jnp.ones(2)})
    []
    """
    return [x for x in jax.tree.leaves(tree, is_leaf=is_one) if is_one(x)]


def replaced(tree: PyTree, states: list[BackwardState]) -> PyTree:
    """The tree with other backward states.

    Args:
      tree: as of ``found``.
      states: as many as it has, in order.

    Returns:
      The tree.
    """
    if not states:
        return tree
    leaves, structure = jax.tree.flatten(tree, is_leaf=is_one)
    new = iter(states)
    return structure.unflatten([next(new) if is_one(x) else x for x in leaves])


def taken(
    states: list[BackwardState], made: list[BackwardState]
) -> list[BackwardState]:
    """The new states from the cotangents of the old ones.

    Args:
      states: the old ones.
      made: their cotangents.

    Returns:
      The new ones; the old one where no call made another. NaN where two calls made
      one each, for they were added: ``check_uses`` says so when the loss is traced.

    >>> old, made = first_state(jnp.ones(2)), BackwardState(jnp.zeros(2), jnp.ones(()))
    >>> taken([old], [made])[0].value.tolist()
    [0.0, 0.0]
    """

    def one(old: BackwardState, new: BackwardState) -> BackwardState:
        once, never = new.uses == 1, new.uses == 0

        def chosen(x: jax.Array, y: jax.Array) -> jax.Array:
            nothing = jnp.full_like(y, jnp.nan)
            return jnp.where(once, y, jnp.where(never, x, nothing)).astype(x.dtype)

        return BackwardState(jax.tree.map(chosen, old.value, new.value), old.uses)

    return [one(old, new) for old, new in zip(states, made, strict=True)]


def check_uses(
    cotangents: Callable[[list[BackwardState]], list[BackwardState]],
    states: list[BackwardState],
) -> None:
    """Refuse a loss that uses one backward state twice.

    The number of uses depends on no data: it is a constant of the program, also where
    a layer is called in a loop. Costs one more trace of the loss and its gradient, and
    nothing when it runs.

    Args:
      cotangents: the cotangents of the states.
      states: the states.

    Raises:
      InputError: one is used more than once.
    """
    counts = jax.make_jaxpr(lambda s: [made.uses for made in cotangents(s)])(states)
    for number, state in zip(_known(counts.jaxpr, []), states, strict=True):
        if number is not None and number > 1:
            sizes = [jnp.shape(x) for x in jax.tree.leaves(state.value)]
            raise InputError(
                f"a state made in the backward pass, of shapes {sizes}, is used "
                f"by {number:g} calls of one pass, and their new values would be "
                "added: give each call a layer of its own"
            )


_SUMS = ("add_any", "add")
_SAME = ("pcast", "pvary", "copy", "convert_element_type", "broadcast_in_dim")


def _known(jaxpr: Any, given: Sequence[Number]) -> list[Number]:
    """Outputs of a program that are sums of constants; None for all others."""
    # Here: jax.extend loads Pallas, which takes as long as all of a method's modules.
    from jax.extend.core import Literal

    known: dict[Any, Number] = dict(zip(jaxpr.invars, given, strict=False))

    def read(v: Any) -> Number:
        if not isinstance(v, Literal):
            return known.get(v)
        return float(v.val) if jnp.ndim(v.val) == 0 else None

    for eqn in jaxpr.eqns:
        name, inputs = eqn.primitive.name, [read(v) for v in eqn.invars]
        inner = next(jaxprs.subprograms(eqn), None)
        found: list[Number] = []
        if name in _SUMS:
            found = [None if None in inputs else sum(inputs)]  # type: ignore[arg-type]
        elif name in _SAME:
            found = inputs[:1]
        elif name == "scan":
            found = _after_turns(eqn.params, inner, inputs)
        elif inner is not None and len(inner.invars) == len(inputs):
            found = _known(inner, inputs)
        known.update(zip(eqn.outvars, found, strict=False))
    return [read(v) for v in jaxpr.outvars]


def _after_turns(params: Any, body: Any, inputs: list[Number]) -> list[Number]:
    """The carries of a loop that grow by a constant in each turn."""
    consts, carries = scan_counts(params)
    rest: list[Number] = [None] * (len(inputs) - consts - carries)
    seen = [inputs[consts : consts + carries]]
    for _ in range(2):
        turn = _known(body, [*inputs[:consts], *seen[-1], *rest])
        seen.append(turn[:carries])
    turns = params["length"]
    return [
        None if b is None or c is None else b + (turns - 1) * (c - b)
        for _, b, c in zip(*seen, strict=True)
    ]
