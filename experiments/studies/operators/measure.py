"""Relative errors of operators on both equations."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies.operators import networks
from experiments.studies.operators.config import Config
from experiments.studies.operators.equations import EQUATIONS
from experiments.studies.operators.networks import NETS, Net, relative


class Measured(NamedTuple):
    """Everything that is measured.

    Attributes:
      test: relative errors on test pairs, ``{equation: {network: (seeds,)}}``.
      train: those on training pairs, likewise.
      sizes: numbers of parameters.
    """

    test: dict[str, dict[str, np.ndarray]]
    train: dict[str, dict[str, np.ndarray]]
    sizes: dict[str, int]


def measure(config: Config, store: Store) -> Measured:
    """Train every network on every equation; see ``Experiment.measure``."""
    rows, found, sizes = store.group("runs"), {}, {}
    for name, make in NETS.items():
        net = make(config)
        sizes[name] = networks.size(net)
        found[name] = rows.measured(name, lambda net=net: _of_net(config, net))
    of = lambda part: {
        equation: {name: row[f"{equation} {part}"] for name, row in found.items()}
        for equation in EQUATIONS
    }
    return Measured(of("test"), of("train"), sizes)


def _of_net(config: Config, net: Net) -> dict[str, np.ndarray]:
    tx = optax.adam(config.rate)

    # A program for a step and not for the run: convolutions in a loop are slow on CPUs.
    @jax.jit
    def step(params: Any, state: Any, x: jax.Array, y: jax.Array) -> Any:
        grads = jax.grad(lambda p: relative(net.apply(p, x), y))(params)
        # Of complex numbers, the direction of descent is the conjugate.
        grads = jax.tree.map(jnp.conj, grads)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    error = jax.jit(lambda params, x, y: relative(net.apply(params, x), y))
    found: dict[str, list[float]] = {}
    for seed in range(config.first_seed, config.first_seed + config.seeds):
        for equation, make in EQUATIONS.items():
            rng = np.random.default_rng(seed)
            x, y = scaled(
                config, *make(rng, config.train + config.tests, config.points)
            )
            params = net.init(jax.random.key(seed))
            state = tx.init(params)
            for _ in range(config.steps):
                at = rng.integers(0, config.train, config.batch)
                params, state = step(params, state, x[at], y[at])
            parts = {"train": slice(config.train), "test": slice(config.train, None)}
            for part, own in parts.items():
                value = float(error(params, x[own], y[own]))
                found.setdefault(f"{equation} {part}", []).append(value)
    return {name: np.array(values) for name, values in found.items()}


def scaled(config: Config, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
    """Data of mean 0 and mean square 1, and solutions of mean square 1.

    Args:
      config: gives the training pairs, which come first and decide.
      x: data.
      y: solutions.

    Returns:
      float32 arrays.
    """
    own = x[: config.train]
    x = (x - own.mean()) / own.std()
    y = y / np.sqrt(np.mean(y[: config.train] ** 2))
    return x.astype(np.float32), y.astype(np.float32)
