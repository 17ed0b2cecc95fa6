"""Layers whose spectra have tails of different weight."""

import jax.numpy as jnp
import numpy as np


def gaussian(seed, *shape, power=1):
    draw = np.random.default_rng(seed).normal(size=shape)
    return jnp.asarray(draw**power)


def network(layers=5, width=8):
    """Layers of different tails, with a bias each and a lone scale."""
    params = {
        f"layer{i}": {
            "kernel": gaussian(i, width, width, power=2 * (i % 3) + 1),
            "bias": jnp.ones(width),
        }
        for i in range(1, layers + 1)
    }
    return {**params, "norm": {"scale": jnp.ones(width)}}
