"""Initializers that jax does not have, with jax's signature."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError


def lecun_normal_untruncated(
    key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
) -> jax.Array:
    r"""Normal numbers of variance one over the number of inputs, not truncated.

    .. math:: w \sim \mathcal N(0, 1/n), \quad n = \prod_{i < d} \text{shape}_i.

    The initializer that self-normalizing networks (SELU) assume. ``lecun_normal`` of
    jax and flax has the same variance but draws from a normal distribution cut at two
    standard deviations, whose fourth moment is 2.37 instead of 3 times the squared
    variance.

    Args:
      key: a typed or raw PRNG key.
      shape: of a kernel, ``(..., inputs, outputs)``: the last axis is the outputs, all
        others, a receptive field among them, count as inputs.
      dtype: a floating type; types narrower than float32 are drawn in float32 and
        rounded once.

    Returns:
      An array of this shape and dtype. No gradient flows into the key; 4 bytes of
      temporaries an element for narrow types, otherwise none.

    Raises:
      InputError: fewer than two axes, an axis of inputs is empty, or ``dtype`` is no
        real floating type.

    Source: Klambauer et al., "Self-Normalizing Neural Networks", 2017
    (https://arxiv.org/abs/1706.02515).

    >>> w = lecun_normal_untruncated(jax.random.key(0), (256, 64))
    >>> round(float(jnp.var(w)) * 256, 1)
    1.0
    """
    if len(shape) < 2:
        raise InputError(
            f"shape must have at least two axes, (..., inputs, outputs); got {shape}"
        )
    if not jnp.issubdtype(dtype, jnp.floating):
        raise InputError(f"dtype must be a real floating type; got {dtype}")
    inputs = math.prod(shape[:-1])
    if inputs == 0:
        raise InputError(f"shape must have at least one input; got {shape}")
    dtype = jax.dtypes.canonicalize_dtype(dtype)
    wide = dtype if jnp.finfo(dtype).bits >= 32 else jnp.dtype(jnp.float32)
    normal = jax.random.normal(key, shape, wide)
    return (normal * jnp.asarray(1 / math.sqrt(inputs), wide)).astype(dtype)
