"""An exponential moving average of the weights, kept beside a training step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import DECAY
from jaxopt_lab.core.typing import Batch, Metrics, ModelState, Params
from jaxopt_lab.training.parallel import constrained
from jaxopt_lab.training.state import TrainState
from jaxopt_lab.training.step import TrainStep

Read = Callable[[TrainState], tuple[Params, ModelState]]


class AveragedState(NamedTuple):
    """State of an optimizer with the averages beside it.

    Attributes:
      inner: the optimizer's own state.
      params: average of the parameters; as many bytes as these.
      model_state: average of the floating model state, such as batch statistics; the
        newest values of the rest.
    """

    inner: Any
    params: Params
    model_state: ModelState


def _own(state: TrainState) -> tuple[Params, ModelState]:
    return state.params, state.model_state


def extend(state: TrainState, read: Read = _own) -> TrainState:
    """A train state with averages, which begin at its weights.

    Args:
      state: a fresh one.
      read: ``read(state) -> (params, model_state)``, what is averaged.

    Returns:
      The state, its ``opt_state`` an ``AveragedState``.
    """
    return state._replace(opt_state=AveragedState(state.opt_state, *read(state)))


def plain(state: TrainState) -> TrainState:
    """A train state without its averages, the inverse of ``extend``."""
    own: Any = state.opt_state
    return state._replace(opt_state=own.inner)


def with_average(
    step: TrainStep,
    decay: float,
    *,
    read: Read = _own,
    shardings: TrainState | None = None,
) -> TrainStep:
    r"""A train step that keeps an average of the weights.

    After step t, counted from 1, with weights :math:`w_t`,

    .. math::
        a_t = d_t a_{t-1} + (1 - d_t) w_t, \quad
        d_t = \min\left(d, \frac{1 + t}{10 + t}\right),

    so that the first steps, with their random weights, are soon forgotten. A skipped
    step leaves the average as it was.

    Args:
      step: as ``make_train_step`` gives it; the numbers of training stay its own.
      decay: d, in ``[0, 1)``; at 0 the average is the weights.
      read: ``read(state) -> (params, model_state)``, the weights.
      shardings: of the states between two steps; ``None``: the compiler's choice.

    Returns:
      The step, on states of ``extend``. Memory: one tree of the parameters' size.
      Averages are taken in float32, of float64 in float64.

    Raises:
      InputError: the decay is out of range.

    >>> from jaxopt_lab.training import init_state, make_train_step
    >>> import optax
    >>> def loss_fn(params, model_state, batch, key):
    ...     return jnp.mean((batch - params) ** 2), (model_state, {})
    >>> tx = optax.sgd(0.5)
    >>> step = with_average(make_train_step(loss_fn, tx), 0.9)
    >>> state = extend(init_state(tx, jnp.array(0.0), jax.random.key(0)))
    >>> state, _ = step(state, jnp.array([1.0]))
    >>> float(state.params), round(float(state.opt_state.params), 4)
    (1.0, 0.8182)

    Source: Polyak and Juditsky 1992; the growing decay is that of TensorFlow's
    ``ExponentialMovingAverage``.
    """
    if decay not in DECAY:
        raise InputError(f"decay={decay} is out of range; accepted: {DECAY}")

    def run(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        before: Any = state.opt_state
        new, metrics = step(plain(state), batch)
        count = new.step.astype(jnp.float32)
        part = 1 - jnp.minimum(jnp.float32(decay), (1 + count) / (10 + count))

        def one(average: jax.Array, value: jax.Array) -> jax.Array:
            if not trees.is_floating(average):
                return value
            old = average.astype(trees.wide_dtype(average.dtype))
            real = part.astype(trees.magnitude_dtype(old.dtype))
            moved = old + real * (value.astype(old.dtype) - old)
            return moved.astype(average.dtype)

        old = (before.params, before.model_state)
        averages = jax.tree.map(one, old, read(new))
        if "skipped" in metrics:
            averages = trees.select(metrics["skipped"] == 0, averages, old)
        if shardings is not None:
            own: Any = shardings.opt_state
            averages = constrained(averages, (own.params, own.model_state))
        return new._replace(opt_state=AveragedState(new.opt_state, *averages)), metrics

    return run
