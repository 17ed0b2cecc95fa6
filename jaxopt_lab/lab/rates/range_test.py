"""The range test: training with a learning rate that grows until the loss diverges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_lab.core.typing import BatchSource

_DECAY = 0.9
_FACTOR = 4.0


class RangeTest(NamedTuple):
    """The record of a range test.

    Attributes:
      rates: learning rate of each step, ``(n,)``.
      losses: loss of each step's batch before its update, ``(n,)``; the last one may be
        infinite or NaN.
      stopped: whether it ended before its last step because the loss diverged.
    """

    rates: np.ndarray
    losses: np.ndarray
    stopped: bool


class Rates(NamedTuple):
    """The learning rates that a range test proposes.

    Attributes:
      smoothed: the losses, averaged over neighbouring steps.
      steepest: the rate at which they fall fastest against its logarithm; ``None``
        where they do not fall.
      divergence: the rate from which on they rise for good; ``None`` where they do not.
    """

    smoothed: np.ndarray
    steepest: float | None
    divergence: float | None

    @property
    def tenth(self) -> float | None:
        """A tenth of the rate of divergence."""
        return None if self.divergence is None else self.divergence / 10


def growing(lowest: float, highest: float, steps: int) -> optax.Schedule:
    """A rate that grows by the same factor in every step.

    Args:
      lowest: the rate of step 0.
      highest: that of the last one.
      steps: their number, at least 2.

    Returns:
      The schedule.

    >>> rate = growing(0.01, 1.0, 3)
    >>> [round(float(rate(n)), 4) for n in range(3)]
    [0.01, 0.1, 1.0]
    """
    ratio = np.log(highest / lowest) / (steps - 1)

    def rate(count: Any) -> jax.Array:
        exponent = jnp.asarray(count, jnp.result_type(float)) * ratio
        return lowest * jnp.exp(exponent)

    return rate


def range_test(
    step: Any,
    state: Any,
    batches: BatchSource,
    schedule: optax.Schedule,
    steps: int,
    *,
    look: Callable[[int, Any], None] | None = None,
) -> RangeTest:
    """Train while the learning rate grows; stop at divergence.

    The schedule is in the program, so that one compiled step serves every rate. The
    loss has diverged where its moving average (with decay 0.9, corrected for its
    start) is above 4 times the lowest one so far, or is not finite.

    Args:
      step: ``step(state, batch) -> (state, metrics)`` whose optimizer follows the
        schedule.
      state: where to start; it is copied.
      batches: source of batches.
      schedule: the rate by number of updates, for the record.
      steps: at most as many steps.
      look: ``look(done, state)`` before every step; the step overwrites the state's
        buffers.

    Returns:
      The record.

    Source: Smith, "Cyclical Learning Rates for Training Neural Networks",
    arXiv:1506.01186; the rule to stop is that of fastai, as remembered.
    """
    jitted = jax.jit(step, donate_argnums=0)
    state = jax.tree.map(jnp.copy, state)
    losses: list[float] = []
    mean, lowest, stopped = 0.0, np.inf, False
    for done in range(steps):
        if look is not None:
            look(done, state)
        state, metrics = jitted(state, batches.next())
        losses.append(float(metrics["loss"]))
        mean = _DECAY * mean + (1 - _DECAY) * losses[-1]
        average = mean / (1 - _DECAY ** (done + 1))
        if not np.isfinite(average) or average > lowest + (_FACTOR - 1) * abs(lowest):
            stopped = True
            break
        lowest = min(lowest, average)
    rates = np.asarray(jax.vmap(schedule)(np.arange(len(losses))), np.float64)
    return RangeTest(rates, np.array(losses), stopped)


def proposed(test: RangeTest) -> Rates:
    """The rates that the usual rules read from a range test.

    Args:
      test: its record.

    Returns:
      The rate of steepest descent before the lowest loss, and that of the lowest loss,
      where divergence begins if the test was stopped or has lost half of what it had
      gained.
    """
    finite = np.isfinite(test.losses)
    rates, losses = test.rates[finite], test.losses[finite]
    smoothed = np.full(test.losses.shape, np.nan)
    if losses.size < 3:
        return Rates(smoothed, None, None)
    smoothed[finite] = line = _smoothed(losses)
    bottom = int(np.argmin(line))
    gained = line[0] - line[bottom]
    lost = line[-1] - line[bottom]
    divergence = None
    if test.stopped or lost > gained / 2:
        divergence = float(rates[bottom])
    slopes = np.gradient(line, np.log(rates))[: bottom + 1]
    steepest = int(np.argmin(slopes))
    falls = gained > 0 and slopes[steepest] < 0
    return Rates(smoothed, float(rates[steepest]) if falls else None, divergence)


def _smoothed(losses: np.ndarray) -> np.ndarray:
    """Triangular means over neighbours: unlike a moving average it does not lag."""
    width = max(1, len(losses) // 40)
    weights = 1 - abs(np.arange(-width, width + 1)) / (width + 1)
    # Spikes at the end, many powers of ten above, must not reach back.
    top = np.nanmax(losses[: max(3, len(losses) // 4)])
    clipped = np.minimum(losses, top + (_FACTOR - 1) * abs(top))
    total = np.convolve(np.ones_like(clipped), weights, "same")
    return np.convolve(clipped, weights, "same") / total
