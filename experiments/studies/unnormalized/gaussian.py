"""A Gaussian whose mean is far from the noise."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.studies.programs import over_seeds
from experiments.studies.unnormalized.config import Config
from jaxopt_lab.losses import meco, noise_contrastive

LOG_Z = 0.5 * math.log(2 * math.pi)
"""Of the model; noise contrast is given it at the start."""


def arrivals(config: Config) -> dict[str, np.ndarray]:
    """Steps until the model's mean is near that of the data.

    Args:
      config: the size of the study.

    Returns:
      ``"meco"`` and ``"nce"``, ``(rates, seeds)``.
    """
    rates = jnp.asarray(config.gaussian_rates)

    def run(key: jax.Array, rates: jax.Array) -> Any:
        return jax.vmap(lambda rate: _run(key, rate, config))(rates)

    found = over_seeds(run, config, rates)
    return {name: steps.T for name, steps in found.items()}


def _run(key: jax.Array, rate: jax.Array, config: Config) -> dict[str, jax.Array]:
    running = meco(averaging=config.averaging)
    size = (config.batch,)

    def step(carry: Any, key: jax.Array) -> Any:
        (theta, state), both = carry
        one, two = jax.random.split(key)
        x = config.mean + jax.random.normal(one, size)
        noise = config.width * jax.random.normal(two, size)
        f = lambda x, theta: -((x - theta) ** 2) / 2
        q = lambda x: log_normal(x, config.width)

        def of_meco(theta: jax.Array) -> Any:
            given = {"noise": f(noise, theta), "log_q": q(noise)}
            losses, after = running.apply(state, f(x, theta), **given)
            return jnp.mean(losses), after

        def of_nce(both: jax.Array) -> jax.Array:
            given = {"noise": f(noise, both[0]), "log_q_noise": q(noise)}
            losses = noise_contrastive(
                f(x, both[0]), log_q=q(x), log_z=both[1], **given
            )
            return jnp.mean(losses)

        slope, after = jax.grad(of_meco, has_aux=True)(theta)
        theta, both = theta - rate * slope, both - rate * jax.grad(of_nce)(both)
        return ((theta, after), both), jnp.stack([theta, both[0]])

    start = jnp.zeros(()), running.init(jnp.zeros(size))
    keys = jax.random.split(key, config.limit)
    _, means = jax.lax.scan(step, (start, jnp.array([0.0, LOG_Z])), keys)
    there = jnp.abs(means - config.mean) < config.near
    first = jnp.where(jnp.any(there, axis=0), jnp.argmax(there, axis=0) + 1, len(keys))
    return {"meco": first[0], "nce": first[1]}


def log_normal(x: Any, width: float) -> Any:
    """Log-density of a normal of mean 0.

    Args:
      x: points.
      width: standard deviation.

    Returns:
      In the shape of ``x``.
    """
    return -((x / width) ** 2) / 2 - math.log(width) - LOG_Z


def curvatures(thetas: np.ndarray, config: Config) -> np.ndarray:
    """Curvature of the loss of noise contrast by the model's mean, by quadrature.

    Args:
      thetas: means of the model; the normalizer is exact.
      config: the size of the study.

    Returns:
      In the shape of ``thetas``; that of the likelihood is 1 everywhere.
    """
    x = np.linspace(-40.0, 40.0, 16001)
    q = log_normal(x, config.width)
    data, noise = np.exp(log_normal(x - config.mean, 1.0)), np.exp(q)
    logit = log_normal(x[None] - thetas[:, None], 1.0) - q[None]
    # Of softplus(-s) and softplus(s) with ds / dtheta = x - theta, d2s = -1.
    share = 1 / (1 + np.exp(-np.clip(logit, -500, 500)))
    slope = (x[None] - thetas[:, None]) ** 2 * share * (1 - share)
    each = (data + noise)[None] * slope + data * (1 - share) - noise * share
    return np.sum(each, axis=1) * (x[1] - x[0])
