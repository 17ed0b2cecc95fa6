"""Optimizers on the network, and the curvature along their way."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies.edge_of_stability import network
from experiments.studies.edge_of_stability.config import B2, Config, Row
from jaxopt_lab import curvature
from jaxopt_lab.training import seed_keys


class Trajectory(NamedTuple):
    """Measurements along one training; sharpness in multiples of the row's edge.

    Attributes:
      steps: step of each measurement, from 0, shape ``(points + 1,)``.
      loss: loss on the whole set, shape ``(points + 1, seeds)``.
      sharpness: largest eigenvalue of the Hessian of the whole set (for Adam of the
        preconditioned one) over the edge, same shape; NaN where Adam has no moments.
      residual: residual norm of its Ritz pair, over the edge.
      batch_sharpness: ``E_b[g^T H_b g / |g|^2]`` over the edge, same shape; ``None``
        where the whole set is the batch.
      rises: part of the steps since the last measurement at which the loss rose.
    """

    steps: np.ndarray
    loss: np.ndarray
    sharpness: np.ndarray
    residual: np.ndarray
    batch_sharpness: np.ndarray | None
    rises: np.ndarray


Measured = Mapping[Row, Trajectory]


def measure(config: Config, store: Store) -> Measured:
    """Train with every optimizer; see ``Experiment.measure``."""
    data = network.digits(config.examples)
    rows, found = store.group("paths"), {}
    for row in config.rows:

        def arrays(row: Row = row) -> dict[str, np.ndarray]:
            path = follow(row, config, data)._asdict()
            return {name: x for name, x in path.items() if x is not None}

        kept = rows.measured(row.name, arrays, row)
        found[row] = Trajectory(**{"batch_sharpness": None, **kept})  # type: ignore[arg-type]
    return found


def follow(row: Row, config: Config, data: network.Data) -> Trajectory:
    """Train with one optimizer from every seed.

    Args:
      row: the optimizer.
      config: the size of the experiment.
      data: what is learned.

    Returns:
      The measurements.
    """
    each = [
        _one(row, config, data, key)
        for key in seed_keys(config.first_seed, config.seeds)
    ]
    stacked = {
        name: np.stack([found[name] for found in each], axis=1) for name in each[0]
    }
    steps = config.every * np.arange(config.points + 1)
    return Trajectory(steps, **{"batch_sharpness": None, **stacked})


def _one(
    row: Row, config: Config, data: network.Data, key: jax.Array
) -> dict[str, np.ndarray]:
    init_key, batch_key, probe_key = jax.random.split(key, 3)
    params = network.init(init_key, config.width)
    state = row.optimizer().init(params)
    points: list[dict[str, float]] = []
    rises = float("nan")
    for point in range(config.points + 1):
        if point:
            part = jax.random.fold_in(batch_key, point)
            params, state, rises = _train(row, config, params, state, part, data)
        found = _curvature(row, config, params, state, probe_key, data)
        whole = float(_loss(params, data))
        points.append({**found, "loss": whole, "rises": float(rises)})
    return {name: np.array([p[name] for p in points]) for name in points[0]}


_loss = jax.jit(network.loss)


@partial(jax.jit, static_argnums=(0, 1))
def _train(
    row: Row, config: Config, params: Any, state: Any, key: jax.Array, data: Any
) -> tuple[Any, Any, jax.Array]:
    """``config.every`` steps, and the part of them at which the loss rose."""
    tx = row.optimizer()

    def take(carry: Any, key: jax.Array) -> tuple[Any, jax.Array]:
        params, state, last = carry
        batch = data
        if row.kind == "sgd":
            chosen = jax.random.permutation(key, config.examples)[: config.batch_size]
            batch = jax.tree.map(lambda x: x[chosen], data)
        value, grads = jax.value_and_grad(network.loss)(params, batch)
        updates, state = tx.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state, value), value > last

    carry = (params, state, jnp.array(jnp.inf))
    keys = jax.random.split(key, config.every)
    (params, state, _), rose = jax.lax.scan(take, carry, keys)
    return params, state, jnp.mean(rose.astype(jnp.float32))


def _curvature(
    row: Row, config: Config, params: Any, state: Any, key: jax.Array, data: Any
) -> dict[str, float]:
    operator = curvature.hessian(network.loss, params, [data])
    if row.kind == "adam":
        diagonal = curvature.adam_diagonal(state, b2=B2)
        operator = curvature.preconditioned(operator, diagonal)
    # The same start vector at every point: only the network changes.
    top = curvature.top_eigenvalues(
        operator, key, num_steps=config.lanczos_steps, tol=None, traced=True
    )
    known = row.kind != "adam" or int(state[0].count) > 0
    scale = row.edge if known else float("nan")
    found = {
        "sharpness": float(top.values[0]) / scale,
        "residual": float(top.residuals[0]) / scale,
    }
    if row.kind == "sgd":
        size = config.batch_size
        batches = [
            jax.tree.map(lambda x, i=i: x[i : i + size], data)
            for i in range(0, config.examples - size + 1, size)
        ]
        measured = curvature.batch_sharpness(network.loss, params, batches)
        found["batch_sharpness"] = float(measured.value) / scale
    return found
