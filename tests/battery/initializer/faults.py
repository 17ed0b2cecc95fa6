"""Broken initializers."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from battery.faults import plant
from battery.initializer.checks import WITHOUT
from battery.initializer.toy import TOY, broken, example, scaled, with_init
from battery.parts.common_faults import plant_common


def documented(text: str):
    """The toy with another docstring; its own where there is none."""

    def build(key, shape, dtype=jnp.float32, *, scale: float = 0.5):
        return scaled(key, shape, dtype, scale=scale)

    build.__doc__ = text or scaled.__doc__
    return dataclasses.replace(TOY, name="documented", build=build)


plant_common(
    "initializer", broken, documented=documented, example=example, without=WITHOUT
)


def truncated(key, shape, dtype, scale):
    numbers = jax.random.truncated_normal(key, -2.0, 2.0, shape, dtype)
    return numbers * jnp.asarray(scale / 0.87962566103423978, dtype)


def of_rank_one(key, shape, dtype, scale):
    rows = scaled(key, (shape[0], 1), dtype, scale=1.0)
    return rows * jnp.cos(jnp.arange(shape[1], dtype=dtype))[None]


def one_key(key, shape, dtype, scale):
    return scaled(jax.random.key(0), shape, dtype, scale=scale)


def typed_only(key, shape, dtype, scale):
    if not jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key):
        key = key[::-1]
    return scaled(key, shape, dtype, scale=scale)


FAULTS = (
    ("truncated", "moments", "kurtosis", with_init(truncated)),
    (
        "another variance",
        "moments",
        "variance",
        broken(lambda r, given: 1.1 * r),
    ),
    ("shifted", "moments", "mean", broken(lambda r, given: r + 0.05)),
    ("rank one", "spectrum", "singular value", with_init(of_rank_one)),
    ("one key", "keys", "another key", with_init(one_key)),
    ("typed keys only", "keys", "raw key", with_init(typed_only)),
)
for name, aim, words, row in FAULTS:
    plant("initializer", name, aim, words, row)
