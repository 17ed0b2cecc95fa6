"""Eigenvalues of batches, and learning rates at which training goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies.batch_hessian.config import Config
from experiments.studies.programs import trained
from jaxopt_lab.core import trees
from jaxopt_lab.curvature import (
    batch_eigenvalue,
    compress,
    exact_threshold,
    ggn_hessians,
    hessian,
    lanczos,
)
from jaxopt_lab.curvature.stability.element_variance import element_variance
from jaxopt_lab.data import load_digits

Batch = tuple[jax.Array, jax.Array]


class Point(NamedTuple):
    """A network and its data.

    Attributes:
      params: where everything is measured and every training begins.
      x: flat images, shape ``(N, pixels)``.
      y: their classes.
      loss: loss there over all examples.
    """

    params: Any
    x: jax.Array
    y: jax.Array
    loss: float


class Spectra(NamedTuple):
    """Extremal eigenvalues.

    Attributes:
      largest: of each batch, shape ``(batch sizes, batches)``.
      smallest: likewise.
      whole: largest and smallest of the whole set's Hessian.
      residual: largest residual of all, relative to the largest eigenvalue beside it.
      variance: of the elements of one example's Hessian, and its standard error.
      predicted: largest and smallest that random matrix theory gives for each batch
        size, shape ``(2, batch sizes)``.
      num_params: P.
    """

    largest: np.ndarray
    smallest: np.ndarray
    whole: tuple[float, float]
    residual: float
    variance: tuple[float, float]
    predicted: np.ndarray
    num_params: int


def mlp(params: Any, x: jax.Array) -> jax.Array:
    """A perceptron with one hidden layer of tanh, smooth as Hessians want it.

    Args:
      params: ``one``, ``bias``, ``two``, ``head``.
      x: flat images.

    Returns:
      Logits.
    """
    hidden = jnp.tanh(x @ params["one"] + params["bias"][None])
    return hidden @ params["two"] + params["head"][None]


def loss_fn(params: Any, batch: Batch) -> jax.Array:
    """Mean cross-entropy of a batch."""
    x, y = batch
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(mlp(params, x), y))


def prepare(config: Config, images: np.ndarray, labels: np.ndarray) -> Point:
    """Initialise the network and train it a little, with full batches.

    Args:
      config: the size of the experiment.
      images: digits.
      labels: their classes.

    Returns:
      The point.
    """
    rng = np.random.default_rng(config.first_seed)
    chosen = rng.permutation(len(images))[: config.examples]
    x = jnp.asarray(np.asarray(images)[chosen].reshape(len(chosen), -1), jnp.float32)
    y = jnp.asarray(labels[chosen], jnp.int32)
    pixels, width, classes = x.shape[1], config.width, 10
    draw = lambda *shape: jnp.asarray(
        rng.normal(size=shape) / shape[0] ** 0.5, jnp.float32
    )
    params = {
        "one": draw(pixels, width),
        "bias": jnp.zeros(width, jnp.float32),
        "two": draw(width, classes),
        "head": jnp.zeros(classes, jnp.float32),
    }

    def step(params: Any, _: None) -> tuple[Any, None]:
        grads = jax.grad(loss_fn)(params, (x, y))
        return jax.tree.map(lambda p, g: p - config.warm_rate * g, params, grads), None

    warm = jax.jit(lambda p: jax.lax.scan(step, p, None, config.warm_steps)[0])
    params = warm(params)
    return Point(params, x, y, float(loss_fn(params, (x, y))))


def spectra(point: Point, config: Config) -> Spectra:
    """Measure eigenvalues over batches of every size, and predict them.

    Args:
      point: the network and its data.
      config: the size of the experiment.

    Returns:
      Measured and predicted eigenvalues.
    """
    key = jax.random.key(config.first_seed)
    rng = np.random.default_rng(config.first_seed + 1)
    worst = 0.0

    def extremes(batch: Batch) -> tuple[float, float]:
        nonlocal worst
        operator = hessian(loss_fn, point.params, [batch])
        found = lanczos(operator, key, config.lanczos_steps)
        values, residuals = np.asarray(found.values), np.asarray(found.residuals)
        worst = max(worst, float(max(residuals[0], residuals[-1]) / values[-1]))
        return float(values[-1]), float(values[0])

    def batch(size: int) -> Batch:
        places = rng.permutation(len(point.y))[:size]
        return point.x[places], point.y[places]

    measured = np.array(
        [
            [extremes(batch(size)) for _ in range(config.batches)]
            for size in config.batch_sizes
        ]
    )
    whole = extremes((point.x, point.y))
    size, count = config.variance_batch_size, config.variance_batches
    places = rng.permutation(len(point.y))[: size * count].reshape(count, size)
    operators = [
        hessian(loss_fn, point.params, [(point.x[p], point.y[p])]) for p in places
    ]
    variance = element_variance(
        operators, key, batch_size=size, num_probes=config.variance_probes
    )
    number = trees.count(point.params)
    predicted = [
        [
            float(
                batch_eigenvalue(
                    value,
                    float(variance.value),
                    number,
                    size,
                    dataset_size=len(point.y),
                )
            )
            for size in config.batch_sizes
        ]
        for value in whole
    ]
    return Spectra(
        measured[:, :, 0],
        measured[:, :, 1],
        whole,
        worst,
        (float(variance.value), float(variance.standard_error)),
        np.array(predicted),
        number,
    )


class Measured(NamedTuple):
    """Everything that is measured.

    Attributes:
      loss: of the network where it is measured.
      spectra: eigenvalues.
      rates: largest stable learning rates of ``"sgd"``, ``"adam"`` and the exact
        threshold of ``"linearised"`` SGD, shape ``(batch sizes, seeds)``.
    """

    loss: float
    spectra: Spectra
    rates: dict[str, np.ndarray]


def measure(config: Config, store: Store) -> Measured:
    """Train a little, then measure eigenvalues and stable learning rates.

    See ``Experiment.measure``.
    """
    train = load_digits().train
    point = prepare(config, train["image"], train["label"])
    rows = store.group("measured")
    rates: dict[str, np.ndarray] = {}
    for name in (*OPTIMIZERS, "linearised"):

        def found(name: str = name) -> dict[str, np.ndarray]:
            if name == "linearised":
                return {"rates": linearised_rates(point, config)}
            return {"rates": stable_rates(point, name, config)}

        rates[name] = rows.measured(name, found)["rates"]
    kept = rows.measured("spectra", lambda: spectra(point, config)._asdict())
    size = int(kept.pop("num_params"))
    return Measured(point.loss, Spectra(**kept, num_params=size), rates)  # type: ignore[arg-type]


OPTIMIZERS: dict[str, Callable[[Any], optax.GradientTransformation]] = {
    "sgd": optax.sgd,
    "adam": optax.adam,
}


def stable_rates(point: Point, name: str, config: Config) -> np.ndarray:
    """Largest learning rate at which a training is better than chance at its end.

    Every training begins at the point. It counts as stable if the loss over all
    examples is finite and below that of guessing, ln 10, at the end; the largest
    stable rate is the last one before the first that is not.

    Args:
      point: the network and its data.
      name: of the optimizer, among ``OPTIMIZERS``.
      config: the size of the experiment.

    Returns:
      Learning rates, shape ``(batch sizes, seeds)``; NaN where already the smallest
      is unstable, or the largest still stable.
    """
    low, high = config.sgd_rates if name == "sgd" else config.adam_rates
    grid = np.geomspace(low, high, config.rates)
    examples = len(point.y)

    def final_loss(rate: jax.Array, order: jax.Array) -> jax.Array:
        loss = lambda params, at: loss_fn(params, (point.x[at], point.y[at]))
        params, _ = trained(loss, OPTIMIZERS[name](rate), point.params, order)
        return loss_fn(params, (point.x, point.y))

    # One seed at a time: all learning rates then share the gathered batch.
    program = jax.jit(jax.vmap(final_loss, in_axes=(0, None)))
    rates = jnp.asarray(grid, jnp.float32)
    found = []
    for size in config.batch_sizes:
        rng = np.random.default_rng(config.first_seed + 2)
        row = []
        for _ in range(config.seeds):
            order = [rng.permutation(examples)[:size] for _ in range(config.steps)]
            losses = program(rates, jnp.asarray(np.stack(order), jnp.int32))
            row.append(largest_stable(grid, np.asarray(losses)))
        found.append(row)
    return np.array(found)


def linearised_rates(point: Point, config: Config) -> np.ndarray:
    """Exact thresholds of linearised SGD, from Gauss-Newton matrices of subsamples.

    Args:
      point: the network and its data.
      config: the size of the experiment.

    Returns:
      Learning rates, shape ``(batch sizes, subsamples)``.
    """
    rng = np.random.default_rng(config.first_seed + 3)
    found = []
    for _ in range(config.gram_draws):
        places = rng.permutation(len(point.y))[: config.gram_examples]
        hessians = compress(ggn_hessians(mlp, point.params, point.x[places]))
        found.append(
            [
                float(
                    exact_threshold(
                        hessians,
                        size,
                        sampling="without_replacement",
                        population=len(point.y),
                    ).learning_rate
                )
                for size in config.batch_sizes
            ]
        )
    return np.array(found).T


def largest_stable(grid: np.ndarray, losses: np.ndarray) -> float:
    """The last learning rate before the first that is unstable.

    Args:
      grid: learning rates, ascending.
      losses: final loss at each.

    Returns:
      Geometric middle between it and the next; NaN at the ends of the grid.
    """
    unstable = ~(losses < np.log(10.0))
    first = int(np.argmax(unstable))
    if not unstable.any() or first == 0:
        return float("nan")
    return float(np.sqrt(grid[first - 1] * grid[first]))
