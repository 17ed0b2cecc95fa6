"""The learning rate along a run, by name or by a function of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import errors
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import imported
from jaxopt_lab.lab.run_options import RunOptions


def learning_rate(run: RunOptions, peak: float) -> optax.Schedule:
    r"""The step size as a function of the number of updates.

    After the warm-up, in which the rate rises linearly from 0 to the peak
    :math:`\eta`, with :math:`e` = ``end_rate`` and :math:`t` from 0 to 1 over what is
    left of the run:

    * ``constant``: :math:`\eta`;
    * ``cosine``: :math:`\eta (e + (1 - e) (1 + \cos \pi t) / 2)`; Loshchilov and
      Hutter, arXiv:1608.03983;
    * ``linear``: :math:`\eta (1 - (1 - e) t)`;
    * ``wsd``: :math:`\eta`, and over the last ``cooldown`` of the run linearly to
      :math:`e \eta`; Hu et al., arXiv:2404.06395, with the linear fall of Hägele et
      al., arXiv:2405.18392;
    * ``steps``: :math:`\eta f^k` after k of the ``milestones``, f = ``rate_factor``;
    * ``module:function``: ``function(steps, peak)`` gives the whole schedule.

    Args:
      run: its kind, and how it rises and falls; ``warmup``, ``cooldown`` and
        ``milestones`` are parts of ``steps``.
      peak: its largest value.

    Returns:
      The schedule.

    Raises:
      InputError: the user's function is not there, or gives no schedule.

    >>> rate = learning_rate(RunOptions(schedule="wsd", steps=10), 1.0)
    >>> [round(float(rate(n)), 2) for n in (0, 8, 9, 10)]
    [1.0, 1.0, 0.5, 0.0]
    """
    if ":" in run.schedule:
        return _own(run, peak)
    rising = round(run.warmup * run.steps)
    after = _KINDS[run.schedule](run, peak, rising)
    if rising == 0:
        return after
    return optax.join_schedules(
        [optax.linear_schedule(0.0, peak, rising), after], [rising]
    )


def check(run: RunOptions) -> None:
    """Refuse a schedule that is unknown, or whose parts overlap.

    Args:
      run: the options.

    Raises:
      InputError: names the option, its value, and what is accepted.
    """
    if run.schedule not in _KINDS and ":" not in run.schedule:
        names = [*_KINDS, "module:function"]
        raise errors.unknown("schedule", run.schedule, names)
    if run.schedule == "wsd" and run.warmup + run.cooldown > 1:
        raise InputError(
            f"warmup={run.warmup} and cooldown={run.cooldown} take more than the whole "
            "run; accepted: a sum of at most 1"
        )
    if run.schedule == "steps":
        parts = milestones(run)
        if parts != sorted(set(parts)) or not all(run.warmup < p < 1 for p in parts):
            raise InputError(
                f"milestones={run.milestones}; accepted: rising parts of the steps "
                f"between warmup={run.warmup} and 1, with commas"
            )


def milestones(run: RunOptions) -> list[float]:
    """The parts of a run after which the rate is multiplied, from their text.

    Args:
      run: its option ``milestones``.

    Returns:
      The numbers.

    Raises:
      InputError: one of them is no number.
    """
    try:
        return [float(part) for part in run.milestones.split(",")]
    except ValueError:
        raise InputError(
            f"milestones={run.milestones} cannot be read; accepted: parts of the "
            "steps with commas, such as 0.5,0.75"
        ) from None


def _cosine(run: RunOptions, peak: float, rising: int) -> optax.Schedule:
    left = max(run.steps - rising, 1)
    return optax.cosine_decay_schedule(peak, left, run.end_rate)


def _linear(run: RunOptions, peak: float, rising: int) -> optax.Schedule:
    left = max(run.steps - rising, 1)
    return optax.linear_schedule(peak, peak * run.end_rate, left)


def _wsd(run: RunOptions, peak: float, rising: int) -> optax.Schedule:
    falling = max(round(run.cooldown * run.steps), 1)
    begin = run.steps - falling - rising
    return optax.linear_schedule(peak, peak * run.end_rate, falling, begin)


def _steps(run: RunOptions, peak: float, rising: int) -> optax.Schedule:
    drops = jnp.array([round(p * run.steps) - rising for p in milestones(run)])
    # A short run may have several milestones at one step.
    factors = [peak * run.rate_factor**k for k in range(len(drops) + 1)]

    def rate(count: Any) -> jax.Array:
        passed = jnp.sum(count >= drops)
        return jnp.asarray(factors)[passed]

    return rate


def _constant(run: RunOptions, peak: float, rising: int) -> optax.Schedule:
    return optax.constant_schedule(peak)


_KINDS: dict[str, Callable[[RunOptions, float, int], optax.Schedule]] = {
    "constant": _constant,
    "cosine": _cosine,
    "linear": _linear,
    "wsd": _wsd,
    "steps": _steps,
}

TO_AN_END = ("cosine", "linear", "wsd")
"""The kinds that fall to ``end_rate``."""


def _own(run: RunOptions, peak: float) -> optax.Schedule:
    function = imported.load("schedule", run.schedule)
    if not callable(function):
        raise InputError(
            f"schedule={run.schedule} is {errors.described(function)}; accepted: "
            "fn(steps, peak) -> schedule"
        )
    made = function(run.steps, peak)
    if not callable(made):
        raise InputError(
            f"schedule={run.schedule} gave a {type(made).__name__}; accepted: "
            "fn(steps, peak) -> schedule, and schedule(count) -> rate"
        )
    schedule: Any = made
    found = jax.eval_shape(schedule, jax.ShapeDtypeStruct((), jnp.int32))
    if getattr(found, "shape", None) != ():
        raise InputError(
            f"schedule={run.schedule}: schedule(count) gave {found}; accepted: one "
            "number"
        )
    # A rate of another type would change the type of the state at the first step.
    return lambda count: jnp.asarray(schedule(count), jnp.result_type(float))
