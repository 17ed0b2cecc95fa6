"""Single numbers from a spectrum: negative against positive curvature, rank."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np

from jaxopt_lab.core import errors
from jaxopt_lab.core.errors import InputError

Rank = Literal["participation", "entropy", "stable"]


class LlaCriteria(NamedTuple):
    """Negativity of a spectrum, with the numbers of steps and probes behind it.

    Attributes:
      r_e: ``|min / max|`` of the Ritz values, mean over the probes.
      k_hn: negative over positive weighted curvature, mean over the probes.
      n: the power in ``k_hn``.
      num_steps: k, the Lanczos steps; both numbers depend on it.
      num_probes: m.
    """

    r_e: float
    k_hn: float
    n: float
    num_steps: int
    num_probes: int


def lla_criteria(
    nodes: np.ndarray, weights: np.ndarray, *, n: float = 0.5
) -> LlaCriteria:
    r"""The two Hessian criteria of Loss Landscape Analysis (LLA).

    .. math::
        r_e = \Big|\frac{\min \theta}{\max \theta}\Big|, \quad
        K_{Hn} = \frac{\sum_{\theta_i < 0} (|\theta_i| c_i)^n}
                      {\sum_{\theta_i > 0} (\theta_i c_i)^n}

    for each probe, then averaged. A power of a weighted node is no functional of the
    spectrum: the number of steps changes the result, and so is part of it. Compare
    runs of one k only; the authors take 100. Meant for spectra that are mainly
    positive.

    Args:
      nodes: Ritz values, ``(m, k)`` (``SpectralDensity.nodes``), or ``(k,)``.
      weights: their weights, the same shape; nodes of weight 0 count nothing.
      n: the power.

    Returns:
      ``LlaCriteria``. A probe without positive curvature gives infinity, one without
      any curvature NaN.

    Raises:
      InputError: the shapes differ, or ``n`` is not positive.

    >>> found = lla_criteria(np.array([-1.0, 4.0]), np.array([0.5, 0.5]))
    >>> found.r_e, found.k_hn, found.num_steps
    (0.25, 0.5, 2)

    Reference: the code of Loss Landscape Analysis (LLA); on where the criteria hold,
    arXiv:2504.17618.
    """
    nodes, weights = np.asarray(nodes, np.float64), np.asarray(weights, np.float64)
    if nodes.shape != weights.shape or nodes.ndim not in (1, 2) or not nodes.size:
        raise InputError(
            "nodes and weights must have one shape, (probes, steps); got "
            f"{nodes.shape} and {weights.shape}"
        )
    if not n > 0:
        raise InputError(f"n must be positive; got {n}")
    ratios, balances = [], []
    for theta, c in zip(np.atleast_2d(nodes), np.atleast_2d(weights), strict=True):
        if not (np.all(np.isfinite(theta)) and np.all(np.isfinite(c))):
            ratios.append(np.nan)
            balances.append(np.nan)
            continue
        theta, c = theta[c > 0], c[c > 0]
        powers = (np.abs(theta) * c) ** n
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios.append(abs(np.min(theta) / np.max(theta)))
            balances.append(np.sum(powers[theta < 0]) / np.sum(powers[theta > 0]))
    return LlaCriteria(
        r_e=float(np.mean(ratios)),
        k_hn=float(np.mean(balances)),
        n=n,
        num_steps=nodes.shape[-1],
        num_probes=len(ratios),
    )


def effective_rank(
    values: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    size: int | None = None,
    kind: Rank = "participation",
) -> float:
    r"""Effective rank: the number of eigenvalues that carry the curvature.

    With :math:`s_i = |\lambda_i|`, the singular values, and :math:`p_i = s_i / \sum s`:

    .. math::
        \text{participation} = \frac{(\sum s_i)^2}{\sum s_i^2}, \quad
        \text{entropy} = \exp\Big(-\sum p_i \ln p_i\Big), \quad
        \text{stable} = \frac{\sum s_i^2}{\max s_i^2}

    All lie between 1 and the rank, are 1 for rank one, and equal the rank where all
    nonzero eigenvalues have one size.

    Args:
      values: eigenvalues, ``(P,)``; or with ``weights`` the nodes of a quadrature,
        any shape.
      weights: weights of the nodes, of sum 1 for each probe (the last axis runs over
        the nodes of a probe). With probes, sums are averaged over them first.
      size: P, needed with ``weights``.
      kind: ``"participation"``, ``"entropy"`` (Roy and Vetterli), ``"stable"``.

    Returns:
      The rank; 0 for the zero matrix, NaN where a value is not finite.

    Raises:
      InputError: an unknown kind, ``weights`` without ``size``, or shapes that differ.

    >>> effective_rank(np.array([3.0, 3.0, 0.0, 0.0]))
    2.0
    """
    if kind not in get_args(Rank):
        raise errors.unknown("kind", kind, get_args(Rank))
    s = np.abs(np.asarray(values, np.float64))
    if weights is None:
        counts = np.ones_like(s)
    else:
        weights = np.asarray(weights, np.float64)
        if size is None:
            raise InputError("size, the number of parameters, is needed with weights")
        if weights.shape != s.shape:
            raise InputError(
                f"values and weights must have one shape; got {s.shape} and "
                f"{weights.shape}"
            )
        probes = s.size // s.shape[-1]
        counts = weights * size / probes
    if not (np.all(np.isfinite(s)) and np.all(np.isfinite(counts))):
        return float("nan")
    s, counts = s[counts > 0], counts[counts > 0]
    total = float(np.sum(counts * s))
    if total == 0:
        return 0.0
    squares = float(np.sum(counts * s**2))
    if kind == "participation":
        return total**2 / squares
    if kind == "stable":
        return squares / float(np.max(s)) ** 2
    p = s[s > 0] / total
    return float(np.exp(-np.sum(counts[s > 0] * p * np.log(p))))
