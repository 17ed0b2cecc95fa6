"""Networks that are trained to predict the noise of digits."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.studies.denoiser_locality.config import Config
from experiments.studies.dense_nets import dense, dense_params
from experiments.studies.programs import over_seeds, picks, trained


def denoised(
    config: Config, data: jax.Array, noisy: jax.Array
) -> tuple[np.ndarray, np.ndarray]:
    """Denoised images and derivatives of the networks of all seeds.

    Args:
      config: the size of the study.
      data: ``(examples, pixels)``.
      noisy: test images by noise level, ``(levels, test, pixels)``.

    Returns:
      With pixels in order and shuffled, ``(2, levels, test, pixels, seeds)``, and the
      mean derivatives of outputs (rows) by inputs at the middle levels,
      ``(2, middle, pixels, pixels, seeds)``; both in the order of the pixels.
    """

    def run(key: jax.Array, data: jax.Array, noisy: jax.Array) -> Any:
        one, two = jax.random.split(key)
        pixels = data.shape[1]
        order = jnp.arange(pixels)
        orders = jnp.stack([order, jax.random.permutation(one, order)])
        return jax.vmap(lambda order: _run(two, order, data, noisy, config))(orders)

    images, slopes = over_seeds(run, config, data, noisy)
    return np.moveaxis(images, 0, -1), np.moveaxis(slopes, 0, -1)


def _run(
    key: jax.Array, order: jax.Array, data: jax.Array, noisy: jax.Array, config: Config
) -> tuple[jax.Array, jax.Array]:
    own, rows_key, level_key, noise_key = jax.random.split(key, 4)
    alphas = jnp.asarray(config.alphas)
    levels, pixels = len(alphas), data.shape[1]
    shuffled = data[:, order]

    def noise_of(params: Any, x: jax.Array, level: jax.Array) -> jax.Array:
        known = jax.nn.one_hot(level, levels)
        return dense(params, jnp.concatenate([x, known], axis=-1))

    def loss(params: Any, batch: Any) -> jax.Array:
        rows, level, noise = batch
        a = alphas[level][:, None]
        x = jnp.sqrt(a) * shuffled[rows] + jnp.sqrt(1 - a) * noise
        return jnp.mean((noise_of(params, x, level) - noise) ** 2)

    def clean(params: Any, x: jax.Array, level: jax.Array) -> jax.Array:
        a = alphas[level]
        noise = noise_of(params, x, level)
        return (x - jnp.sqrt(1 - a) * noise) / jnp.sqrt(a)

    size = (config.steps, config.batch)
    level = jax.random.randint(level_key, size, 0, levels)
    noise = jax.random.normal(noise_key, (*size, pixels))
    batches = picks(rows_key, *size, len(data)), level, noise
    tx = optax.adam(optax.cosine_decay_schedule(config.rate, config.steps))
    params = dense_params(own, pixels + levels, config.width, config.width, pixels)
    params, _ = trained(loss, tx, params, batches)
    back = jnp.argsort(order)
    every = jax.vmap(jax.vmap(clean, (None, 0, None)), (None, 0, 0))
    images = every(params, noisy[..., order], jnp.arange(levels))[..., back]
    places = jnp.asarray(config.middle)
    slope = jax.vmap(jax.vmap(jax.jacrev(clean, 1), (None, 0, None)), (None, 0, 0))
    slopes = jnp.mean(slope(params, noisy[places][..., order], places), axis=1)
    return images, slopes[:, back][:, :, back]
