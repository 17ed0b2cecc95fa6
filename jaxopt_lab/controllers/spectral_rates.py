"""Learning rate and momentum from the spectrum of the Hessian."""

from __future__ import annotations

import math
from typing import Annotated

from jaxopt_lab.controllers.batch_growth import statistic
from jaxopt_lab.controllers.controller import Controller, Decision, State, Statistics
from jaxopt_lab.core.options import (
    DECAY,
    NON_NEGATIVE,
    POSITIVE,
    STATIC,
    UNIT,
    check_arguments,
)


def constant_rates(
    *,
    learning_rate: Annotated[float, NON_NEGATIVE, STATIC] = 0.1,
    momentum: Annotated[float, DECAY, STATIC] = 0.9,
) -> Controller:
    """Always the same learning rate and momentum.

    Args:
      learning_rate: the rate.
      momentum: the momentum, in [0, 1).

    Returns:
      A controller whose decision is ``{"learning_rate": x, "momentum": m}`` whatever
      the statistics.

    Raises:
      InputError: an argument is out of range.

    >>> constant_rates(learning_rate=0.5).decide({}, {})
    ({'learning_rate': 0.5, 'momentum': 0.9}, {})
    """
    check_arguments(constant_rates, locals())
    decision = {"learning_rate": float(learning_rate), "momentum": float(momentum)}

    def decide(stats: Statistics, state: State) -> tuple[Decision, State]:
        del stats
        return dict(decision), dict(state)

    return Controller(dict, decide)


def spectral_rates(
    weight: Annotated[float, UNIT, STATIC] = 1.0,
    *,
    learning_rate: Annotated[float, NON_NEGATIVE, STATIC] = 0.1,
    momentum: Annotated[float, DECAY, STATIC] = 0.9,
    max_learning_rate: Annotated[float, POSITIVE, STATIC] = 10.0,
    max_momentum: Annotated[float, DECAY, STATIC] = 0.99,
) -> Controller:
    r"""Learning rate and momentum from the ends of the measured spectrum.

    On a quadratic the rate is the best one of gradient descent, and the momentum the
    best one of heavy ball, whose own best rate would be larger.

    With the largest eigenvalue :math:`\lambda_1` of the batch Hessian and
    :math:`\lambda_n`, its lowest outlier or the edge of its bulk,

    .. math::
        \eta = \frac{2}{\lambda_1 + \lambda_n}, \qquad
        m = \left(\frac{\sqrt{\lambda_1} - \sqrt{\lambda_n}}
            {\sqrt{\lambda_1} + \sqrt{\lambda_n}}\right)^2.

    Args:
      weight: part of the way from the present rates to these, in [0, 1]; at 0 they
        never change.
      learning_rate: the first rate.
      momentum: the first momentum, in [0, 1).
      max_learning_rate: no rate is above it, the first one neither.
      max_momentum: no momentum is above it, in [0, 1).

    Returns:
      A controller. It reads ``stats["largest_eigenvalue"]`` and
      ``stats["lowest_eigenvalue"]``, from any spectrum (``jaxopt_lab.curvature``'s
      Lanczos or densities, every few hundred steps). Spectra that are not finite,
      whose largest eigenvalue is not above 0 or below the lowest, change nothing; a
      lowest one below 0 counts as 0. The decision is ``{"learning_rate": x,
      "momentum": m}``; its state is the same two numbers.

    Raises:
      InputError: an argument is out of range; at the call, a statistic is missing.

    Cost: that of the spectra.

    Deviations: from the abstract and from memory; ``weight`` and the bounds are ours.

    >>> control = spectral_rates()
    >>> stats = {"largest_eigenvalue": 9.0, "lowest_eigenvalue": 1.0}
    >>> decision, _ = control.decide(stats, control.init())
    >>> {name: round(x, 3) for name, x in decision.items()}
    {'learning_rate': 0.2, 'momentum': 0.25}

    Source: Granziol, Zohren and Roberts, "Learning Rates as a Function of Batch Size: A
    Random Matrix Theory Approach to Neural Network Training", arXiv:2006.09092.
    """
    check_arguments(spectral_rates, locals())
    first = {
        "learning_rate": min(float(learning_rate), float(max_learning_rate)),
        "momentum": min(float(momentum), float(max_momentum)),
    }

    def decide(stats: Statistics, state: State) -> tuple[Decision, State]:
        read = lambda name: statistic("spectral_rates", stats, name)
        top, low = read("largest_eigenvalue"), read("lowest_eigenvalue")
        low = max(low, 0.0)
        known = math.isfinite(top) and math.isfinite(low) and top > 0 and top >= low
        if not known or weight == 0:
            return dict(state), dict(state)
        # Halved: a sum of two large numbers may overflow.
        half = top / 2 + low / 2
        rate = min(1 / half, max_learning_rate) if half > 0 else max_learning_rate
        ratio = math.sqrt(low / top)
        heavy = min(((1 - ratio) / (1 + ratio)) ** 2, max_momentum)
        move = lambda old, new: (1 - weight) * old + weight * new
        found = {
            "learning_rate": min(
                move(state["learning_rate"], rate), float(max_learning_rate)
            ),
            "momentum": min(move(state["momentum"], heavy), float(max_momentum)),
        }
        return found, dict(found)

    return Controller(lambda: dict(first), decide)
