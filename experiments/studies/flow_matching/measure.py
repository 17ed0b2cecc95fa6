"""Paths and samples of flows that were trained with different weights."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies.dense_nets import dense, dense_params
from experiments.studies.flow_matching.config import Config
from experiments.studies.programs import over_seeds
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.recipes import (
    init_flow_matching,
    integrate_flow,
    make_flow_matching_step,
)

CFM, FINE = "cfm", "fine"
_SPREAD = 0.3


class Measured(NamedTuple):
    """Everything that is measured, by arm.

    Attributes:
      curvature: mean square of velocity minus displacement along the paths over that
        of the displacement, ``(seeds,)``.
      cost: mean square of the displacement over the squared distance of the same
        points at their best assignment, likewise.
      distance: Wasserstein distance (W2) of samples from data by number of steps,
        ``"fine"`` or Euler's.
      share: effective share of the pairs in training.
    """

    curvature: dict[str, np.ndarray]
    cost: dict[str, np.ndarray]
    distance: dict[str, dict[str, np.ndarray]]
    share: dict[str, np.ndarray]


def arms(config: Config) -> list[str]:
    """The names of the arms, by factor of epsilon."""
    return [CFM, *(f"w-cfm {factor:g}" for factor in config.factors)]


def measure(config: Config, store: Store) -> Measured:
    """Train all flows, follow them, and compare their samples.

    See ``Experiment.measure``.
    """
    found = store.group("runs").measured("all", lambda: _measured(config))
    of = lambda name: dict(zip(arms(config), found[name], strict=True))
    steps = [FINE, *map(str, config.euler)]
    distance = {
        arm: {n: found[f"to {n}"][i] for n in steps}
        for i, arm in enumerate(arms(config))
    }
    return Measured(of("curvature"), of("cost"), distance, of("share"))


def _measured(config: Config) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    pairs = ring(jax.random.key(0), 2000, config) - rng.normal(size=(2000, 2))
    mean = float(np.mean(np.linalg.norm(pairs, axis=1)))
    epsilons = jnp.asarray([np.inf, *(f * mean for f in config.factors)])

    def run(key: jax.Array, epsilons: jax.Array) -> Any:
        return jax.vmap(lambda epsilon: _run(key, epsilon, config))(epsilons)

    got = over_seeds(run, config, epsilons)
    found = {name: got[name].T for name in ("curvature", "share")}
    ends = {name: x for name, x in got.items() if name.startswith("to ")}
    for name, samples in ends.items():
        found[name] = transported(samples, got["data"]) ** 0.5
    moved = np.mean(np.sum((got["to fine"] - got["start"]) ** 2, -1), -1)
    found["cost"] = moved.T / transported(got["to fine"], got["start"])
    return found


def transported(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean squared distance of the points of two sets at their best assignment.

    Args:
      a: points, ``(seeds, arms, points, features)``.
      b: others, likewise.

    Returns:
      ``(arms, seeds)``.

    >>> line = np.arange(3.0).reshape(1, 1, 3, 1)
    >>> transported(line, line[:, :, ::-1] + 2).tolist()
    [[4.0]]
    """
    from scipy.optimize import linear_sum_assignment

    found = np.zeros(a.shape[:2])
    for place in np.ndindex(*found.shape):
        one, two = a[place].astype(np.float64), b[place].astype(np.float64)
        costs = np.sum((one[:, None] - two[None]) ** 2, axis=-1)
        found[place] = costs[linear_sum_assignment(costs)].mean()
    return found.T


def ring(key: jax.Array, count: int, config: Config) -> jax.Array:
    """Points of the ring of Gaussians.

    Args:
      key: PRNG key.
      count: of points.
      config: the size of the study.

    Returns:
      ``(count, 2)``.
    """
    one, two = jax.random.split(key)
    mode = jax.random.randint(one, (count,), 0, config.modes)
    angle = 2 * jnp.pi * mode / config.modes
    centers = config.radius * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)
    return centers + _SPREAD * jax.random.normal(two, (count, 2))


def bend(path: jax.Array) -> jax.Array:
    """How far paths are from straight ones at a constant speed.

    Args:
      path: points after equal times, ``(steps + 1, paths, features)``.

    Returns:
      The mean square of velocity minus displacement over that of the displacement;
      0 for straight ones.
    """
    velocity = (path[1:] - path[:-1]) * (len(path) - 1)
    whole = path[-1] - path[0]
    return jnp.mean((velocity - whole[None]) ** 2) / jnp.mean(whole**2)


def _run(key: jax.Array, epsilon: jax.Array, config: Config) -> dict[str, jax.Array]:
    own, data_key, step_key, test_key, start_key = jax.random.split(key, 5)

    def apply(params: Any, state: Any, given: Any, *, train: bool, key: Any = None):
        x, t = given
        return dense(params, jnp.concatenate([x, t[:, None]], axis=1)), state

    init = lambda key: (dense_params(key, 3, config.width, config.width, 2), {})
    network = Functional(init, apply)
    tx = optax.adam(optax.cosine_decay_schedule(config.rate, config.steps))
    step = make_flow_matching_step(network, tx, epsilon=epsilon)
    data = ring(data_key, config.steps * config.batch, config)
    batches = {"image": data.reshape(config.steps, config.batch, 2)}
    state = init_flow_matching(tx, network.init(own)[0], step_key)
    state, metrics = jax.lax.scan(step, state, batches)
    velocity = lambda x, t: dense(
        state.params["model"], jnp.concatenate([x, t[:, None]], axis=1)
    )
    start = jax.random.normal(start_key, (config.points, 2))
    path = integrate_flow(velocity, start, steps=config.fine, path=True)
    found = {
        "start": start,
        "data": ring(test_key, config.points, config),
        "curvature": bend(path),
        "share": jnp.mean(metrics["effective_share"]),
        "to fine": path[-1],
    }
    for steps in config.euler:
        end = integrate_flow(velocity, start, steps=steps, method="euler")
        found[f"to {steps}"] = end
    return found
