"""Training runs as differentiable functions."""
# Its examples wait for pytest --full.

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.bilevel import batches, carry_tools
from jaxopt_lab.bilevel.checkpointed_scan import (
    Remat,
    checkpointed_scan,
    stacking_scan,
)
from jaxopt_lab.bilevel.plan import Program, UnrollPlan, settled
from jaxopt_lab.core import checks as arguments
from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.typing import Batch, PyTree, Scalar

Step = Callable[..., Any]


class _Run(NamedTuple):
    """A prepared step: ``step(batches, state, t) -> (state, outputs)``."""

    step: Callable[[PyTree, PyTree, jax.Array], tuple[PyTree, PyTree]]
    batches: PyTree
    state: PyTree
    n: int
    window: int
    outputs: bool

    def program(self) -> Program:
        borders = -(-self.n // self.window) - 1 if self.outputs else 0
        return Program(
            lambda *args: self.step(*args)[0],
            self.batches,
            self.state,
            self.window,
            borders,
        )

    def at(self, state: PyTree, t: jax.Array) -> tuple[PyTree, PyTree]:
        return self.step(self.batches, state, t)


def unroll(
    step: Step,
    state: PyTree,
    batches_or_n: Batch | int,
    *,
    batch_at: batches.BatchAt | None = None,
    remat: Remat | Literal["auto"] = "auto",
    budget: int | None = None,
    truncate: int | None = None,
    first_order: bool = False,
    clip: Scalar | None = None,
) -> Any:
    """Run ``step`` over all batches, so that the run can be differentiated.

    Differentiable with respect to ``state``, floating batches, and whatever traced
    values ``step`` closes over (learning rates, data weights, ...). Values do not
    depend on ``remat``, ``truncate``, ``first_order`` and ``clip``, to the last bit.

    Args:
      step: ``step(state, batch) -> (state, metrics)``, as ``make_train_step`` makes
        them, or ``step(state, batch) -> state``. Structure, shapes and dtypes of the
        state must stay. Its leaves may be integers, booleans and typed keys; their
        tangents are ``float0``.
      state: initial state.
      batches_or_n: arrays with a common leading axis, one batch a step; or N, the
        number of steps.
      batch_at: with a number: ``batch_at(t) -> batch`` for a traced int32 scalar.
        Without it, the batch of step ``t`` is ``t``.
      remat: what the reverse pass stores: ``"none"`` (all that the steps compute),
        ``"step"`` (N carries), ``"sqrt"`` (about 2 sqrt(N)), a number L of levels
        (about L N^(1/L)), or ``"auto"``: the fewest levels that fit ``budget``.
      budget: bytes for ``"auto"``; default 1 GiB. Where a bound on W does not settle
        the choice, one step is compiled to measure it (kept for later calls).
      truncate: K; derivatives end at the boundaries between windows of K steps, the
        state is carried over. The last window is whole, the first one takes what is
        left over: the last state depends on the last K steps, each metric on its own
        window up to its step. Steps cut off are not differentiated at all, so that they
        may overflow; but an adjoint of zeros for some of the metrics is an adjoint.
      first_order: take the gradients inside of the step as constants. The step must
        have a keyword ``first_order``; or wrap its transform in ``constant_gradient``
        and leave this off.
      clip: largest norm of the adjoint of the state (all floating leaves together) as
        it leaves a step in the reverse pass; a longer one is scaled down. Reverse mode
        only.

    Returns:
      The last state; with metrics ``(state, metrics)``, these with a leading axis of
      N.

    Raises:
      InputError: N is 0; leading axes differ; the step changes its state (paths
        named); ``remat`` is unknown; the budget is too small; ``first_order`` for a
        step without it; ``clip`` for a state without floating leaves.

    Memory of the reverse pass: ``S (sum(lengths) + rest) + W`` bytes, with S the bytes
    of the state and W what the reverse pass of one step takes (``plan_unroll`` tells);
    metrics differentiated across windows add S for each window. Forward mode: about
    2 S + W. Gradient evaluations: N forward; the reverse pass repeats the steps once
    for each level.

    >>> targets = jnp.ones(3)
    >>> step = lambda w, target: w - 0.5 * (w - target)
    >>> float(unroll(step, jnp.zeros(()), targets))
    0.875
    >>> float(jax.grad(lambda w: unroll(step, w, targets, remat="sqrt"))(0.0))
    0.125
    >>> float(jax.grad(lambda w: unroll(step, w, targets, truncate=2))(0.0))
    0.0

    Reference: Griewank & Walther, Algorithm 799: revolve, 2000; Chen et al., Training
    deep nets with sublinear memory cost, 2016 (the nested checkpoints); Williams &
    Peng, An efficient gradient-based algorithm for on-line training of recurrent
    network trajectories, 1990 (truncation).
    """
    run = _ready(step, state, batches_or_n, batch_at, truncate, first_order, clip)
    plan = settled(run.program(), remat, budget, measure=False)
    if run.outputs:
        return _windows_with_outputs(run, plan.remat)
    return _last_window(run, plan.remat)


def plan_unroll(
    step: Step,
    state: PyTree,
    batches_or_n: Batch | int,
    *,
    batch_at: batches.BatchAt | None = None,
    remat: Remat | Literal["auto"] = "auto",
    budget: int | None = None,
    truncate: int | None = None,
    first_order: bool = False,
    clip: Scalar | None = None,
) -> UnrollPlan:
    """The plan of ``unroll`` with the same arguments, with its predicted bytes.

    Args:
      step: as in ``unroll``.
      state: as in ``unroll``; shapes are enough (``jax.ShapeDtypeStruct``).
      batches_or_n: as in ``unroll``; shapes are enough.
      batch_at: as in ``unroll``.
      remat: as in ``unroll``.
      budget: as in ``unroll``.
      truncate: as in ``unroll``.
      first_order: as in ``unroll``.
      clip: as in ``unroll``.

    Returns:
      The plan. Its prediction is for the reverse pass of a function of the last state,
      besides arguments and results, and within 3 % of what XLA allocates; with windows
      and metrics it is an upper bound. Compiles the reverse pass of two steps, once.

    Raises:
      InputError: as ``unroll`` does.

    >>> plan = plan_unroll(lambda w, t: 0.9 * w, jnp.zeros(1000), 100, remat=2)
    >>> plan.lengths, plan.rest, plan.carries
    ((10, 10), 0, 20)
    """
    run = _ready(step, state, batches_or_n, batch_at, truncate, first_order, clip)
    return settled(run.program(), remat, budget, measure=True)


def _ready(
    step: Step,
    state: PyTree,
    batches_or_n: Batch | int,
    batch_at: batches.BatchAt | None,
    truncate: int | None,
    first_order: bool,
    clip: Scalar | None,
) -> _Run:
    found = batches.resolve(batches_or_n, batch_at)
    if truncate is not None:
        arguments.check_positive_count("truncate", truncate)
    if first_order:
        step = _first_order(step)
    if clip is not None:
        _check_clip(clip, state)
    is_shape = lambda x: isinstance(x, jax.ShapeDtypeStruct)
    state = jax.tree.map(lambda x: x if is_shape(x) else jnp.asarray(x), state)
    index = jax.ShapeDtypeStruct((), jnp.int32)
    one = lambda stacked, state, t: step(state, found.at(stacked, t))
    out = jax.eval_shape(one, *carry_tools.shapes((found.stacked, state)), index)
    outputs = _has_outputs(state, out)
    carry_tools.check_kept(state, out[0] if outputs else out)

    def prepared(stacked: Batch, state: PyTree, t: jax.Array) -> tuple[PyTree, PyTree]:
        if clip is not None:
            state = carry_tools.clip_adjoint(state, clip)
        out = one(stacked, state, t)
        return out if outputs else (out, None)

    window = min(truncate or found.n, found.n)
    return _Run(prepared, found.stacked, state, found.n, window, outputs)


def _has_outputs(state: PyTree, out: Any) -> bool:
    """Whether a step returns a pair of which the first is a state."""
    if type(out) is not tuple or len(out) != 2:
        return False
    # A state may itself be a pair: choose the interpretation with fewer differences.
    whole, first = trees.differences(state, out), trees.differences(state, out[0])
    return len(first) < len(whole)


def _first_order(step: Step) -> Step:
    if "first_order" not in inspect.signature(step).parameters:
        raise InputError(
            "first_order=True needs a step with a keyword first_order; got one without "
            "it. Wrap its transform in constant_gradient instead"
        )
    return functools.partial(step, first_order=True)


def _check_clip(clip: Scalar, state: PyTree) -> None:
    number = known_number(clip)
    if number is not None and not number > 0:
        raise InputError(f"clip must be above 0; got {clip}")
    if not any(map(trees.is_floating, jax.tree.leaves(state))):
        raise InputError(
            "clip is for the adjoint of floating leaves, of which the state has none"
        )


def _last_window(run: _Run, remat: Remat) -> PyTree:
    """The last state; steps before the last window are held constant."""
    state, before = run.state, run.n - run.window
    step = lambda state, t: run.at(state, t)[0]
    if before:
        index = jnp.zeros((), jnp.int32)
        state = checkpointed_scan(
            carry_tools.constant(step, state, index), state, before, remat="none"
        )
        state = jax.lax.stop_gradient(state)
    return checkpointed_scan(step, state, run.window, remat=remat, start=before)


def _windows_with_outputs(run: _Run, remat: Remat) -> tuple[PyTree, PyTree]:
    """The last state and the outputs of all steps."""

    def window(length: int, start: int | jax.Array, state: PyTree):
        return stacking_scan(run.at, state, length, remat=remat, start=start)

    # The first window takes the remainder; only it reaches the initial state.
    first = (run.n - 1) % run.window + 1
    whole = (run.n - first) // run.window - 1
    if whole < 0:
        return window(run.n, 0, run.state)
    state, output = window(first, 0, run.state)
    outputs = [output]
    if whole:
        # The state is stopped inside the loop and the last window is outside of it, so
        # only the outputs of the loop have derivatives.
        def one(state: PyTree, i: jax.Array) -> tuple[PyTree, PyTree]:
            state = jax.lax.stop_gradient(state)
            state, output = window(run.window, first + i * run.window, state)
            return jax.lax.stop_gradient(state), output

        around: Remat = "none" if remat == "none" else "step"
        state, output = stacking_scan(one, state, whole, remat=around)
        merge = lambda y: y.reshape((whole * run.window, *y.shape[2:]))
        outputs.append(jax.tree.map(merge, output))
    state = jax.lax.stop_gradient(state)
    state, output = window(run.window, run.n - run.window, state)
    outputs.append(output)
    return state, jax.tree.map(lambda *parts: jnp.concatenate(parts), *outputs)
