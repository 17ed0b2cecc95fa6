"""Errors of finite networks' kernels, and of classifiers by deep kernels."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness.store import Store
from experiments.studies.kernels_of_depth import data
from experiments.studies.kernels_of_depth.config import Config
from experiments.studies.kernels_of_depth.finite import finite_kernels
from jaxopt_lab.diagnostics import (
    Dual,
    deep_ntk,
    dual_activation,
    hilbert_dual,
    kernel_classifier,
    koenigs_function,
    nadaraya_watson,
    relu_dual,
)

NEIGHBOURS = (1, 3, 9, 27)


class Measured(NamedTuple):
    """Everything that is measured.

    Attributes:
      kernels: root mean square error of a finite network's tangent kernel over that of
        an input with itself, ``{activation: (seeds, widths)}``.
      agreement: of the deepest kernel's classes with those of its limit, ``{limit:
        (seeds,)}``.
      errors: on digits, ``{classifier: (seeds, dimensions)}``.
      excess: of errors on the planted law over the Bayes error, ``{classifier: (seeds,
        samples)}``.
    """

    kernels: dict[str, np.ndarray]
    agreement: dict[str, np.ndarray]
    errors: dict[str, np.ndarray]
    excess: dict[str, np.ndarray]


def measure(config: Config, store: Store) -> Measured:
    """Measure every seed; see ``Experiment.measure``."""
    rows = store.group("runs")
    seeds = range(config.first_seed, config.first_seed + config.seeds)

    def each(of: Any) -> Any:
        def take() -> dict[str, np.ndarray]:
            # Powers of slopes over many layers leave float32.
            with jax.enable_x64(True):
                found = [of(config, np.random.default_rng(seed)) for seed in seeds]
            return {name: np.stack([one[name] for one in found]) for name in found[0]}

        return take

    kernels = rows.measured("finite", lambda: finite_kernels(config))
    agreement = rows.measured("limits", each(_limits))
    errors = rows.measured("digits", each(_digits))
    excess = rows.measured("planted", each(_planted))
    return Measured(kernels, agreement, errors, excess)


@functools.cache
def _deep(dual: Dual, depth: int) -> Any:
    """A program for the values of a deep kernel's classifier."""

    def run(inner: jax.Array, outer: jax.Array, labels: jax.Array) -> jax.Array:
        kernels = (deep_ntk(dual, gram, depth=depth).tangent for gram in (inner, outer))
        train, test = (k / kernel_of_one(dual, depth) for k in kernels)
        return kernel_classifier(train, test, labels)

    return jax.jit(run)


def kernel_of_one(dual: Dual, depth: int) -> jax.Array:
    """The tangent kernel of an input with itself.

    Args:
      dual: of the activation.
      depth: hidden layers.

    Returns:
      A number.
    """
    one = jnp.ones((), jnp.float64)
    return deep_ntk(dual, one, depth=depth).tangent


@functools.cache
def _singular(dual: Dual) -> Any:
    """A program for the votes that are weighted by the limit of the kernel."""

    def run(outer: jax.Array, labels: jax.Array) -> jax.Array:
        return nadaraya_watson(koenigs_function(dual, outer), labels)

    return jax.jit(run)


# One of each, so that programs are kept.
_HILBERT = functools.cache(hilbert_dual)
_RELU = relu_dual()
_CUBIC = dual_activation([0.0, 0.0, 0.0, 1.0])
_SHIFTED = dual_activation([0.3**0.5, 0.0, 0.0, 0.7**0.5])


def _limits(config: Config, rng: np.random.Generator) -> dict[str, np.ndarray]:
    given = data.planted(rng, config.train, config.train, config.flipped)
    inner, outer, labels = given.inner, given.outer, given.labels
    same = lambda a, b: np.mean(np.sign(np.asarray(a)) == np.sign(np.asarray(b)))
    nearest = labels[np.argmax(outer, 1)]
    everyone = np.full(len(outer), labels.sum())
    singular = _singular(_HILBERT(2))(outer, labels)
    deep = lambda dual, depth: _deep(dual, depth)(inner, outer, labels)
    return {
        "nearest neighbour": same(deep(_CUBIC, config.cubes), nearest),
        "vote of all": same(deep(_SHIFTED, config.deepest), everyone),
        "singular vote": same(deep(_HILBERT(2), config.deepest), singular),
    }


def _digits(config: Config, rng: np.random.Generator) -> dict[str, np.ndarray]:
    split = data.digits(rng, config.train, config.wrong, config.dimensions)
    found: dict[str, list[float]] = {}
    for dimension, given in zip(config.dimensions, split, strict=True):
        inner, outer, labels = given.inner, given.outer, given.labels
        votes = {f"relu, {n} layers": _deep(_RELU, n) for n in config.depths}
        own = _HILBERT(dimension)
        votes |= {f"hilbert, {n} layers": _deep(own, n) for n in config.depths}
        for name, run in votes.items():
            values = np.asarray(run(inner, outer, labels))
            found.setdefault(name, []).append(given.error(values))
        singular = np.asarray(_singular(own)(outer, labels))
        nearest = labels[np.argmax(outer, 1)]
        neighbours = data.neighbours(given, data.best_neighbours(given, NEIGHBOURS))
        limits = (("singular", singular), ("1-NN", nearest), ("k-NN", neighbours))
        for name, values in limits:
            found.setdefault(name, []).append(given.error(values))
    return {name: np.array(values) for name, values in found.items()}


def _planted(config: Config, rng: np.random.Generator) -> dict[str, np.ndarray]:
    found: dict[str, list[float]] = {"singular": [], "1-NN": []}
    for count in config.samples:
        given = data.planted(rng, count, config.tests, config.flipped)
        values = np.asarray(_singular(_HILBERT(2))(given.outer, given.labels))
        nearest = given.labels[np.argmax(given.outer, 1)]
        for name, own in (("singular", values), ("1-NN", nearest)):
            # A class that is not the likelier one costs 1 - 2 of the Bayes error.
            found[name].append((1 - 2 * config.flipped) * given.error(own))
    return {name: np.array(values) for name, values in found.items()}
