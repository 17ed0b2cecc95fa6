"""Accuracy, cross-entropy and diversity of ensembles for every weight and width."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies import dense_nets, programs, small_data
from experiments.studies.ensembles.config import Config
from experiments.studies.programs import Labelled
from jaxopt_lab.losses import ensemble_cross_entropy, ensemble_diversity

MEASURES = ("accuracy", "cross-entropy", "diversity", "accuracy of a member")


class Measured(NamedTuple):
    """Everything that is measured, on the test.

    Attributes:
      values: ``(gammas, seeds)`` by measure, by width.
    """

    values: dict[int, dict[str, np.ndarray]]


def measure(config: Config, store: Store) -> Measured:
    """Train ensembles with every weight; see ``Experiment.measure``."""
    data = small_data.all_digits()
    rows, found = store.group("widths"), {}
    for width in config.widths:
        run = lambda key, x, y, width=width: _run(key, Labelled(x, y), width, config)
        take = lambda run=run: programs.over_seeds(run, config, *data, loop=True)
        row = rows.measured(f"width {width}", take)
        found[width] = {name: values.T for name, values in row.items()}
    return Measured(found)


def logits(params: list[Any], x: jax.Array) -> jax.Array:
    """Those of all members.

    Args:
      params: of ``dense_nets.dense_params``, of each member.
      x: ``(B, inputs)``.

    Returns:
      ``(B, members, classes)``.
    """
    # Not vmap: batched products take XLA minutes to compile.
    return jnp.stack([dense_nets.dense(own, x) for own in params], axis=1)


def measures(scores: jax.Array, labels: jax.Array) -> dict[str, jax.Array]:
    """The measures of one ensemble.

    Args:
      scores: logits, ``(B, members, classes)``.
      labels: ``(B,)``.

    Returns:
      Numbers by name, the first two of the mean probabilities.
    """
    mean = jnp.mean(jax.nn.softmax(scores), axis=1)
    single = dense_nets.accuracy(jnp.moveaxis(scores, 1, 0), labels[None])
    jointly = ensemble_cross_entropy(scores, labels, gamma=1.0)
    values = (
        dense_nets.accuracy(mean, labels),
        jnp.mean(jointly),
        jnp.mean(ensemble_diversity(scores, labels)),
        jnp.mean(single),
    )
    return dict(zip(MEASURES, values, strict=True))


def _run(
    key: jax.Array, data: Labelled, width: int, config: Config
) -> dict[str, jax.Array]:
    """The measures of one seed, ``(gammas,)`` each."""
    keys = jax.random.split(key, 4)
    data = small_data.noisy(keys[0], data, config.noise)
    train, test = small_data.parts(keys[1], data, config.train)
    start = [
        dense_nets.dense_params(own, 64, width, 10)
        for own in jax.random.split(keys[2], config.members)
    ]
    places = programs.picks(keys[3], config.steps, config.batch, config.train)
    batches = small_data.picked(train, places)

    def one(gamma: Any) -> dict[str, jax.Array]:
        def loss(params: Any, batch: Labelled) -> jax.Array:
            found = logits(params, batch.inputs)
            return jnp.mean(ensemble_cross_entropy(found, batch.labels, gamma=gamma))

        params, _ = programs.trained(loss, optax.adam(config.rate), start, batches)
        return measures(logits(params, test.inputs), test.labels)

    return jax.lax.map(one, jnp.array(config.gammas))
