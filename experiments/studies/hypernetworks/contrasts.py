"""Hypernetworks of the contrast of digits."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.studies import dense_nets, programs
from experiments.studies.hypernetworks.config import Config
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.layers import hypernetwork

ARMS: dict[str, dict[str, Any]] = {
    "default": {"encoding": "none", "additive": False},
    "encoding": {"additive": False},
    "additive": {"encoding": "none"},
    "MIP": {},
}
"""Options of the hypernetwork, by arm."""
POINTS = 11
"""Contrasts over which the variance of the predicted layer is taken."""


def net(config: Config, arm: str) -> Functional:
    """The hypernetwork of an arm.

    Args:
      config: the size of the study.
      arm: of ``ARMS``.

    Returns:
      The hypernetwork of one number.
    """
    shape = lambda *size: jax.ShapeDtypeStruct(size, jnp.float32)
    sizes = ((64, config.target), (config.target, 10))
    target = [{"kernel": shape(a, b), "bias": shape(b)} for a, b in sizes]
    return hypernetwork(1, target=target, hidden=config.hidden, **ARMS[arm])


def with_contrast(x: jax.Array, z: jax.Array) -> jax.Array:
    """Images between themselves, z = 0, and their negatives, z = 1."""
    return (1 - z) * x + z * (1 - x)


def run(
    config: Config, arm: str, start: Any, key: jax.Array, train: Any
) -> dict[str, Any]:
    """Losses of every step, at every rate of momentum and of Adam.

    Args:
      config: the size of the study.
      arm: of ``ARMS``.
      start: parameters.
      key: of contrasts and images.
      train: digits.

    Returns:
      ``losses`` ``(cells, steps)``, and ``spread``, the variance over contrasts of the
      norm of the first predicted layer's result, over its squared mean.
    """
    hyper, keys = net(config, arm), jax.random.split(key)
    size = (config.steps, config.contrasts)
    zs = jax.random.uniform(keys[0], (*size, 1))
    at = programs.picks(
        keys[1], config.steps, config.contrasts * config.batch, len(train.labels)
    ).reshape(*size, config.batch)
    predict = lambda params, z: hyper.apply(params, {}, z, train=True)[0]

    def loss(params: Any, batch: Any) -> jax.Array:
        z, at = batch

        def one(target: Any, z: jax.Array, at: jax.Array) -> jax.Array:
            scores = dense_nets.dense(target, with_contrast(train.inputs[at], z))
            return dense_nets.mean_cross_entropy(scores, train.labels[at])

        return jnp.mean(jax.vmap(one)(predict(params, z), z, at))

    def losses(cell: Any) -> jax.Array:
        by_adam, rate = cell
        both = optax.trace(0.9), optax.scale_by_adam()

        def update(updates: Any, state: Any, params: Any = None) -> Any:
            del params
            found = [tx.update(updates, s) for tx, s in zip(both, state, strict=True)]
            pick = lambda a, b: -rate * jnp.where(by_adam, b, a)
            picked = jax.tree.map(pick, found[0][0], found[1][0])
            return picked, tuple(state for _, state in found)

        init = lambda params: tuple(tx.init(params) for tx in both)
        tx = optax.GradientTransformation(init, update)
        return programs.trained(loss, tx, start, (zs, at))[1]

    rates = jnp.asarray((*config.sgd_rates, *config.adam_rates))
    kinds = jnp.arange(len(rates)) >= len(config.sgd_rates)
    targets = predict(start, jnp.linspace(0, 1, POINTS)[:, None])
    first = jnp.einsum("ni,zio->zno", train.inputs[:64], targets[0]["kernel"])
    norms = jnp.sqrt(jnp.sum(first**2, axis=(1, 2)))
    spread = jnp.var(norms) / jnp.mean(norms) ** 2
    return {"losses": jax.vmap(losses)((kinds, rates)), "spread": spread}


def steps_to(losses: np.ndarray, config: Config) -> np.ndarray:
    """Steps until the mean of the last losses is as low as wanted.

    Args:
      losses: ``(..., steps)``.
      config: gives the loss and the window.

    Returns:
      ``(...)``, as many steps as there are where it is never reached.
    """
    window, steps = config.window, losses.shape[-1]
    known = np.nan_to_num(np.asarray(losses, float), nan=1e6, posinf=1e6)
    sums = np.cumsum(known, axis=-1)
    means = sums[..., window - 1 :].copy()
    means[..., 1:] -= sums[..., :-window]
    low = means / window <= config.reached
    return np.where(low.any(-1), low.argmax(-1) + window, steps).astype(float)
