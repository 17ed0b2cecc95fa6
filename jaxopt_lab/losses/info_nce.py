"""InfoNCE: paired embeddings told from those of other pairs."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_lab.core.options import POSITIVE, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.unit import unit_rows
from jaxopt_lab.losses.targets import check_floats, check_shape, valid


def info_nce(
    a: jax.Array,
    b: jax.Array,
    *,
    temperature: Annotated[float, POSITIVE] = 0.2,
    symmetric: bool = True,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Contrastive loss of n pairs of embeddings, by their cosines.

    .. math::
        \ell_i = \log \sum_j e^{a_i \cdot b_j / \tau} - \frac{a_i \cdot b_i}{\tau},
        \qquad
        \ell'_i = \log \sum_j e^{a_j \cdot b_i / \tau} - \frac{a_i \cdot b_i}{\tau},

    with embeddings scaled to length 1; :math:`(\ell_i + \ell'_i) / 2` if symmetric,
    else :math:`\ell_i`. It is log n where all cosines are equal.

    Args:
      a: ``(n, D)``; lengths do not matter.
      b: ``(n, D)``, the partners in the same order.
      temperature: :math:`\tau`.
      symmetric: both directions; exchanging ``a`` and ``b`` then changes nothing.
      where: ``(n,)``; 0 drops a pair, also from the candidates of the others.

    Returns:
      Shape ``(n,)``, float32 or float64, at least 0. Pairs are each other's candidates.
      A vector of zeros has cosines 0 and no gradient. Kept for the gradient: the n x n
      logits.

    Raises:
      InputError: shapes that do not belong together, or an option out of range.

    MutDet and MoCo v3 add the two directions and multiply them by :math:`2 \tau`: that
    is :math:`4 \tau` times this loss.

    Source: van den Oord et al., "Representation Learning with Contrastive Predictive
    Coding", 2018 (https://arxiv.org/abs/1807.03748).

    >>> x = jnp.eye(2)
    >>> [f"{loss:.3f}" for loss in info_nce(x, x, temperature=1.0)]  # log(1 + 1 / e)
    ['0.313', '0.313']
    """
    check_arguments(info_nce, {"temperature": temperature, "symmetric": symmetric})
    check_floats("a", a, 2)
    check_floats("b", b, 2)
    check_shape("b", b, jnp.shape(a))
    here = valid(where, a.shape[0], a) > 0
    wide = accumulation_dtype(a.dtype)
    rows = (jnp.where(here[:, None], x.astype(wide), 0) for x in (a, b))
    own, other = map(unit_rows, rows)
    logits = jnp.matmul(own, other.T, precision=jax.lax.Precision.HIGHEST)
    logits = logits / jnp.asarray(temperature, wide)
    # A dropped pair sees itself: of nothing at all the gradient is NaN.
    both = (here[:, None] & here[None]) | (jnp.eye(len(here), dtype=bool))
    logits = jnp.where(both, logits, -jnp.inf)
    right = jnp.diagonal(logits)
    losses = jax.nn.logsumexp(logits, axis=1) - right
    if symmetric:
        losses = (losses + jax.nn.logsumexp(logits, axis=0) - right) / 2
    return jnp.where(here, losses, 0)


def one_way_cross_entropy(
    a: jax.Array, b: jax.Array, *, temperature: float | jax.Array = 0.2
) -> jax.Array:
    """The cross-entropy of each embedding's partner among all, by cosines.

    Args:
      a: ``(n, D)``.
      b: ``(n, D)``.
      temperature: of the logits.

    Returns:
      Shape ``(n,)``: ``info_nce`` in one direction.

    >>> x = jnp.eye(2)
    >>> [f"{loss:.3f}" for loss in one_way_cross_entropy(x, x, temperature=1.0)]
    ['0.313', '0.313']
    """
    cosines = unit_rows(a) @ unit_rows(b).T
    logits = cosines / jnp.asarray(temperature, cosines.dtype)
    return -jnp.diagonal(jax.nn.log_softmax(logits))
