"""Predicted and measured growth of every problem."""

from __future__ import annotations

import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness.store import Store
from experiments.studies.stability import problems
from experiments.studies.stability.config import Config
from experiments.studies.stability.problems import Problem
from jaxopt_lab.curvature import (
    PlainRuns,
    Sampling,
    coherence,
    exact_threshold,
    growth_rate,
    plain_runs,
    simple_thresholds,
    spectral_radius,
)
from jaxopt_lab.data import load_digits


class Line(NamedTuple):
    """A problem at one batch size and sampling.

    Attributes:
      problem: its name.
      sampling: how batches are drawn.
      batch_size: B.
      examples: n.
      sigma_per_sample: coherence over the number of examples.
      exact: the exact threshold.
      coherence: that of the coherence test.
      max_sample: that of the tighter test.
      converse: the partial converse.
      gradient_descent: 2 over the largest eigenvalue.
      rates: learning rates tried.
      predicted: logarithm of the spectral radius at each.
      measured: growth of each repetition, shape ``(rates, repetitions)``.
    """

    problem: str
    sampling: Sampling
    batch_size: int
    examples: int
    sigma_per_sample: float
    exact: float
    coherence: float
    max_sample: float
    converse: float
    gradient_descent: float
    rates: np.ndarray
    predicted: np.ndarray
    measured: np.ndarray


class Plain(NamedTuple):
    """Independent runs of one problem a little above its threshold.

    Attributes:
      problem: its name.
      runs: the runs.
      growth: growth of the mean square in a step that they should show.
    """

    problem: str
    runs: PlainRuns
    growth: float


class Measured(NamedTuple):
    """Everything that is measured.

    Attributes:
      lines: a line for each problem, sampling and batch size.
      plain: independent runs of the groups; ``None`` without these.
    """

    lines: list[Line]
    plain: Plain | None


def measure(config: Config, store: Store) -> Measured:
    """Simulate every problem; see ``Experiment.measure``.

    Args:
      store: not used: no problem takes more than a few minutes.
    """
    del store
    # A perturbation of 1e-6 around a minimum is below the resolution of float32.
    with jax.enable_x64(True), jax.numpy_rank_promotion("allow"):
        return _measure(config)


def _measure(config: Config) -> Measured:
    found, plain = [], None
    for name in config.problems:
        problem = _problem(name, config)
        for sampling in config.samplings:
            began = time.perf_counter()
            found += lines(problem, sampling, config)
            took = time.perf_counter() - began
            print(f"{problem.name}, {sampling}: {took:.0f} s", flush=True)
        if name == "groups":
            runs, growth = illustration(problem, config)
            plain = Plain(problem.name, runs, growth)
    return Measured(found, plain)


def _problem(name: str, config: Config) -> Problem:
    if name == "groups":
        return problems.groups(config)
    if name == "linear":
        return problems.two_layer_linear(config)
    train = load_digits().train
    return problems.network(config, train["image"], train["label"])


def lines(problem: Problem, sampling: Sampling, config: Config) -> list[Line]:
    """Measure a problem at all batch sizes and learning rates.

    Args:
      problem: the problem.
      sampling: how batches are drawn.
      config: the size of the experiment.

    Returns:
      A line for each batch size.
    """
    hessians, sizes = problem.hessians, problem.batch_sizes
    n = hessians.factors.shape[0]
    measured = coherence(hessians)
    key = jax.random.key(config.first_seed)

    def radius(rate: jax.Array, size: jax.Array) -> jax.Array:
        return spectral_radius(hessians, rate, size, sampling=sampling).value

    def growth(rate: jax.Array, size: jax.Array) -> jax.Array:
        return growth_rate(
            problem.step(rate, size, sampling),
            problem.draw,
            key,
            runs=problem.runs,
            steps=problem.steps,
            repetitions=config.seeds,
        ).rates

    # With replacement the batch size is a shape.
    together = sampling != "with_replacement"
    program = jax.jit(jax.vmap(growth, in_axes=(0, None)))
    found = []
    for size in sizes:
        exact = float(exact_threshold(hessians, size, sampling=sampling).learning_rate)
        rates = exact * jnp.asarray(config.factors)
        if together:
            grown = program(rates, jnp.asarray(float(size)))
        else:
            grown = jax.jit(jax.vmap(lambda r, size=size: growth(r, size)))(rates)  # type: ignore[arg-type]
        simple = simple_thresholds(measured, size)
        predicted = jax.vmap(lambda r, size=size: radius(r, size))(rates)  # type: ignore[arg-type]
        found.append(
            Line(
                problem=problem.name,
                sampling=sampling,
                batch_size=size,
                examples=n,
                sigma_per_sample=float(measured.sigma_per_sample),
                exact=exact,
                coherence=float(simple.coherence),
                max_sample=float(simple.max_sample),
                converse=float(simple.converse),
                gradient_descent=float(simple.gradient_descent),
                rates=np.asarray(rates),
                predicted=np.log(np.asarray(predicted)),
                measured=np.asarray(grown),
            )
        )
    return found


def crossing(rates: np.ndarray, growth: np.ndarray) -> float:
    """The learning rate at which the measured growth passes zero, interpolated.

    Args:
      rates: learning rates, ascending.
      growth: growth at each.

    Returns:
      The learning rate; NaN where it passes zero nowhere.
    """
    for i in range(len(growth) - 1):
        if growth[i] <= 0 < growth[i + 1]:
            part = -growth[i] / (growth[i + 1] - growth[i])
            return float(rates[i] + part * (rates[i + 1] - rates[i]))
    return float("nan")


def illustration(problem: Problem, config: Config) -> tuple[PlainRuns, float]:
    """Independent runs a little above the threshold, Bernoulli sampling.

    Args:
      problem: the problem.
      config: the size of the experiment.

    Returns:
      The runs, and the growth of the mean square in a step that they should show.
    """
    size = config.plain_batch_size
    rate = config.plain_factor * exact_threshold(problem.hessians, size).learning_rate
    true = spectral_radius(problem.hessians, rate, size).value

    @jax.jit
    def simulate(rate: jax.Array, key: jax.Array) -> PlainRuns:
        return plain_runs(
            problem.step(rate, jnp.asarray(float(size)), "bernoulli"),
            problem.draw,
            key,
            runs=config.plain_runs,
            steps=config.plain_steps,
        )

    return simulate(rate, jax.random.key(config.first_seed)), float(jnp.log(true))
