"""Embeddings of unseen classes after every loss, and their scores."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies import dense_nets, programs, small_data
from experiments.studies.programs import Labelled
from experiments.studies.retrieval import losses
from experiments.studies.retrieval.config import Config
from jaxopt_lab.core.unit import unit_rows
from jaxopt_lab.metrics import operating_point_inconsistency
from jaxopt_lab.metrics.rank_correlation import rank_correlation

ONE, SEVERAL = "one positive", "several positives"
RANKED = "several positives, ranks"
RECALL, OPIS, SPEARMAN = "recall at 1", "OPIS", "rank correlation with shares"


class Measured(NamedTuple):
    """Everything that is measured.

    Attributes:
      values: ``(seeds,)`` by measure, by arm.
    """

    values: dict[str, dict[str, np.ndarray]]


def proxies(weight: float) -> str:
    """The name of the arm with proxies and a weight of the margins."""
    return f"proxies, TCM {weight:g}" if weight else "proxies"


def measure(config: Config, store: Store) -> Measured:
    """Train with every loss; see ``Experiment.measure``."""
    data = small_data.all_digits()
    rows = store.group("arms")

    def row(name: str, run: Any) -> dict[str, np.ndarray]:
        own = lambda key, x, y: run(key, Labelled(x, y), config)

        def take() -> dict[str, np.ndarray]:
            found = programs.over_seeds(own, config, *data, loop=True)
            return scores(*found)

        return rows.measured(name, take)

    every = row("proxies", _with_proxies)
    values = {
        proxies(weight): {name: x[:, i] for name, x in every.items()}
        for i, weight in enumerate(config.weights)
    }
    for name, positives, weight in (
        (ONE, 1, 0.0),
        (SEVERAL, config.positives, 0.0),
        (RANKED, config.positives, config.ranks),
    ):
        run = lambda key, data, config, p=positives, w=weight: _contrastive(
            key, data, config, p, w
        )
        found = row(name, run)
        values[name] = {n: x[:, 0] for n, x in found.items()}
    names = (RECALL, OPIS, SPEARMAN)
    return Measured({n: {arm: own[n] for arm, own in values.items()} for n in names})


def scores(
    embeddings: np.ndarray, mixed: np.ndarray, shares: np.ndarray, labels: np.ndarray
) -> dict[str, np.ndarray]:
    """The scores of embeddings of every seed and arm.

    Args:
      embeddings: ``(seeds, arms, n, features)``.
      mixed: likewise, of mixtures of every image with another one.
      shares: of the image in its mixture, ``(seeds, n)``.
      labels: ``(seeds, n)``.

    Returns:
      ``(seeds, arms)`` by name.
    """
    found = {n: np.zeros(embeddings.shape[:2]) for n in (RECALL, OPIS, SPEARMAN)}
    for at in np.ndindex(embeddings.shape[:2]):
        x, own = _unit(embeddings[at]), labels[at[0]]
        cosines = x @ x.T
        np.fill_diagonal(cosines, -np.inf)
        found[RECALL][at] = np.mean(own[np.argmax(cosines, axis=1)] == own)
        found[OPIS][at] = operating_point_inconsistency(x, own).value
        alike = np.sum(x * _unit(mixed[at]), axis=1)
        found[SPEARMAN][at] = rank_correlation(alike, shares[at[0]])
    return found


def _unit(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, np.float64)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def _sets(
    key: jax.Array, data: Labelled, config: Config
) -> tuple[Labelled, Labelled, jax.Array, jax.Array]:
    """Sorted digits of known classes; some of the others; mixtures and shares."""
    keys = jax.random.split(key, 4)
    data = small_data.noisy(keys[0], data, config.noise)
    shuffled = small_data.picked(
        data, jax.random.permutation(keys[1], len(data.labels))
    )
    # 901 digits are below 5.
    order = jnp.argsort(shuffled.labels, stable=True)
    train = small_data.picked(shuffled, order[: losses.KNOWN])
    places = jnp.nonzero(shuffled.labels >= 5, size=config.tested)[0]
    test = small_data.picked(shuffled, places)
    shares = jax.random.uniform(keys[2], (config.tested,))
    other = test.inputs[jax.random.permutation(keys[3], config.tested)]
    own = shares[:, None]
    return train, test, own * test.inputs + (1 - own) * other, shares


def _with_proxies(key: jax.Array, data: Labelled, config: Config) -> Any:
    keys = jax.random.split(key, 4)
    train, test, mixtures, shares = _sets(keys[0], data, config)
    start = {
        "net": dense_nets.dense_params(keys[1], 64, config.width, config.features),
        "proxies": jax.random.normal(keys[2], (5, config.features)),
    }
    size = len(train.labels)
    places = programs.picks(keys[3], config.steps, config.batch, size)
    batches = small_data.picked(train, places)

    def one(weight: jax.Array) -> tuple[jax.Array, jax.Array]:
        def loss(params: Any, batch: Labelled) -> jax.Array:
            x = dense_nets.dense(params["net"], batch.inputs)
            return losses.of_proxies(x, batch.labels, params["proxies"], weight, config)

        tx = optax.adam(config.rate)
        params, _ = programs.trained(loss, tx, start, batches)
        embed = lambda x: dense_nets.dense(params["net"], x)
        return embed(test.inputs), embed(mixtures)

    found = jax.lax.map(one, jnp.array(config.weights))
    return *found, shares, test.labels


def _contrastive(
    key: jax.Array, data: Labelled, config: Config, positives: int, weight: float
) -> Any:
    keys = jax.random.split(key, 4)
    train, test, mixtures, shares = _sets(keys[0], data, config)
    start = dense_nets.dense_params(keys[1], 64, config.width, config.features)
    groups = config.groups * (1 + config.positives) // (1 + positives)
    draws = losses.drawn(keys[2], train.labels, config.steps, groups, 1 + positives)
    given = train.inputs[draws], jax.random.split(keys[3], config.steps)

    def loss(params: Any, given: Any) -> jax.Array:
        images, key = given
        embed = lambda x: unit_rows(dense_nets.dense(params, x))
        value = losses.contrastive(embed(images), config.temperature)
        if weight:
            value = value + weight * losses.ranked(embed, images, key)
        return value

    params, _ = programs.trained(loss, optax.adam(config.rate), start, given)
    embed = lambda x: dense_nets.dense(params, x)[None]
    return embed(test.inputs), embed(mixtures), shares, test.labels
