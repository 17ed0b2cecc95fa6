"""Guidance: representations of a network kept near those of a frozen guide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import NON_NEGATIVE, check_arguments
from jaxopt_lab.core.shapes import flattened
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.losses.targets import valid

Representations = jax.Array | Sequence[jax.Array]


def linear_cka(
    x: jax.Array,
    y: jax.Array,
    *,
    debiased: bool = False,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Linear centred kernel alignment of two sets of features of the same examples.

    With the centred features X and Y and their Gram matrices K = X X^T, L = Y Y^T,

    .. math:: \frac{\langle K, L \rangle}{\|K\|_F \, \|L\|_F} \in [0, 1],

    1 where Y is X, rotated and scaled. Debiased, each product is the unbiased estimate
    of the Hilbert-Schmidt independence criterion: without it, features of more
    dimensions than examples look alike whatever they are; of two examples it is 1
    always.

    Args:
      x: ``(n, ...)``; the axes behind the first are features.
      y: ``(n, ...)``, likewise, of any number of features.
      debiased: the unbiased estimates; needs 4 examples, and may be negative.
      where: ``(n,)``; 0 drops an example.

    Returns:
      A number, float32 or float64; 0 with the derivative 0 where a set has no spread
      (one example, or all of them equal). Two n x n matrices are kept for the gradient.

    Raises:
      InputError: the sets have different numbers of examples, or fewer than 4 for
        ``debiased``.

    Source: Kornblith et al., "Similarity of Neural Network Representations Revisited",
    2019 (https://arxiv.org/abs/1905.00414); the unbiased estimate by Song et al. 2012.

    >>> x = jnp.array([[0.0, 1.0], [2.0, 0.0], [0.0, 0.0]])
    >>> f"{linear_cka(x, 3 * x[:, ::-1]):.3f}"
    '1.000'
    """
    if x.ndim < 2 or y.ndim < 2 or x.shape[0] != y.shape[0]:
        raise InputError(
            "x and y must be features (n, ...) of the same examples; got shapes "
            f"{x.shape} and {y.shape}"
        )
    if debiased and x.shape[0] < 4:
        raise InputError(f"debiased needs at least 4 examples; got {x.shape[0]}")
    counts = valid(where, x.shape[0], x)
    k, h = _gram(x, counts), _gram(y, counts)
    if debiased:
        n = jnp.sum(counts)
        cross, own, other = (_unbiased(a, b, n) for a, b in ((k, h), (k, k), (h, h)))
    else:
        cross, own, other = (jnp.sum(a * b) for a, b in ((k, h), (k, k), (h, h)))
    # So written that a NaN passes.
    none = (own <= 0) | (other <= 0)
    # The root of each: the product of both may be below the least number.
    scale = jnp.sqrt(jnp.where(none, 1, own)) * jnp.sqrt(jnp.where(none, 1, other))
    return jnp.where(none, 0, cross / scale)


def guidance(
    outputs: Representations,
    *,
    guide: Representations,
    weight: Annotated[float, NON_NEGATIVE] = 1.0,
    debiased: bool = False,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Sum over pairs of layers of one minus their linear CKA, the guide held constant.

    .. math:: w \sum_l \left(1 - \mathrm{CKA}(X_l, \mathrm{sg}(G_l))\right).

    The guide may be trained or not: what helps a network that is hard to train is the
    architecture.

    Args:
      outputs: representations of the network, an array ``(n, ...)`` or a sequence of
        them, one a layer.
      guide: those of the guide on the same examples, as many.
      weight: w; 0 is no penalty.
      debiased: as of ``linear_cka``.
      where: ``(n,)``; 0 drops an example.

    Returns:
      A number, float32 or float64. Examples are coupled. Cost: for each pair n x n
      matrices and their products with the features.

    Raises:
      InputError: the guide has another number of layers, or as of ``linear_cka``.

    Source: Subramaniam et al., "Training the Untrainable: Introducing Inductive Bias
    via Representational Alignment", 2024 (https://arxiv.org/abs/2410.20035) and its
    code, which has the biased form and the weight 1.

    >>> x = jnp.array([[0.0, 1.0], [2.0, 0.0], [0.0, 0.0]])
    >>> f"{guidance([x, x], guide=[x, 2 * x]):.3f}"
    '0.000'
    """
    check_arguments(guidance, {"weight": weight, "debiased": debiased})
    own, other = list(_listed(outputs)), list(_listed(guide))
    if len(own) != len(other) or not own:
        raise InputError(
            f"guide has {len(other)} layers, the network {len(own)}; accepted: one "
            "layer of the guide for each of the network's, at least one"
        )
    total = jnp.zeros((), accumulation_dtype(own[0].dtype))
    for x, g in zip(own, other, strict=True):
        like = linear_cka(x, jax.lax.stop_gradient(g), debiased=debiased, where=where)
        total = total + (1 - like).astype(total.dtype)
    return jnp.asarray(weight, total.dtype) * total


def _listed(representations: Representations) -> Sequence[jax.Array]:
    if hasattr(representations, "shape"):
        return [jnp.asarray(representations)]
    return [jnp.asarray(layer) for layer in representations]


def _gram(x: jax.Array, counts: jax.Array) -> jax.Array:
    """Gram matrix of centred features, scaled to entries of at most 1."""
    x = flattened(x.astype(accumulation_dtype(x.dtype)))
    here = counts.astype(x.dtype)[:, None]
    x = jnp.where(here > 0, x, 0)
    # Alignment knows no scale; squares of squares would overflow.
    x = x / _largest(x)
    mean = jnp.sum(x, axis=0, keepdims=True) / jnp.maximum(jnp.sum(here), 1)
    centred = jnp.where(here > 0, x - mean, 0)
    # Equal examples leave rounding alone, which is no spread.
    size = jnp.max(jnp.abs(centred), initial=0)
    noise = 8 * jnp.finfo(x.dtype).eps
    centred = jnp.where(size <= noise, 0, centred / _largest(centred))
    return jnp.matmul(centred, centred.T, precision=jax.lax.Precision.HIGHEST)


def _largest(x: jax.Array) -> jax.Array:
    """The largest absolute value, constant; 1 for zeros."""
    size = jax.lax.stop_gradient(jnp.max(jnp.abs(x), initial=0))
    return jnp.where(size == 0, 1, size)


def _unbiased(k: jax.Array, h: jax.Array, n: jax.Array) -> jax.Array:
    """Unbiased independence criterion of n examples, without its last factor."""
    off = 1 - jnp.eye(k.shape[0], dtype=k.dtype)
    k, h = k * off, h * off.astype(h.dtype)
    rows = jnp.sum(jnp.sum(k, axis=0) * jnp.sum(h, axis=0))
    least = jnp.maximum(n, 4)
    every = jnp.sum(k) * jnp.sum(h) / ((least - 1) * (least - 2))
    return jnp.sum(k * h) + every - 2 * rows / (least - 2)
