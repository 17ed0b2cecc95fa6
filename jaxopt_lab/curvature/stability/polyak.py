"""Polyak's learning rate and momentum from the ends of a spectrum."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.trees import safe_divide, safe_sqrt
from jaxopt_lab.core.typing import Scalar


class Momentum(NamedTuple):
    """Parameters of the heavy-ball method.

    Attributes:
      learning_rate: step size.
      momentum: factor of the last step.
    """

    learning_rate: jax.Array
    momentum: jax.Array


def polyak(largest: Scalar, smallest: Scalar) -> Momentum:
    r"""Best learning rate and momentum of the heavy-ball method on a quadratic.

    .. math::
        \eta = \Big(\frac{2}{\sqrt{\lambda_1} + \sqrt{\lambda_P}}\Big)^2, \quad
        \rho = \Big(\frac{\sqrt{\lambda_1} - \sqrt{\lambda_P}}
                         {\sqrt{\lambda_1} + \sqrt{\lambda_P}}\Big)^2.

    Args:
      largest: largest Ritz value, such as ``LanczosResult.values[-1]``.
      smallest: the smallest relevant one, above 0. The available text of the paper
        does not say which Ritz value of a network's spectrum, with its zero and
        negative ones, to use.

    Returns:
      Learning rate and momentum.

    Raises:
      InputError: numbers, and not 0 <= smallest <= largest.

    >>> found = polyak(4.0, 1.0)
    >>> round(float(found.learning_rate), 4), round(float(found.momentum), 4)
    (0.4444, 0.1111)

    Reference: Polyak, "Some Methods of Speeding up the Convergence of Iteration
    Methods", 1964; from Ritz values: Granziol, Zohren and Roberts, arXiv:2006.09092.
    """
    high, low = known_number(largest), known_number(smallest)
    if high is not None and low is not None and not 0 <= low <= high:
        raise InputError(
            f"smallest must lie in 0 to largest = {largest}; got {smallest}"
        )
    dtype = jnp.result_type(float)
    top, low = (safe_sqrt(jnp.asarray(x, dtype)) for x in (largest, smallest))
    total = top + low
    rate = safe_divide(jnp.full_like(total, 2), total)
    ratio = safe_divide(top - low, total)
    return Momentum(rate * rate, ratio * ratio)
