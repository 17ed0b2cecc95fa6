"""Norms, effective steps and test accuracy of every optimizer."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies.scale_invariance.config import Config
from jaxopt_lab.core import trees
from jaxopt_lab.data import load_digits
from jaxopt_lab.transforms.scale_invariant import (
    adamp,
    normalize_and_project,
    sgdp,
)

PAIRS = (("momentum", "sgdp"), ("adam", "adamp"), ("adam", "adam, norms held"))
"""Optimizers without and with a projection."""

METHODS = {
    "sgdp": "sgdp",
    "adamp": "adamp",
    "adam, norms held": "normalize_and_project",
}
"""Rows of the catalog that project."""

INVARIANT = ("first", "second")
"""Layers whose outputs are normalized, without a scale and an offset."""


class Measured(NamedTuple):
    """Everything that is measured, by optimizer.

    Attributes:
      norms: norm of the invariant weights over that at the start, ``(seeds, times)``.
      angles: length of a step over that of the weights it moves, likewise.
      accuracy: on the test set at the end, ``(seeds,)``.
    """

    norms: dict[str, np.ndarray]
    angles: dict[str, np.ndarray]
    accuracy: dict[str, np.ndarray]


def optimizers(config: Config) -> dict[str, optax.GradientTransformation]:
    """The optimizers, by name; momentum 0.9, no weight decay.

    Args:
      config: the size of the study.

    Returns:
      They; each with the learning rate of its partner.
    """
    sgd, adam = config.sgd_rate, config.adam_rate
    held = {"first": True, "second": True, "last": False}
    return {
        "momentum": optax.sgd(sgd, 0.9),
        "sgdp": sgdp(sgd, momentum=0.9),
        "adam": optax.adam(adam),
        "adamp": adamp(adam),
        "adam, norms held": optax.chain(optax.adam(adam), normalize_and_project(held)),
    }


def init(key: jax.Array, width: int) -> Any:
    """The weights of the network.

    Args:
      key: PRNG key.
      width: hidden units.

    Returns:
      Three matrices by name.
    """
    # Not truncated: that alone takes XLA ten seconds to compile.
    draw = lambda key, shape: jax.random.normal(key, shape) / shape[0] ** 0.5
    sizes = {"first": (64, width), "second": (width, width), "last": (width, 10)}
    keys = jax.random.split(key, 3)
    return {n: draw(k, s) for k, (n, s) in zip(keys, sizes.items(), strict=True)}


def logits(params: Any, x: jax.Array) -> jax.Array:
    """Two layers, each normalized over its units, and a linear one."""
    for name in INVARIANT:
        x = x @ params[name]
        x = x - jnp.mean(x, axis=-1, keepdims=True)
        x = jax.nn.relu(x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-8))
    return x @ params["last"]


def measure(config: Config, store: Store) -> Measured:
    """Train with every optimizer; see ``Experiment.measure``."""
    data = load_digits()
    train, test = (
        (jnp.asarray(part["image"]).reshape(-1, 64), jnp.asarray(part["label"]))
        for part in (data.train, data.test)
    )
    seeds = jnp.arange(config.first_seed, config.first_seed + config.seeds)
    rows = store.group("runs")
    found = {}
    for name, tx in optimizers(config).items():

        def runs(seeds: Any, train: Any, test: Any, tx: Any = tx) -> Any:
            # Not vmap: batched products of this size take twice as long to compile.
            return jax.lax.map(lambda seed: _run(tx, seed, train, test, config), seeds)

        # Data are arguments: XLA takes long over constants of this size.
        run = jax.jit(runs)
        take = lambda run=run: _arrays(run(seeds, train, test))
        found[name] = rows.measured(name, take)
    by = lambda key: {name: np.asarray(row[key]) for name, row in found.items()}
    return Measured(by("norms"), by("angles"), by("accuracy"))


def _arrays(row: Any) -> dict[str, Any]:
    return {name: np.asarray(x) for name, x in row.items()}


def _run(tx: Any, seed: jax.Array, train: Any, test: Any, config: Config) -> Any:
    start_key, key = jax.random.split(jax.random.key(seed))
    start = init(start_key, config.width)
    first = _norm(start)

    def loss(params: Any, index: jax.Array) -> jax.Array:
        scores = logits(params, train[0][index])
        losses = optax.softmax_cross_entropy_with_integer_labels(
            scores, train[1][index]
        )
        return jnp.mean(losses)

    def step(carry: Any, index: jax.Array) -> Any:
        params, state = carry
        updates, state = tx.update(jax.grad(loss)(params, index), state, params)
        after = optax.apply_updates(params, updates)
        record = _norm(after) / first, _norm(updates) / _norm(params)
        return (after, state), record

    size = (config.steps, config.batch)
    indices = jax.random.randint(key, size, 0, train[0].shape[0])
    (params, _), (norms, angles) = jax.lax.scan(step, (start, tx.init(start)), indices)
    right = jnp.argmax(logits(params, test[0]), axis=-1) == test[1]
    # The mean over each stretch: single steps are noisy.
    angles = jnp.mean(angles.reshape(-1, config.every), axis=1)
    return {
        "norms": norms[config.every - 1 :: config.every],
        "angles": angles,
        "accuracy": jnp.mean(right.astype(jnp.float32)),
    }


def _norm(tree: Any) -> jax.Array:
    return trees.global_norm({name: tree[name] for name in INVARIANT})
