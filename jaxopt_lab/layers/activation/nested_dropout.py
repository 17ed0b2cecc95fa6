"""Nested dropout: a random number of first features is kept, the others are zero."""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Call, Functional, stateful_layer
from jaxopt_lab.core.options import (
    COUNT,
    COUNT_OR_ZERO,
    NON_NEGATIVE,
    STATIC,
    Interval,
    check_arguments,
)
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.layers.masks import needed_key, over_features, without_padding


def nested_dropout(
    features: Annotated[int, COUNT],
    *,
    scale: Annotated[float, NON_NEGATIVE, STATIC] = 10.0,
    mean: Annotated[float, Interval(), STATIC] = 0.0,
    keep: Annotated[int, COUNT_OR_ZERO] = 0,
) -> Functional:
    r"""Keep the first k features of a batch, with one k for all its examples.

    .. math:: y_j = [j \le k] \, x_j, \qquad
        P(k) \propto e^{-((k - \mu) / \sigma)^2}, \quad k = 1 .. D.

    Nothing is rescaled. The features so get an order, the first ones carrying most: in
    front of a linear classifier without bias, a model can be cut afterwards.

    Args:
      features: D, size of the last axis.
      scale: :math:`\sigma`; 10 on CIFAR-10, 100 on CIFAR-100 in the paper. 0 keeps all
        features.
      mean: :math:`\mu`.
      keep: number of first features that evaluation keeps; 0: all. ``prefix_logits``
        tells which number is best.

    Returns:
      ``init(key=None) -> ({}, {})`` and ``apply(params, state, x, *, train, key=None,
      axis_name=None, mask=None) -> (y, state)``. ``x`` is ``(..., features)`` of any
      floating type. Training needs ``key`` unless ``scale`` is 0. ``mask``, of the
      leading axes of ``x``, is 0 for padding, which gives 0. Devices of one key have
      one k. Kept for the gradient: a byte an element, and zeros that ``jit`` folds.

    Raises:
      InputError: an argument is out of range, or ``keep`` exceeds ``features``; at the
        call, the input does not fit, or there is no key to draw with.

    Source: Rippel, Gelbart and Adams, "Learning Ordered Representations with Nested
    Dropout", arXiv:1402.0915; distribution and use of Chen et al., arXiv:2104.13766
    (code yingyichen-cyy/Nested-Co-teaching, where a drawn 0 becomes D - 1; here k is
    at least 1).

    >>> drop = nested_dropout(4, keep=3)
    >>> drop.apply({}, {}, jnp.ones((1, 4)), train=False)[0].tolist()
    [[1.0, 1.0, 1.0, 0.0]]
    """
    check_arguments(nested_dropout, locals())
    if keep > features:
        raise InputError(f"keep={keep} exceeds the {features} features")

    def init(key: jax.Array | None = None) -> tuple[Any, Any]:
        return {}, {}

    def apply(
        params: Params, state: ModelState, x: jax.Array, call: Call
    ) -> tuple[jax.Array, ModelState]:
        valid = over_features("nested_dropout", x, features, call.mask)
        if call.train and scale > 0:
            key = needed_key("nested_dropout", f"{scale=}", call.key)
            x = first_features(x, sample_prefix(key, features, mean=mean, scale=scale))
        elif not call.train and keep:
            x = first_features(x, keep)
        return without_padding(x, valid), state

    return stateful_layer(init, apply)


def first_features(x: jax.Array, k: ArrayLike) -> jax.Array:
    """The first k features, zeros for the others.

    Args:
      x: ``(..., D)``.
      k: their number.

    Returns:
      Of the shape and type of ``x``.

    >>> first_features(jnp.ones(3), 2).tolist()
    [1.0, 1.0, 0.0]
    """
    places = jnp.arange(x.shape[-1], dtype=jnp.int32)
    inside = places < jnp.asarray(k, jnp.int32)
    return jnp.where(inside.reshape(*(1,) * (x.ndim - 1), -1), x, 0)


def sample_prefix(
    key: jax.Array, dim: int, *, mean: float = 0.0, scale: float = 10.0
) -> jax.Array:
    r"""A number k from 1 to D with :math:`P(k) \propto e^{-((k - \mu) / \sigma)^2}`.

    Args:
      key: typed PRNG key.
      dim: D.
      mean: :math:`\mu`.
      scale: :math:`\sigma`, above 0.

    Returns:
      int32.

    >>> int(sample_prefix(jax.random.key(0), 5, scale=1e-3))
    1
    """
    below = np.cumsum(prefix_probabilities(dim, mean=mean, scale=scale))[:-1]
    draw = jax.random.uniform(key, (), jnp.float32)
    return 1 + jnp.sum(draw >= jnp.asarray(below, jnp.float32), dtype=jnp.int32)


def prefix_probabilities(
    dim: int, *, mean: float = 0.0, scale: float = 10.0
) -> np.ndarray:
    """P(k) for k from 1 to D, of ``sample_prefix``.

    Args:
      dim: D.
      mean: as there.
      scale: as there.

    Returns:
      float64 ``(D,)``.

    >>> prefix_probabilities(1).tolist()
    [1.0]
    """
    power = -(((np.arange(1, dim + 1) - mean) / scale) ** 2)
    weight = np.exp(power - power.max())
    return weight / weight.sum()


def prefix_logits(x: jax.Array, kernel: jax.Array) -> jax.Array:
    r"""Logits of a linear classifier without bias for every number of features.

    .. math:: z_k = \sum_{j \le k} x_j w_j, \quad k = 1 .. D.

    Args:
      x: features, ``(B, D)``.
      kernel: w, ``(D, C)``.

    Returns:
      Shape ``(D, B, C)``, float32 or float64; entry k - 1 is that of k features.

    >>> prefix_logits(jnp.ones((1, 3)), jnp.ones((3, 1))).ravel().tolist()
    [1.0, 2.0, 3.0]
    """
    wide = accumulation_dtype(x.dtype)
    each = x.astype(wide).T[:, :, None] * kernel.astype(wide)[:, None, :]
    return jnp.cumsum(each, axis=0)
