"""Noise on the weights, as hardware adds it."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.typing import Params, Scalar


def with_weight_noise(params: Params, level: Scalar, key: jax.Array) -> Params:
    r"""Weights of noisy hardware, :math:`W_l + N(0, (s \max|W_l|)^2)` for kernels.

    Args:
      params: the parameters.
      level: s; 0 gives the parameters themselves.
      key: typed key.

    Returns:
      Parameters of the same structure; biases are those of ``params``.

    Memory: one tree like the parameters.

    >>> params = {"kernel": jnp.ones(4), "bias": jnp.zeros(4)}
    >>> found = with_weight_noise(params, 0.1, jax.random.key(0))
    >>> bool(jnp.any(found["kernel"] != 1)), bool(jnp.all(found["bias"] == 0))
    (True, True)
    """
    leaves, structure = jax.tree.flatten(params)
    keys = jax.tree.unflatten(structure, list(jax.random.split(key, len(leaves))))
    is_kernel = trees.everything_but("bias")(params)

    def noisy(w: jax.Array, kernel: bool, key: jax.Array) -> jax.Array:
        if not kernel:
            return w
        scale = jnp.asarray(level, w.dtype) * jnp.max(jnp.abs(w))
        return w + scale * jax.random.normal(key, w.shape, w.dtype)

    return jax.tree.map(noisy, params, is_kernel, keys)
