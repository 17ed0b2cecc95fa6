"""Plan of an unroll: predicted bytes, and the fewest levels that fit a budget."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.bilevel import carry_tools
from jaxopt_lab.bilevel.checkpoint_schedule import checkpoint_schedule
from jaxopt_lab.bilevel.checkpointed_scan import Remat, checkpointed_scan, levels_of
from jaxopt_lab.core import errors, jaxprs, trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import PyTree

# Default budget: 1 GiB, a quarter of a small device.
BUDGET = 2**30
_INDEX = 4


class UnrollPlan(NamedTuple):
    """Nesting of an unroll and memory of its reverse pass.

    Attributes:
      remat: argument of ``checkpointed_scan``: ``"none"`` or the number of levels.
      lengths: those of the nested loops, outermost first; empty for ``"none"``.
      rest: steps that come before them.
      carries: carries stored at once, those between windows included.
      carry_bytes: S, bytes of the state and the index of the step.
      workspace_bytes: W, bytes that the reverse pass of one step takes; ``None`` where
        it was not measured.
      predicted_bytes: ``S carries + W``; ``None`` where W is, and for ``"none"``.
    """

    remat: Literal["none"] | int
    lengths: tuple[int, ...]
    rest: int
    carries: int
    carry_bytes: int
    workspace_bytes: int | None
    predicted_bytes: int | None


class Program(NamedTuple):
    """A step to plan.

    Attributes:
      step: ``step(batches, state, t) -> state``.
      batches: stacked arrays, or shapes of them.
      state: the state, or shapes of it.
      n: steps that are nested: those of a window, where there are windows.
      borders: carries stored in addition, between earlier windows.
    """

    step: Callable[[PyTree, PyTree, jax.Array], PyTree]
    batches: PyTree
    state: PyTree
    n: int
    borders: int


def settled(
    program: Program,
    remat: Remat | Literal["auto"],
    budget: int | None,
    *,
    measure: bool,
) -> UnrollPlan:
    """The plan for a setting.

    Args:
      program: the step and how often it runs.
      remat: as in ``unroll``.
      budget: as in ``unroll``.
      measure: compile one step to learn W; otherwise only where the budget falls
        between what is certainly too little and what is certainly enough.

    Returns:
      The plan.

    Raises:
      InputError: ``remat`` is unknown, ``budget`` is no positive number or goes with a
        fixed ``remat``, or no number of levels fits it.
    """
    size = trees.nbytes(program.state) + _INDEX
    if remat != "auto":
        if isinstance(remat, str) and remat not in ("none", "step", "sqrt"):
            raise errors.unknown("remat", remat, ("auto", "none", "step", "sqrt"))
        if budget is not None:
            raise InputError(f"budget goes with remat='auto'; got remat={remat!r}")
        work = workspace_bytes(program) if measure and remat != "none" else None
        return _plan(program, levels_of(remat), size, work)
    budget = BUDGET if budget is None else budget
    if not budget > 0:
        raise InputError(f"budget must be a positive number of bytes; got {budget}")
    if not measure:
        hopeful = _fewest(program, size, 0, budget)
        if hopeful is None:
            raise _too_small(program, size, budget, None)
        if hopeful == _fewest(program, size, _all_intermediates(program), budget):
            return _plan(program, hopeful, size, None)
    work = workspace_bytes(program)
    levels = _fewest(program, size, work, budget)
    if levels is None:
        raise _too_small(program, size, budget, work)
    return _plan(program, levels, size, work)


def _most_levels(program: Program) -> int:
    return max(1, program.n.bit_length() - 1)


def _carries(program: Program, levels: int) -> int:
    return checkpoint_schedule(program.n, levels).carries + program.borders


def _fewest(program: Program, size: int, work: int, budget: int) -> int | None:
    for levels in range(1, _most_levels(program) + 1):
        if size * _carries(program, levels) + work <= budget:
            return levels
    return None


def _too_small(
    program: Program, size: int, budget: int, work: int | None
) -> InputError:
    least = size * _carries(program, _most_levels(program)) + (work or 0)
    more = "more than " if work is None else ""
    return InputError(
        f"budget of {budget} bytes is too small: {program.n} steps of a state of "
        f"{size} bytes need {more}{least}, with {_most_levels(program)} levels"
    )


def _plan(program: Program, levels: int, size: int, work: int | None) -> UnrollPlan:
    if levels == 0:
        return UnrollPlan("none", (), 0, program.n, size, work, None)
    found = checkpoint_schedule(program.n, levels)
    stored = _carries(program, levels)
    predicted = None if work is None else size * stored + work
    return UnrollPlan(levels, found.lengths, found.rest, stored, size, work, predicted)


def _gradient(program: Program, n: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The reverse pass of ``n`` steps and the shapes of its arguments."""
    state, batches = carry_tools.shapes((program.state, program.batches))
    index = jax.ShapeDtypeStruct((), jnp.int32)
    step, held = jax.closure_convert(program.step, batches, state, index)

    # Differentiate by one factor of the whole state: the adjoint of the state is then a
    # temporary, as in the larger of the two uses (a caller may return it instead).
    def length(factor: Any, held: list[Any], whole: PyTree, batches: PyTree) -> Any:
        floating, join = carry_tools.split(whole)
        scaled = join([x * factor.astype(x.dtype) for x in floating])
        one = lambda c, t: step(batches, c, t, *held)
        last = checkpointed_scan(one, scaled, n, remat="step")
        squares = [jnp.real(jnp.vdot(x, x)) for x in carry_tools.split(last)[0]]
        return sum((s.astype(jnp.float32) for s in squares), jnp.zeros((), jnp.float32))

    factor = jax.ShapeDtypeStruct((), jnp.float32)
    gradient = jax.value_and_grad(length, (0, 1))
    return gradient, (factor, carry_tools.shapes(held), state, batches)


def _all_intermediates(program: Program) -> int:
    """Bytes of everything that the reverse pass of one step computes."""
    gradient, shapes = _gradient(program, 1)
    equations = jaxprs.equations(jax.make_jaxpr(gradient)(*shapes).jaxpr)
    return sum(trees.nbytes([v.aval for v in eqn.outvars]) for eqn in equations)


class _Lowered:
    """A lowered program, equal to another one of the same text."""

    def __init__(self, lowered: Any) -> None:
        self.lowered, self.text = lowered, lowered.as_text()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Lowered) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)


@functools.lru_cache(maxsize=64)
def _temporary_bytes(program: _Lowered) -> int:
    # Optimization level 0 allocates the same buffers and compiles faster.
    quick = {"xla_backend_optimization_level": 0}
    options = quick if jax.default_backend() == "cpu" else None
    return program.lowered.compile(options).memory_analysis().temp_size_in_bytes


def workspace_bytes(program: Program) -> int:
    """W, memory of the reverse pass of one step without the stored carries.

    Args:
      program: the step.

    Returns:
      Bytes, by compiling the reverse pass of two steps with respect to the floating
      leaves of the state and whatever traced floating values the step closes over.
      (Of one step XLA removes the loop.) Programs of the same text compile once.
    """
    gradient, shapes = _gradient(program, 2)
    bytes_ = _temporary_bytes(_Lowered(jax.jit(gradient).lower(*shapes)))
    return max(0, bytes_ - 2 * (trees.nbytes(program.state) + _INDEX))
