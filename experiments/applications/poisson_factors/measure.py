"""Missing and future counts, by the sampler and by an autoregression."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.applications.poisson_factors.config import (
    MODELS,
    SETS,
    Config,
    Measured,
)
from experiments.applications.poisson_factors.data import counts_of
from experiments.harness.store import Arrays, Store
from jaxopt_lab.core import errors
from jaxopt_lab.inference import (
    poisson_factor_rates,
    start_poisson_factors,
    sweep_poisson_factors,
)


def prepare(config: Config, data: str = "") -> tuple[Config, dict[str, Any]]:
    """Read ``data=``; see ``Experiment.prepare``."""
    if data and data not in SETS:
        raise errors.unknown("data", data, SETS)
    return (dataclasses.replace(config, sets=(data,)) if data else config), {}


@functools.partial(
    jax.jit, static_argnames=("factors", "ahead", "steps", "dynamic", "binary")
)
def chain(
    key: jax.Array,
    counts: jax.Array,
    where: jax.Array,
    *,
    factors: int,
    ahead: int,
    steps: int,
    dynamic: bool,
    binary: bool,
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Posterior means of the second half of a chain.

    Returns:
      Rates ``(T, V)``; those of the next steps, ``(ahead, V)``; the number of active
      factors; scores times weights of the last sweep, ``(T, K)``.
    """
    first, rest = jax.random.split(key)
    start = start_poisson_factors(first, jnp.where(where, counts, 0), factors=factors)

    def advance(carry, step):
        state, sums = carry
        i, own = step
        state = sweep_poisson_factors(
            own, state, counts, where=where, dynamic=dynamic, binary=binary
        )
        if dynamic:
            # A mean score is that before over the rate; rates to come are typical ones.
            decay = jnp.exp(-jnp.mean(jnp.log(state.rates)))
            scores = state.scores[-1] * decay ** (1.0 + jnp.arange(ahead))[:, None]
        else:
            scores = jnp.broadcast_to(state.scores.mean(0), (ahead, factors))
        share = jnp.mean(state.scores, axis=0) * state.weights
        active = jnp.sum(share > 0.01 * share.sum())
        found = (
            poisson_factor_rates(state),
            poisson_factor_rates(state._replace(scores=scores)),
            active.astype(jnp.float32),
        )
        late = i >= steps // 2
        sums = jax.tree.map(lambda s, x: s + jnp.where(late, x, 0), sums, found)
        return (state, sums), None

    t, v = counts.shape
    sums = jnp.zeros((t, v)), jnp.zeros((ahead, v)), jnp.zeros(())
    keys = jax.random.split(rest, steps)
    (state, sums), _ = jax.lax.scan(advance, (start, sums), (jnp.arange(steps), keys))
    rates, future, active = (x / (steps - steps // 2) for x in sums)
    return rates, future, active, state.scores * state.weights


def autoregression(counts: np.ndarray, ahead: int) -> np.ndarray:
    """Forecasts by a log-linear autoregression around every feature's mean.

    One coefficient for all features, by least squares of log(1 + n).

    Args:
      counts: ``(T, V)``.
      ahead: steps.

    Returns:
      ``(ahead, V)``.
    """
    x = np.log1p(counts)
    mean = x.mean(0)
    y = x - mean
    slope = np.sum(y[1:] * y[:-1]) / max(np.sum(y[:-1] ** 2), 1e-12)
    powers = slope ** np.arange(1, ahead + 1)[:, None]
    return np.expm1(mean + powers * y[-1])


def loss(counts: np.ndarray, rates: np.ndarray, binary: bool) -> float:
    """Mean negative log-probability of counts, or of whether they are above 0."""
    rates = np.maximum(rates, 1e-12)
    if binary:
        logs = np.where(counts > 0, np.log(-np.expm1(-rates)), -rates)
    else:
        factorials = np.array([math.lgamma(n + 1) for n in counts.ravel()])
        logs = counts * np.log(rates) - rates - factorials.reshape(counts.shape)
    return -float(np.mean(logs))


def row(config: Config, name: str, seed: int) -> Arrays:
    """Errors of one set and one choice of missing entries."""
    counts, binary = counts_of(name, config), name == "binary"
    past, future = counts[: -config.ahead], counts[-config.ahead :]
    rng = np.random.default_rng(seed)
    where = rng.random(past.shape) >= config.held_out
    losses, forecasts, active, shares = [], [], 0.0, np.zeros(())
    for model in config.models:
        rates, ahead, number, scores = map(
            np.asarray,
            chain(
                jax.random.key(seed),
                past,
                where,
                factors=config.factors,
                ahead=config.ahead,
                steps=config.steps,
                dynamic=model == MODELS[0],
                binary=binary,
            ),
        )
        losses.append(loss(past[~where], rates[~where], binary))
        forecasts.append(np.mean(np.abs(ahead - future)))
        if model == MODELS[0]:
            active, shares = number, scores[:, np.argsort(-scores.sum(0))]
    forecasts.append(np.mean(np.abs(autoregression(past, config.ahead) - future)))
    found = {"losses": losses, "forecasts": forecasts}
    return {**found, "active": active, "shares": shares}


def measure(config: Config, store: Store) -> Measured:
    """Measure; see ``Experiment.measure``."""
    rows = store.group("chains")
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    every = [
        [
            rows.measured(f"{name}, seed {s}", functools.partial(row, config, name, s))
            for s in seeds
        ]
        for name in config.sets
    ]
    losses, forecasts, active = (
        np.array([[r[name] for r in one] for one in every])
        for name in ("losses", "forecasts", "active")
    )
    return Measured(config.sets, losses, forecasts, active, every[0][0]["shares"])
