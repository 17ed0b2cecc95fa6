"""Symmetric divergence and entropy of rows of attention (FOD)."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_lab.core.options import POSITIVE, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.losses.targets import check_floats, check_shape, kept


def symmetric_row_divergence(
    p: jax.Array,
    t: jax.Array,
    *,
    eps: Annotated[float, POSITIVE] = 1e-4,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Kullback-Leibler divergence in both directions of each row, with a floor.

    .. math:: D = \sum_j p_j \log \frac{p_j + \epsilon}{t_j + \epsilon}
        + t_j \log \frac{t_j + \epsilon}{p_j + \epsilon}
        = \sum_j (p_j - t_j) \left(\log(p_j + \epsilon) - \log(t_j + \epsilon)\right)

    in the second form, of which no term is negative: it is symmetric, and 0 with the
    gradient 0 at equal rows.

    Args:
      p: rows ``(..., n)``, probabilities over the last axis.
      t: rows, likewise.
      eps: :math:`\epsilon`, added inside of each logarithm.
      where: ``(...)``; 0 drops a row.

    Returns:
      Shape ``(...)``, float32 or float64, at least 0; FOD takes the mean over heads.
      Numbers below :math:`-\epsilon / 2` count as that in the logarithms.

    Raises:
      InputError: shapes that do not belong together, or ``eps`` is out of range.

    Cost: linear in the numbers of p and t; kept for the gradient: six to seven
    arrays of the size of p.

    Source: Yao et al., "Focus the Discrepancy: Intra- and Inter-Correlation Learning
    for Image Anomaly Detection", 2023 (https://arxiv.org/abs/2308.02983) and its code
    (xcyao00/FOD).

    >>> p, t = jnp.array([0.5, 0.5]), jnp.array([0.5, 0.5])
    >>> float(symmetric_row_divergence(p, t))
    0.0
    """
    check_arguments(symmetric_row_divergence, {"eps": eps})
    own, other = _rows("p", p, p, where), _rows("t", t, p, where)
    return jnp.sum((own - other) * (_log(own, eps) - _log(other, eps)), axis=-1)


def row_entropy(
    p: jax.Array,
    *,
    eps: Annotated[float, POSITIVE] = 1e-4,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Entropy of each row with a floor, :math:`-\sum_j p_j \log(p_j + \epsilon)`.

    Args:
      p: rows ``(..., n)``, probabilities over the last axis.
      eps: :math:`\epsilon`.
      where: ``(...)``; 0 drops a row.

    Returns:
      Shape ``(...)``, float32 or float64.

    Raises:
      InputError: ``where`` does not fit, or ``eps`` is out of range.

    >>> f"{row_entropy(jnp.array([0.5, 0.5])):.3f}"
    '0.693'
    """
    check_arguments(row_entropy, {"eps": eps})
    own = _rows("p", p, p, where)
    return -jnp.sum(own * _log(own, eps), axis=-1)


def _log(x: jax.Array, eps: float) -> jax.Array:
    """log(x + eps), smooth around 0 and finite for any number."""
    floor = jnp.asarray(eps, x.dtype)
    return jnp.log(jnp.where(x < -floor / 2, -floor / 2, x) + floor)


def _rows(
    name: str, x: jax.Array, like: jax.Array, where: jax.Array | None
) -> jax.Array:
    """Checked rows in the type of sums, zeros for those that are dropped."""
    check_floats(name, x, max(jnp.ndim(like), 1))
    check_shape(name, x, jnp.shape(like))
    if where is not None:
        check_shape("where", where, jnp.shape(like)[:-1])
    return kept(x, where).astype(accumulation_dtype(like.dtype))


def both_divergences(p: jax.Array, t: jax.Array) -> jax.Array:
    """The two divergences of ``symmetric_row_divergence``, one after the other.

    Args:
      p: rows ``(..., n)``.
      t: rows, likewise.

    Returns:
      Shape ``(...)``, at the default ``eps``.

    >>> float(both_divergences(jnp.array([0.5, 0.5]), jnp.array([0.5, 0.5])))
    0.0
    """
    a, b = (jnp.log(x + jnp.asarray(1e-4, x.dtype)) for x in (p, t))
    return jnp.sum(p * (a - b), axis=-1) + jnp.sum(t * (b - a), axis=-1)
