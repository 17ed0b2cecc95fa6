"""Accuracy under noise, and errors of outputs as predicted and as simulated."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies.dense_nets import accuracy, mean_cross_entropy
from experiments.studies.noisy_hardware.config import Config
from experiments.studies.programs import Labelled, digits, over_seeds, picks, trained
from jaxopt_lab.diagnostics.hardware import (
    crossbar,
    evaluate_under_weight_noise,
    memse,
    relu_moments,
)
from jaxopt_lab.transforms.sharpness import asam, sam, samson

METHODS: Mapping[str, tuple[Any, float]] = {
    "momentum": (None, 0.0),
    "sam": (sam, 0.05),
    "asam": (asam, 0.5),
    "samson": (samson, 0.2),
}
"""A link and its default radius."""

_LEVELS = 2**16


class Measured(NamedTuple):
    """Everything that is measured, by method, of the seeds behind the first half.

    Attributes:
      accuracy: under every noise, ``(seeds, sigmas)``.
      predicted: MemSE's squared error over the squares of the outputs, ``(seeds,)``.
      simulated: the mean of draws, likewise.
      radius: that was chosen.
    """

    accuracy: Mapping[str, np.ndarray]
    predicted: Mapping[str, np.ndarray]
    simulated: Mapping[str, np.ndarray]
    radius: Mapping[str, float]


def measure(config: Config, store: Store) -> Measured:
    """Train with every method and radius, and choose; see ``Experiment.measure``."""
    data = digits()
    rows, found, radius = store.group("runs"), {}, {}
    for method, (link, default) in METHODS.items():
        factors = config.factors if link is not None else (1.0,)
        radii = default * np.array(factors, np.float32)
        take = lambda m=method, r=radii: _of_method(config, m, r, data)
        row = {k: np.asarray(v) for k, v in rows.measured(method, take).items()}
        best = chosen(row["accuracy"])
        half = config.seeds // 2
        found[method] = {k: v[half:, best] for k, v in row.items()}
        radius[method] = float(radii[best])
    of: Any = lambda key: {method: row[key] for method, row in found.items()}
    return Measured(of("accuracy"), of("predicted"), of("simulated"), radius)


def chosen(values: np.ndarray) -> int:
    """The radius of the best mean accuracy over all noises, on the first half.

    Args:
      values: ``(seeds, radii, sigmas)``.

    Returns:
      Its place.
    """
    return int(np.argmax(values[: len(values) // 2].mean(axis=(0, 2))))


def _of_method(config: Config, method: str, radii: np.ndarray, data: Any) -> Any:
    def run(key: jax.Array, radii: jax.Array, train: Any, test: Any) -> Any:
        one = lambda radius: _run(config, method, key, radius, train, test)
        return jax.lax.map(one, radii)

    return over_seeds(run, config, jnp.asarray(radii), *data, loop=True)


def outputs(params: Any, x: jax.Array) -> jax.Array:
    """Scores of a perceptron without offsets.

    Args:
      params: kernels by name.
      x: ``(B, inputs)``.

    Returns:
      ``(B, outputs)``.
    """
    for name in sorted(params)[:-1]:
        x = jax.nn.relu(x @ params[name])
    return x @ params[sorted(params)[-1]]


def predicted_error(params: Any, x: jax.Array, noise: float) -> jax.Array:
    """MemSE's error of the outputs over their squares.

    Args:
      params: of ``outputs``.
      x: the inputs.
      noise: of a device, over the largest conductance.

    Returns:
      A number.
    """
    layers: list[Any] = []
    for name in sorted(params):
        layers += [crossbar(params[name].T, noise=noise, levels=_LEVELS), relu_moments]
    target = outputs(params, x)
    error = memse(layers[:-1], x, target).error
    return jnp.sum(error) / jnp.sum(target**2)


def simulated_error(
    params: Any, x: jax.Array, noise: float, key: jax.Array, draws: int
) -> jax.Array:
    """The same from draws; a pair of devices has twice the variance of one.

    Args:
      params: of ``outputs``.
      x: the inputs.
      noise: of a device.
      key: of the draws.
      draws: their number.

    Returns:
      A number.
    """
    target = outputs(params, x)

    def score(params: Any, x: jax.Array) -> jax.Array:
        return jnp.sum((outputs(params, x) - target) ** 2) / jnp.sum(target**2)

    sigma = float(np.sqrt(2) * noise)
    found = evaluate_under_weight_noise(score, params, x, key, sigma=sigma, draws=draws)
    return found.value


def _run(
    config: Config,
    method: str,
    key: jax.Array,
    radius: jax.Array,
    train: Labelled,
    test: Labelled,
) -> Any:
    keys = jax.random.split(key, 5)
    sizes = (64, config.width, config.width, 10)
    params = {
        f"kernel_{i}": jax.random.normal(jax.random.fold_in(keys[0], i), s)
        * (2 / s[0]) ** 0.5
        for i, s in enumerate(pairwise(sizes))
    }
    index = picks(keys[1], config.steps, config.batch, train.labels.shape[0])
    link = METHODS[method][0]
    base = optax.sgd(config.rate, 0.9)
    tx = base if link is None else optax.chain(link(radius), base)

    def loss(params: Any, index: jax.Array) -> jax.Array:
        scores = outputs(params, train.inputs[index])
        return mean_cross_entropy(scores, train.labels[index])

    params, _ = trained(loss, tx, params, index)
    right = lambda p, test: accuracy(outputs(p, test.inputs), test.labels)
    noisy = evaluate_under_weight_noise(
        right, params, test, keys[2], sigma=config.sigmas, draws=config.draws
    )
    x, noise = test.inputs[: config.examples], config.device_noise
    return {
        "accuracy": noisy.value,
        "predicted": predicted_error(params, x, noise),
        "simulated": simulated_error(params, x, noise, keys[3], 5 * config.draws),
    }
