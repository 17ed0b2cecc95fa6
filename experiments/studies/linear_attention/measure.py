"""Accuracies of attentions, and correlations of norms and entropies."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies import dense_nets, programs
from experiments.studies.linear_attention.config import Config
from experiments.studies.linear_attention.network import (
    ATTENTIONS,
    WEIGHTS,
    init,
    scores,
)
from jaxopt_lab.metrics.rank_correlation import rank_correlation


class Measured(NamedTuple):
    """Everything that is measured.

    Attributes:
      accuracy: on the test images, ``{attention: (rates, seeds)}``.
      correlation: of norms of queries and entropies of their weights, of the network
        that was trained with softmax, ``{attention: (rates, seeds)}``.
    """

    accuracy: dict[str, np.ndarray]
    correlation: dict[str, np.ndarray]


def measure(config: Config, store: Store) -> Measured:
    """Train a transformer with every attention; see ``Experiment.measure``."""
    train, test = programs.digits()
    rows = store.group("runs")
    found = {}
    for name in ATTENTIONS:

        def take(name: str = name) -> dict[str, np.ndarray]:
            run = lambda key, *data: _run(config, name, key, *data)
            values = programs.over_seeds(run, config, train, test)
            pairs = values.pop("pairs", None)
            return values if pairs is None else {**values, **_correlations(pairs)}

        found[name] = rows.measured(name, take)
    return Measured(
        {name: row["accuracy"].T for name, row in found.items()},
        {name: found["softmax"][name].T for name in WEIGHTS},
    )


def entropies(weights: jax.Array) -> jax.Array:
    """Entropies of rows of weights, in nats; NaN for rows without weight.

    Args:
      weights: ``(..., keys)``, at least 0.

    Returns:
      ``(...)``.
    """
    total = jnp.sum(weights, axis=-1, keepdims=True)
    p = weights / total
    return jnp.sum(jax.scipy.special.entr(p), axis=-1)


def _run(
    config: Config, name: str, key: jax.Array, train: Any, test: Any
) -> dict[str, Any]:
    keys, attend = jax.random.split(key), ATTENTIONS[name]
    start = init(keys[0], config)
    at = programs.picks(keys[1], config.steps, config.batch, len(train.labels))

    def loss(params: Any, at: jax.Array) -> jax.Array:
        found, _ = scores(params, train.inputs[at], config, attend)
        return dense_nets.mean_cross_entropy(found, train.labels[at])

    def value(params: Any) -> dict[str, Any]:
        found, pairs = scores(params, test.inputs, config, attend)
        right = dense_nets.accuracy(found, test.labels)
        if name != "softmax":
            return {"accuracy": right}
        q, k = (
            jnp.stack(each)[:, : config.images] for each in zip(*pairs, strict=True)
        )
        each = {kind: entropies(weights(q, k)) for kind, weights in WEIGHTS.items()}
        norms = jnp.sqrt(jnp.sum(q * q, axis=-1))
        return {"accuracy": right, "pairs": {"norms": norms, "entropies": each}}

    def optimizer(rate: jax.Array) -> optax.GradientTransformation:
        return optax.adam(optax.cosine_decay_schedule(rate, config.steps))

    return programs.at_rates(loss, start, at, config.rates, value, optimizer)


def _correlations(pairs: Any) -> dict[str, np.ndarray]:
    """Means over blocks and heads of the correlations over images and tokens."""
    norms, found = pairs["norms"], {}
    # (seeds, rates, blocks, images, heads, tokens)
    rows = np.moveaxis(norms, 4, 3).reshape(*norms.shape[:3], norms.shape[4], -1)
    for kind, values in pairs["entropies"].items():
        own = np.moveaxis(values, 4, 3).reshape(rows.shape)
        each = [
            rank_correlation(a[np.isfinite(b)], b[np.isfinite(b)])
            for a, b in zip(
                rows.reshape(-1, rows.shape[-1]),
                own.reshape(-1, rows.shape[-1]),
                strict=True,
            )
        ]
        found[kind] = np.reshape(each, rows.shape[:-1]).mean((2, 3))
    return found
