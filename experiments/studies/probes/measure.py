"""Accuracy of both probes for every number of labels, kind of features and draw."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies import dense_nets, programs
from experiments.studies.probes.config import EPS, Config
from experiments.studies.programs import Labelled
from jaxopt_lab.metrics import apply_naive_bayes, fit_naive_bayes

LOGISTIC = "logistic regression"
FEATURES = ("pixels", "trained on 0 to 4", "untrained")


class Measured(NamedTuple):
    """Everything that is measured.

    Attributes:
      accuracy: of the test digits, ``(counts, seeds)`` by probe, by kind of features.
    """

    accuracy: dict[str, dict[str, np.ndarray]]


def measure(config: Config, store: Store) -> Measured:
    """Fit every probe; see ``Experiment.measure``."""
    train, test = programs.digits()
    orders = jnp.stack(
        [
            jax.random.permutation(jax.random.key(seed + 1), len(train.labels))
            for seed in range(config.first_seed, config.first_seed + config.seeds)
        ]
    )
    rows, found = store.group("features"), {}
    for kind in FEATURES:
        found[kind] = rows.measured(
            kind, lambda kind=kind: _accuracies(kind, train, test, orders, config)
        )
    return Measured(found)


def _accuracies(
    kind: str, train: Labelled, test: Labelled, orders: jax.Array, config: Config
) -> dict[str, np.ndarray]:
    """Accuracy of every probe on features of one kind."""
    own = _features(kind, train, test, config)
    found = {name: _naive_bayes(own, orders, config, eps) for name, eps in EPS.items()}
    return {**found, LOGISTIC: _logistic(own, orders, config)}


def _features(
    kind: str, train: Labelled, test: Labelled, config: Config
) -> tuple[Labelled, Labelled]:
    """Digits with the features that the network of the first seed gives, or pixels."""
    if kind == FEATURES[0]:
        return train, test
    keys = jax.random.split(jax.random.key(config.first_seed))
    params = dense_nets.dense_params(keys[0], 64, config.width, config.width, 5)

    def loss(params: list, batch: Labelled) -> jax.Array:
        scores = dense_nets.dense(params, batch.inputs)
        return jnp.mean(
            optax.softmax_cross_entropy_with_integer_labels(scores, batch.labels)
        )

    if kind == FEATURES[1]:
        half = np.flatnonzero(np.asarray(train.labels) < 5)
        places = half[programs.picks(keys[1], config.steps, config.batch, half.size)]
        batches = jax.tree.map(lambda x: x[places], train)
        run = jax.jit(
            lambda p, b: programs.trained(loss, optax.adam(config.rate), p, b)
        )
        params, _ = run(params, batches)
    inner = params[:-1]
    own = lambda s: Labelled(jax.nn.relu(dense_nets.dense(inner, s.inputs)), s.labels)
    return own(train), own(test)


def _naive_bayes(
    own: tuple[Labelled, Labelled], orders: jax.Array, config: Config, eps: float
) -> np.ndarray:
    """Accuracies ``(counts, seeds)``: sets of all sizes are weights of the largest."""
    counts = jnp.array(config.counts)
    most = max(config.counts)

    def one(count: jax.Array, order: jax.Array, train: Labelled, test: Labelled):
        chosen = jax.tree.map(lambda x: x[order[:most]], train)
        probe = fit_naive_bayes(
            {"features": chosen.inputs, "targets": chosen.labels},
            where=(jnp.arange(most) < count).astype(jnp.float32),
            eps=eps,
        )
        return dense_nets.accuracy(apply_naive_bayes(probe, test.inputs), test.labels)

    each = lambda order, *sets: jax.lax.map(lambda n: one(n, order, *sets), counts)
    run = jax.jit(lambda orders, *sets: jax.lax.map(lambda o: each(o, *sets), orders))
    return np.asarray(run(orders, *own)).T


def _logistic(
    own: tuple[Labelled, Labelled], orders: jax.Array, config: Config
) -> np.ndarray:
    """The same of scikit-learn's logistic regression, features scaled to [0, 1]."""
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    (x, y), (x_test, y_test) = (tuple(map(np.asarray, s)) for s in own)
    found = np.zeros((len(config.counts), len(orders)))
    for j, order in enumerate(np.asarray(orders)):
        for i, count in enumerate(config.counts):
            chosen = order[:count]
            low = x[chosen].min(axis=0)
            width = x[chosen].max(axis=0) - low
            width[width == 0] = 1
            model = LogisticRegression(C=config.strength, max_iter=1000)
            # Threads of such small products wait for each other: on a busy machine
            # for minutes.
            with threadpool_limits(1):
                model.fit((x[chosen] - low) / width, y[chosen])
            found[i, j] = model.score((x_test - low) / width, y_test)
    return found
