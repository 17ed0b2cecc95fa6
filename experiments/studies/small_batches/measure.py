"""Test accuracy of every normalization at every batch."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies import dense_nets, normed, programs
from experiments.studies.small_batches.config import Config
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.layers import (
    batch_channel_norm,
    evonorm_b0,
    evonorm_s0,
    ghost_batch_norm,
    group_norm,
    weight_standardization,
)
from jaxopt_lab.losses.classification import cross_entropy

BN, GN, BCN, B0, S0 = ARMS = ("BN", "GN", "WS + BCN", "EvoNorm-B0", "EvoNorm-S0")
_BASE = 8


class Measured(NamedTuple):
    """Everything that is measured.

    Attributes:
      accuracy: on the test set, by batch, by arm, ``(seeds, rates)``.
    """

    accuracy: dict[int, dict[str, np.ndarray]]


def model(arm: str, batch: int, config: Config) -> Functional:
    """The network of an arm.

    Args:
      arm: of ``ARMS``.
      batch: examples of a step.
      config: the size of the study.

    Returns:
      The model.
    """
    channels, groups = config.channels, config.groups
    small = batch <= config.estimated
    norms = {
        BN: lambda: ghost_batch_norm(channels, ghost_size=batch),
        GN: lambda: group_norm(channels, groups=groups),
        BCN: lambda: batch_channel_norm(channels, groups=groups, estimate=small),
        B0: lambda: evonorm_b0(channels),
        S0: lambda: evonorm_s0(channels, groups=groups),
    }
    standardize = weight_standardization()
    return normed.network(
        norms[arm](),
        channels,
        image=True,
        transform=(lambda w: standardize.apply({}, w)) if arm == BCN else None,
        activation=None if arm in (B0, S0) else jax.nn.relu,
    )


def measure(config: Config, store: Store) -> Measured:
    """Train every network at every batch; see ``Experiment.measure``."""
    data = programs.digits()
    rows = store.group("runs")
    found: dict[int, dict[str, np.ndarray]] = {}
    for batch in config.batches:
        for arm in config.arms:
            net = model(arm, batch, config)
            run = lambda key, point, *data, net=net, batch=batch: {
                "accuracy": _run(key, point, data, net, batch, config)
            }
            take = lambda run=run: programs.over_grid(
                run, config, (config.rates,), *data
            )
            row = rows.measured(f"{arm}, {batch}", take)
            found.setdefault(batch, {})[arm] = row["accuracy"]
    return Measured(found)


def _run(
    key: jax.Array, point: Any, data: Any, net: Functional, batch: int, config: Config
) -> jax.Array:
    (rate,), (train, test) = point, data
    start, order = jax.random.split(key)
    # The same examples in the same order at every batch.
    index = programs.picks(order, config.seen, 1, len(train.labels))
    index = index.reshape(-1, batch)

    def loss(params: Any, states: Any, index: jax.Array) -> tuple[jax.Array, Any]:
        x, labels = train.inputs[index], train.labels[index]
        scores, states = net.apply(params, states, x, train=True)
        return jnp.mean(cross_entropy(scores, labels)), states

    tx = optax.sgd(rate * (batch / _BASE), momentum=0.9)
    params, states = programs.trained_with_state(loss, tx, *net.init(start), index)
    scores, _ = net.apply(params, states, test.inputs, train=False)
    return dense_nets.accuracy(scores, test.labels)
