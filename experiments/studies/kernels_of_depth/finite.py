"""Tangent kernels of finite networks against those of infinite width."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.studies import programs
from experiments.studies.kernels_of_depth.config import Config
from jaxopt_lab.diagnostics import deep_ntk, hilbert_dual, relu_dual
from jaxopt_lab.layers import hilbert_activation


def tangent_kernel(
    key: jax.Array, x: jax.Array, activation: Any, width: int, layers: int
) -> jax.Array:
    """The tangent kernel of a random network, every layer over the root of its inputs.

    Args:
      key: of the standard normal weights.
      x: ``(n, d)``, of norm 1.
      activation: elementwise.
      width: of the hidden layers.
      layers: number of hidden layers.

    Returns:
      ``(n, n)``.
    """
    sizes = (x.shape[1], *[width] * layers, 1)
    keys = jax.random.split(key, layers + 1)
    weights = [
        jax.random.normal(k, (a, b))
        for k, a, b in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]

    def apply(weights: Any, x: jax.Array) -> jax.Array:
        h = x[None] @ weights[0]
        for w in weights[1:]:
            h = activation(h) @ w / jnp.sqrt(jnp.asarray(width, h.dtype))
        return h[0, 0]

    grads = jax.vmap(lambda x: jax.grad(apply)(weights, x))(x)
    flat = [g.reshape(len(x), -1) for g in grads]
    return jnp.sum(jnp.stack([g @ g.T for g in flat]), axis=0)


def finite_kernels(config: Config) -> dict[str, np.ndarray]:
    """Errors of finite networks' tangent kernels, of inputs on a quarter of a circle.

    Args:
      config: the size of the study.

    Returns:
      Root mean square errors over the kernel of an input with itself, ``{activation:
      (seeds, widths)}``.
    """
    angles = np.linspace(0, np.pi / 2, config.points)
    x = jnp.asarray(np.stack([np.cos(angles), np.sin(angles)], 1), jnp.float32)
    gram = (x @ x.T).at[jnp.diag_indices(config.points)].set(1.0)
    cubic = lambda h: hilbert_activation(h.shape[-1]).apply({}, {}, h, train=True)[0]
    kinds = {
        "relu": (lambda h: jnp.sqrt(2.0) * jax.nn.relu(h), relu_dual()),
        "hilbert": (cubic, hilbert_dual(2)),
    }

    def run(key: jax.Array, x: jax.Array, gram: jax.Array) -> dict[str, jax.Array]:
        found = {}
        for name, (activation, dual) in kinds.items():
            exact = deep_ntk(dual, gram, depth=config.layers).tangent
            errors = []
            for i, width in enumerate(config.widths):
                own = jax.random.fold_in(key, i)
                kernel = tangent_kernel(own, x, activation, width, config.layers)
                errors.append(jnp.sqrt(jnp.mean((kernel - exact) ** 2)) / exact[0, 0])
            found[name] = jnp.stack(errors)
        return found

    return programs.over_seeds(run, config, x, gram, loop=True)
