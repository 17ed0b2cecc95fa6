"""Pairwise models of a few bits, whose every state can be visited."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.studies.programs import over_seeds
from experiments.studies.unnormalized.config import Config
from jaxopt_lab.losses import meco, noise_contrastive

METHODS = ("exact", "meco", "importance", "nce")


def features(bits: int) -> np.ndarray:
    """The signs and the products of two signs of every state.

    Args:
      bits: of a state.

    Returns:
      float32, ``(2 ** bits, bits + bits (bits - 1) / 2)``, all 1 or -1.

    >>> features(2).tolist()[1]
    [1.0, -1.0, -1.0]
    """
    numbers = np.arange(2**bits)[:, None]
    signs = 2.0 * ((numbers >> np.arange(bits)[None]) & 1) - 1
    first, second = np.triu_indices(bits, 1)
    pairs = signs[:, first] * signs[:, second]
    return np.concatenate([signs, pairs], axis=1).astype(np.float32)


def divergences(config: Config) -> dict[str, np.ndarray]:
    """Divergence of the data's distribution from the trained model's, in nats.

    Args:
      config: the size of the study.

    Returns:
      By method ``(rates, seeds)``; not finite where a run diverged.
    """
    table, rates = jnp.asarray(features(config.bits)), jnp.asarray(config.rates)

    def run(key: jax.Array, table: jax.Array, rates: jax.Array) -> Any:
        drawn = _drawn(key, table, config)
        of = lambda name: jax.vmap(lambda rate: _run(name, rate, table, drawn, config))
        return {name: of(name)(rates) for name in METHODS}

    found = over_seeds(run, config, table, rates)
    return {name: values.T for name, values in found.items()}


class _Drawn(NamedTuple):
    log_p: jax.Array
    log_q: jax.Array
    rows: jax.Array
    noise: jax.Array


def _drawn(key: jax.Array, table: jax.Array, config: Config) -> _Drawn:
    """Log-probabilities of the data and the noise, and the states of all batches."""
    own, data_key, noise_key = jax.random.split(key, 3)
    teacher = config.coupling * jax.random.normal(own, table.shape[1:])
    log_p = jax.nn.log_softmax(table @ teacher)
    # The noise: independent bits, halfway between the data's and fair ones.
    means = jnp.exp(log_p) @ table[:, : config.bits] / 2
    log_q = jnp.sum(jnp.log((1 + table[:, : config.bits] * means[None]) / 2), axis=1)

    def draw(key: jax.Array, logs: jax.Array) -> jax.Array:
        uniform = jax.random.uniform(key, (config.steps, config.batch))
        # Not categorical, which draws a number for every state.
        found = jnp.searchsorted(jnp.cumsum(jnp.exp(logs)), uniform)
        return jnp.minimum(found, len(logs) - 1)

    return _Drawn(log_p, log_q, draw(data_key, log_p), draw(noise_key, log_q))


def _run(
    name: str, rate: jax.Array, table: jax.Array, drawn: _Drawn, config: Config
) -> jax.Array:
    log_p, log_q = drawn.log_p, drawn.log_q
    # With the newest estimate alone it is importance sampling.
    running = meco(averaging=config.averaging if name == "meco" else 1.0)

    def step(carry: Any, given: Any) -> Any:
        params, state = carry
        rows, noise, rate = given

        def loss(params: Any) -> Any:
            f = table @ params["theta"]
            sampled = {"noise": f[noise], "log_q": log_q[noise]}
            if name in ("meco", "importance"):
                losses, after = running.apply(state, f[rows], **sampled)
                return jnp.mean(losses), after
            if name == "nce":
                losses = noise_contrastive(
                    f[rows],
                    log_q=log_q[rows],
                    noise=f[noise],
                    log_q_noise=log_q[noise],
                    log_z=params["log_z"],
                )
            else:
                losses = jax.nn.logsumexp(f) - f[rows]
            return jnp.mean(losses), state

        grads, state = jax.grad(loss, has_aux=True)(params)
        params = jax.tree.map(lambda p, g: p - rate * g, params, grads)
        return (params, state), None

    falling = rate * (1 - jnp.arange(config.steps) / config.steps)
    # Noise contrast starts with the exact normalizer.
    log_z = jnp.log(jnp.asarray(float(len(table))))
    params = {"theta": jnp.zeros(table.shape[1]), "log_z": log_z}
    start = params, running.init(jnp.zeros(config.batch))
    (params, _), _ = jax.lax.scan(step, start, (drawn.rows, drawn.noise, falling))
    log_model = jax.nn.log_softmax(table @ params["theta"])
    return jnp.sum(jnp.exp(log_p) * (log_p - log_model))
