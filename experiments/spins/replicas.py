r"""Replica theory of the Ising P-spin glass, without and with one step of breaking.

.. math::
    -\beta f = \frac{\beta^2}{4}\big[1 + (p - 1)((1 - m) q_1^p + m q_0^p)
    - p q_1^{p - 1}\big] + \ln 2
    + \frac1m E_z \ln E_u \cosh^m(l_0 z + l_1 u),

with :math:`l_0^2 = \beta^2 p q_0^{p-1} / 2` and :math:`l_1^2 = \beta^2 p (q_1^{p-1} -
q_0^{p-1}) / 2`; couplings of variance :math:`p! / (2 N^{p-1})`. Without a field
:math:`q_0 = 0`; :math:`q_1 = q_0` is the replica symmetric case. f is largest over m
and the overlaps. A dense Hopfield network with :math:`K = \alpha N^{P-1}` patterns is,
away from retrieval and for P > 2, this glass at :math:`\beta\sqrt{2 \alpha P!}`.

The formulas are ours, checked in the tests.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

_NODES = 513


@functools.lru_cache(maxsize=1)
def _rule() -> tuple[np.ndarray, np.ndarray]:
    # Equal steps: at low temperature tanh is steep, and a Gauss-Hermite rule of 64
    # nodes is wrong in the fifth digit.
    nodes = np.linspace(-16, 16, _NODES)
    weights = np.exp(-(nodes**2) / 2)
    return nodes, weights / weights.sum()


def _log_cosh(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(x, -x) - np.log(2)


def minus_beta_f(beta: float, p: int, q1: float, q0: float, m: float) -> float:
    """The expression at the head of this module.

    >>> round(float(minus_beta_f(1.0, 3, 0.0, 0.0, 0.5) - np.log(2)), 12)
    0.25
    """
    z, w = _rule()
    l0, l1 = _strengths(beta, p, q1, q0)
    grown = m * _log_cosh(l0 * z[:, None] + l1 * z[None])
    top = grown.max(axis=1)
    inner = top + np.log(np.exp(grown - top[:, None]) @ w)
    powers = (1 - m) * q1**p + m * q0**p
    bracket = 1 + (p - 1) * powers - p * q1 ** (p - 1)
    return float(beta**2 / 4 * bracket + np.log(2) + w @ inner / m)


def _strengths(beta: float, p: int, q1: float, q0: float) -> tuple[float, float]:
    first, both = q0 ** (p - 1), q1 ** (p - 1)
    scale = beta**2 * p / 2
    return (scale * first) ** 0.5, (scale * max(both - first, 0)) ** 0.5


class State(NamedTuple):
    """A solution at one temperature.

    Attributes:
      q: overlap in a state (0: paramagnet).
      m: breaking point; 1: unbroken.
      f: free energy of a spin.
      energy: of a spin.
    """

    q: float
    m: float
    f: float
    energy: float


def _iterated(step: Callable[[float], float]) -> float:
    q = 1.0
    for _ in range(4000):
        new = step(q)
        if abs(new - q) < 1e-12 or new < 1e-3:
            return new if new >= 1e-3 else 0.0
        q = new
    return q


def broken_overlap(beta: float, p: int, m: float) -> float:
    """The largest overlap q1 that is stationary at a given m; 0: none but 0."""
    u, w = _rule()

    def step(q: float) -> float:
        x = _strengths(beta, p, q, 0.0)[1] * u
        grown = m * _log_cosh(x)
        weight = w * np.exp(grown - grown.max())
        return float(weight @ np.tanh(x) ** 2 / weight.sum())

    return _iterated(step)


def _slope(beta: float, p: int, m: float) -> float:
    """Derivative of -beta f in m at the stationary overlap; -inf where that is 0."""
    q = broken_overlap(beta, p, m)
    if q == 0:
        return -np.inf
    u, w = _rule()
    logs = _log_cosh(_strengths(beta, p, q, 0.0)[1] * u)
    top = (m * logs).max()
    weight = w * np.exp(m * logs - top)
    total = weight.sum()
    inner = (weight @ logs) / total / m - (top + np.log(total)) / m**2
    return float(inner - beta**2 / 4 * (p - 1) * q**p)


def one_step_breaking(beta: float, p: int) -> State:
    """The solution with one step of breaking; the paramagnet above its transition."""
    if _slope(beta, p, 1.0) <= 0:
        f = -minus_beta_f(beta, p, 0.0, 0.0, 1.0) / beta
        return State(0.0, 1.0, f, -beta / 2)
    m = _bisected(lambda m: _slope(beta, p, m), 0.0, 1.0)
    q = broken_overlap(beta, p, m)
    f = -minus_beta_f(beta, p, q, 0.0, m) / beta
    return State(q, m, f, -beta / 2 * (1 - (1 - m) * q**p))


def replica_symmetric(beta: float, p: int) -> State:
    """The solution without breaking, of the largest overlap."""
    z, w = _rule()

    def step(q: float) -> float:
        return float(w @ np.tanh(_strengths(beta, p, q, q)[0] * z) ** 2)

    q = _iterated(step)
    f = -minus_beta_f(beta, p, q, q, 1.0) / beta
    return State(q, 1.0, f, -beta / 2 * (1 - q**p))


def _bisected(function: Callable[[float], float], low: float, high: float) -> float:
    """The place between at which an increasing function becomes positive."""
    for _ in range(34):
        middle = (low + high) / 2
        low, high = (low, middle) if function(middle) > 0 else (middle, high)
    return high
