"""A learning rate by the number of examples seen."""

from __future__ import annotations

import math
from typing import Annotated

from jaxopt_lab.controllers.batch_growth import statistic
from jaxopt_lab.controllers.controller import Controller, Decision, State, Statistics
from jaxopt_lab.core.options import (
    COUNT,
    NON_NEGATIVE,
    STATIC,
    UNIT,
    check_arguments,
)


def constant_rate(
    *, learning_rate: Annotated[float, NON_NEGATIVE, STATIC] = 0.1
) -> Controller:
    """Always the same learning rate.

    Args:
      learning_rate: the rate.

    Returns:
      A controller whose decision is ``{"learning_rate": x}`` whatever the statistics.

    Raises:
      InputError: the rate is negative.

    >>> constant_rate(learning_rate=0.5).decide({}, {})
    ({'learning_rate': 0.5}, {})
    """
    check_arguments(constant_rate, locals())

    def decide(stats: Statistics, state: State) -> tuple[Decision, State]:
        del stats
        return {"learning_rate": float(learning_rate)}, dict(state)

    return Controller(dict, decide)


def rate_by_examples(
    learning_rate: Annotated[float, NON_NEGATIVE, STATIC] = 0.1,
    *,
    total_examples: Annotated[int, COUNT] = 1_000_000,
    warmup: Annotated[float, UNIT, STATIC] = 0.1,
    last: Annotated[float, UNIT, STATIC] = 0.1,
) -> Controller:
    r"""Warm-up and cosine by the number of examples, not of steps.

    Where the batch grows, the number of steps says little. With the part s of
    ``total_examples`` that has been seen, w of warm-up and l at the end,

    .. math::
        \eta(s) = \eta_0 \begin{cases} s / w & s < w \\
        l + (1 - l) \tfrac12 \left(1 + \cos \pi \frac{s - w}{1 - w}\right)
        & s \ge w \end{cases}

    Args:
      learning_rate: :math:`\eta_0`, the highest.
      total_examples: examples of the whole run; behind them the rate stays.
      warmup: w, part of the examples in which the rate rises from 0.
      last: l, part of the rate that is left at the end; with ``warmup=0`` and 1 the
        rate is constant.

    Returns:
      A controller. It reads ``stats["batch"]``, the examples of the step just taken;
      a number that is not finite or negative counts as none. The decision is
      ``{"learning_rate": x}`` for the next step; its state is ``examples``.

    Raises:
      InputError: an argument is out of range; at the call, the statistic is missing.

    >>> control = rate_by_examples(1.0, total_examples=100, warmup=0.5, last=0.0)
    >>> decision, state = control.decide({"batch": 25}, control.init())
    >>> decision, control.decide({"batch": 50}, state)[0]
    ({'learning_rate': 0.5}, {'learning_rate': 0.5})

    Cost: none on the device; the state is one number.

    Source: Lau, Liu and Kolar, "AdAdaGrad: Adaptive Batch Size Schemes for Adaptive
    Gradient Methods", arXiv:2402.11215, whose runs warm up over a tenth and end at a
    tenth of the rate. Code followed: timlautk/AdAdaGrad.
    """
    check_arguments(rate_by_examples, locals())

    def decide(stats: Statistics, state: State) -> tuple[Decision, State]:
        batch = statistic("rate_by_examples", stats, "batch")
        count = int(batch) if math.isfinite(batch) and batch > 0 else 0
        seen = min(state["examples"] + count, total_examples)
        part = seen / total_examples
        if part < warmup:
            factor = part / warmup
        elif warmup < 1:
            way = (part - warmup) / (1 - warmup)
            factor = last + (1 - last) * (1 + math.cos(math.pi * way)) / 2
        else:
            factor = 1.0
        return {"learning_rate": learning_rate * factor}, {"examples": seen}

    return Controller(lambda: {"examples": 0}, decide)
