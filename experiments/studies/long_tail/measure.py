"""Balanced test accuracy after training on a long tail, by arm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies import dense_nets, programs, small_data
from experiments.studies.long_tail.config import Config
from experiments.studies.programs import Labelled
from jaxopt_lab.layers import batch_former
from jaxopt_lab.layers.block.batch_former import with_originals
from jaxopt_lab.losses import mdcs

PLAIN, ADJUSTED, EXPERTS = "cross-entropy", "logit adjustment", "MDCS"
FORMER = "BatchFormer"
HEADS = {EXPERTS: 3}
"""Linear classifiers whose logits are averaged in the test, where several are."""

ALL, RAREST = "all classes", "rarest classes"


class Measured(NamedTuple):
    """Everything that is measured.

    Attributes:
      accuracy: of the test, ``(seeds,)`` by arm, of all classes and of the rarest.
    """

    accuracy: dict[str, dict[str, np.ndarray]]


Arm = Callable[[Any, Any, Any], tuple[jax.Array, Any]]
"""``arm(params, state, (weak, strong, labels, key)) -> (loss, state)``."""


def features(params: Any, x: jax.Array) -> jax.Array:
    """What the heads see."""
    return jax.nn.relu(dense_nets.dense(params["trunk"], x))


def arms(config: Config) -> dict[str, Arm]:
    """The losses, by name.

    Args:
      config: the size of the study.

    Returns:
      They.
    """
    counts = jnp.array(config.counts(), jnp.float32)
    experts = mdcs(warmup=config.warmup)
    former = batch_former(config.width, heads=config.heads, dropout=config.dropout)
    entropy = optax.softmax_cross_entropy_with_integer_labels

    def plain(params: Any, state: Any, given: Any) -> tuple[jax.Array, Any]:
        weak, _, labels, _ = given
        scores = features(params, weak) @ params["heads"][0]
        return jnp.mean(entropy(scores, labels)), state

    def adjusted(params: Any, state: Any, given: Any) -> tuple[jax.Array, Any]:
        weak, _, labels, _ = given
        scores = features(params, weak) @ params["heads"][0] + jnp.log(counts)
        return jnp.mean(entropy(scores, labels)), state

    def several(params: Any, state: Any, given: Any) -> tuple[jax.Array, Any]:
        *views, labels, _ = given
        seen = features(params, jnp.stack(views, axis=1))
        scores = jnp.stack([seen @ head for head in params["heads"]], axis=2)
        losses, state = experts.apply(state, scores, labels, class_counts=counts)
        return jnp.mean(losses), state

    def formed(params: Any, state: Any, given: Any) -> tuple[jax.Array, Any]:
        weak, _, labels, key = given
        seen = features(params, weak)
        other, _ = former.apply(params["former"], {}, seen, train=True, key=key)
        both, labels = with_originals(seen, other, labels)
        return jnp.mean(entropy(both @ params["heads"][0], labels)), state

    return {PLAIN: plain, ADJUSTED: adjusted, EXPERTS: several, FORMER: formed}


def measure(config: Config, store: Store) -> Measured:
    """Train every arm; see ``Experiment.measure``."""
    data = small_data.all_digits()
    rows, found = store.group("arms"), {}
    for name, arm in arms(config).items():
        heads = HEADS.get(name, 1)
        run = lambda key, x, y, arm=arm, heads=heads: _run(
            key, Labelled(x, y), arm, heads, config
        )
        take = lambda run=run: programs.over_seeds(run, config, *data, loop=True)
        found[name] = rows.measured(name, take)
    return Measured({m: {n: row[m] for n, row in found.items()} for m in (ALL, RAREST)})


def _run(
    key: jax.Array, data: Labelled, arm: Arm, heads: int, config: Config
) -> dict[str, jax.Array]:
    keys = jax.random.split(key, 6)
    data = small_data.noisy(keys[0], data, config.noise)
    train, test, _ = small_data.by_class(keys[1], data, config.counts(), config.tested)
    width = config.width
    *trunk, last = dense_nets.dense_params(keys[2], 64, width, width, 30)
    former = batch_former(width, heads=config.heads, dropout=config.dropout)
    params = {
        "trunk": trunk,
        "heads": jnp.split(last["kernel"], 3, axis=1),
        "former": former.init(keys[3])[0],
    }
    state = mdcs().init(jnp.zeros((1, 2, 3, 10)))
    size = len(train.labels)

    def loss(params: Any, state: Any, given: Any) -> tuple[jax.Array, Any]:
        at, key = given
        own = jax.random.split(key, 3)
        batch = small_data.picked(train, at)
        # Every arm draws both views: the batches of all are the same.
        weak, strong = (
            small_data.noisy(k, batch, scale * config.noise).inputs
            for k, scale in zip(own[:2], (1, 2), strict=True)
        )
        return arm(params, state, (weak, strong, batch.labels, own[2]))

    given = (
        programs.picks(keys[4], config.steps, config.batch, size),
        jax.random.split(keys[5], config.steps),
    )
    tx = optax.adam(config.rate)
    params, state = programs.trained_with_state(loss, tx, params, state, given)
    head = jnp.mean(jnp.stack(params["heads"][:heads]), axis=0)
    scores = features(params, test.inputs) @ head
    rare = test.labels >= 10 - config.rarest
    right = (jnp.argmax(scores, axis=1) == test.labels).astype(jnp.float32)
    return {
        ALL: jnp.mean(right),
        RAREST: jnp.sum(jnp.where(rare, right, 0)) / jnp.sum(rare),
    }
