"""Signals of a band, and networks of sines fitted to them."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies.implicit_images.config import Config
from experiments.studies.programs import trained
from jaxopt_lab.layers import (
    WinnerScales,
    siren,
    spectral_centroid,
    winner_init,
    winner_scales,
)


class Measured(NamedTuple):
    """Peak signal-to-noise ratios, by band.

    Attributes:
      psnr: in dB, ``(seeds, factors)``, of the best learning rate.
      centroids: of the signals, ``(seeds,)``.
    """

    psnr: dict[str, np.ndarray]
    centroids: dict[str, np.ndarray]


def measure(config: Config, store: Store) -> Measured:
    """Fit the network to a signal of every band and seed, from every scale of noise.

    See ``Experiment.measure``.
    """
    rows, found = store.group("runs"), {}
    seeds = jnp.arange(config.first_seed, config.first_seed + config.seeds)
    for name, low, high in config.bands:
        run = jax.jit(lambda s, b=(low, high): jax.lax.map(_of_seed(config, b), s))
        take = lambda run=run: {n: np.asarray(v) for n, v in run(seeds).items()}
        found[name] = rows.measured(name, take)
    of = lambda key: {band: np.asarray(row[key]) for band, row in found.items()}
    return Measured(of("psnr"), of("centroid"))


def signal(
    key: jax.Array, samples: int, band: tuple[int, int], waves: int
) -> jax.Array:
    """A sum of cosines of whole numbers of cycles, from a band, with largest value 1.

    Args:
      key: of cycles, phases and amplitudes.
      samples: of the signal.
      band: lowest and highest number of cycles.
      waves: number of cosines.

    Returns:
      ``(samples, 1)``.
    """
    keys = jax.random.split(key, 3)
    cycles = jax.random.randint(keys[0], (waves, 1), band[0], band[1] + 1)
    phase = jax.random.uniform(keys[1], (waves, 1), maxval=2 * jnp.pi)
    size = jax.random.uniform(keys[2], (waves, 1), minval=0.5)
    at = jnp.arange(samples)[None] / samples
    y = jnp.sum(size * jnp.cos(2 * jnp.pi * cycles * at + phase), axis=0)
    return (y / jnp.max(jnp.abs(y)))[:, None]


def psnr(y: jax.Array, target: jax.Array) -> jax.Array:
    """Peak signal-to-noise ratio in dB, of signals scaled from [-1, 1] to [0, 1].

    Args:
      y: the fit.
      target: the signal.

    Returns:
      A number.
    """
    return -10 * jnp.log10(jnp.mean(((y - target) / 2) ** 2))


def _of_seed(config: Config, band: tuple[int, int]) -> Any:
    net = siren(1, hidden=config.hidden, depth=config.depth, out=1)
    x = jnp.linspace(-1, 1, config.samples)[:, None]

    def fitted(params: Any, target: jax.Array, rate: jax.Array) -> jax.Array:
        tx = optax.chain(optax.scale_by_adam(), optax.scale_by_learning_rate(rate))
        apply = lambda p: net.apply(p, {}, x, train=True)[0]
        loss = lambda p, _: jnp.mean((apply(p) - target) ** 2)
        params, _ = trained(loss, tx, params, jnp.arange(config.steps))
        return psnr(apply(params), target)

    def run(seed: jax.Array) -> dict[str, jax.Array]:
        keys = jax.random.split(jax.random.key(seed), 3)
        target = signal(keys[0], config.samples, band, config.waves)
        centroid = spectral_centroid(target)
        scales = winner_scales(centroid, axes=1)
        params = net.init(keys[1])[0]

        def with_noise(factor: jax.Array) -> Any:
            own = WinnerScales(factor * scales.first, factor * scales.second)
            return winner_init(params, keys[2], scales=own)

        def of(factor: jax.Array) -> jax.Array:
            start = with_noise(factor)
            rates = jnp.asarray(config.rates)
            return jnp.max(jax.vmap(lambda r: fitted(start, target, r))(rates))

        factors = jnp.asarray(config.factors)
        return {"psnr": jax.vmap(of)(factors), "centroid": centroid}

    return run
