"""Inner problem made of a train step."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lab.bilevel import batches
from jaxopt_lab.bilevel.inner import Carry, InnerProblem, Theta, Weights
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Batch

Step = Callable[[Any, Batch], tuple[Any, Any]]


def _params(state: Any) -> Weights:
    return state.params


def from_train_step(
    make_step: Callable[[Theta], Step],
    init: Callable[[Theta], Any],
    batches_or_n: Batch | int,
    *,
    batch_at: Callable[[jax.Array], Batch] | None = None,
    n: int | None = None,
    read: Callable[[Carry], Weights] = _params,
    objective: Callable[[Theta, Weights], jax.Array] | None = None,
    optimality: Callable[[Theta, Weights], Weights] | None = None,
    window_loss: Callable[[Theta, Carry, jax.Array], jax.Array] | None = None,
) -> InnerProblem:
    """The inner problem that trains by ``make_step(theta)`` from ``init(theta)``.

    Everything in the train step may depend on theta: numbers and schedules of
    the transformation (a whole schedule is ``lambda count: theta["lr"][count]``), the
    loss (weights of examples or terms), and the initial parameters through ``init``.
    Steps that ``jaxopt_lab.training.make_train_step`` makes fit as they are, with
    ``init_state`` for ``init``.

    Args:
      make_step: ``make_step(theta) -> step``, with ``step(state, batch) -> (state,
        metrics)``; the metrics are dropped.
      init: ``init(theta) -> state``. It must call ``tx.init`` of the same
        transformation, though not necessarily with the same numbers.
      batches_or_n: batches stacked along a leading axis of steps, or their number.
      batch_at: with a number, the batch of step ``t``, a traced int32 scalar; without
        it the batch is ``t`` itself.
      n: number of steps of one call, by default that of the batches. Of stacked
        batches step ``t`` gets number ``t`` modulo their number, so that ``n`` may be
        more, or a window.
      read: ``read(state) -> w``; by default ``state.params``.
      objective: as in ``InnerProblem``, like the following.
      optimality: instead of ``objective``.
      window_loss: of the state that step ``t`` gave.

    Returns:
      The problem; its carry is the train state.

    Raises:
      InputError: there is no step, leading axes differ, or (when traced)
        ``make_step(theta)`` is no train step.

    >>> from jaxopt_lab.bilevel import hypergrad
    >>> from jaxopt_lab.training import init_state, make_train_step
    >>> import optax
    >>> def loss_fn(params, model_state, batch, key):
    ...     return jnp.mean((params - batch) ** 2), (model_state, {})
    >>> inner = from_train_step(
    ...     lambda theta: make_train_step(loss_fn, optax.sgd(theta["lr"])),
    ...     lambda theta: init_state(optax.sgd(0.1), jnp.float32(0), jax.random.key(0)),
    ...     jnp.ones((2, 1)),  # two steps, one example each
    ... )
    >>> _, grad, _ = hypergrad(lambda theta, w: w, inner, {"lr": 0.25})
    >>> float(grad["lr"])  # w = 1 - (1 - 2 lr)**2
    2.0
    """
    found = batches.resolve(batches_or_n, batch_at)

    def step(theta: Theta, state: Carry, t: jax.Array) -> Carry:
        made = make_step(theta)
        if not callable(made):
            raise InputError(
                "make_step(theta) must return step(state, batch) -> (state, metrics); "
                f"got {type(made).__name__}"
            )
        # A window of a longer run may pass the end of the arrays, hence the modulo; a
        # function of t handles any t.
        here = t % jnp.int32(found.n) if jax.tree.leaves(found.stacked) else t
        result = made(state, found.at(found.stacked, here))
        # A train state is a tuple too; only a plain pair is (state, metrics).
        if type(result) is not tuple or len(result) != 2:
            raise InputError(
                "step(state, batch) must return (state, metrics); got a "
                f"{type(result).__name__}"
            )
        return result[0]

    return InnerProblem(
        init=init,
        step=step,
        n=found.n if n is None else n,
        read=read,
        objective=objective,
        optimality=optimality,
        window_loss=window_loss,
    )
