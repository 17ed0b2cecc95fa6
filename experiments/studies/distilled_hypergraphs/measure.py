"""Accuracy of teachers and students, and the operations of their predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies.dense_nets import dense, dense_params
from experiments.studies.digit_graphs import drawn
from experiments.studies.distilled_hypergraphs.config import Config
from experiments.studies.programs import digits, over_seeds, trained
from jaxopt_lab.layers import (
    Hypergraph,
    graph_hyperedges,
    hyperedge_consistency,
    hyperedge_reliability,
    hypergraph_conv,
    make_graph,
    node_distillation,
)

STUDENTS: Mapping[str, tuple[float, float, float]] = {
    "perceptron": (1.0, 0.0, 0.0),
    "LightHGNN": (0.0, 1.0, 0.0),
    "LightHGNN+": (0.0, 1.0, 1.0),
}
"""Weights of the labels, of the teacher's nodes and of its hyperedges."""


class Measured(NamedTuple):
    """Everything that is measured.

    Attributes:
      accuracy: on nodes without labels, by network, ``(seeds,)``.
      operations: of the predictions for all nodes, by ``"teacher"`` and ``"student"``.
    """

    accuracy: Mapping[str, np.ndarray]
    operations: Mapping[str, float]


def measure(config: Config, store: Store) -> Measured:
    """Train teachers and students; see ``Experiment.measure``."""
    train, test = digits()
    inputs = np.concatenate([train.inputs, test.inputs])
    labels = np.concatenate([train.labels, test.labels])
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    data = [_drawn(config, seed, inputs, labels) for seed in seeds]
    stacked = jax.tree.map(lambda *parts: np.stack(parts), *data)
    run = lambda key, data: _run(config, key, data)
    rows = store.group("runs")
    take = lambda: _taken(run, config, stacked)
    found = rows.measured("all", take)
    names = ("teacher", *STUDENTS)
    return Measured(
        {name: np.asarray(found[name]) for name in names},
        {name: float(found[f"{name} operations"]) for name in ("teacher", "student")},
    )


def _drawn(config: Config, seed: int, inputs: Any, labels: Any) -> dict[str, Any]:
    found = drawn(seed, inputs, labels, config.nodes, config.neighbours, config.labels)
    to = np.repeat(np.arange(config.nodes), config.neighbours)
    graph = make_graph(found.near.ravel(), to, config.nodes)
    pairs = graph_hyperedges(graph, config.nodes)
    return {
        "x": found.x,
        "y": found.y,
        "known": found.known,
        "nodes": pairs.nodes,
        "edges": pairs.edges,
    }


def _taken(run: Any, config: Config, stacked: Any) -> dict[str, Any]:
    found = over_seeds(run, config, loop=True, own=stacked)
    first = jax.tree.map(lambda a: a[0], stacked)
    return {**found, **_operations(config, first)}


def _teacher(config: Config) -> tuple[Any, Any]:
    layers = [
        hypergraph_conv(64, units=config.hidden),
        hypergraph_conv(config.hidden, units=10),
    ]

    def init(key: jax.Array) -> Any:
        keys = jax.random.split(key)
        return [layer.init(k)[0] for layer, k in zip(layers, keys, strict=True)]

    def predict(params: Any, x: jax.Array, pairs: Hypergraph) -> jax.Array:
        y = layers[0].apply(params[0], {}, (x, pairs), train=True)[0]
        y = jax.nn.relu(y)
        return layers[1].apply(params[1], {}, (y, pairs), train=True)[0]

    return init, predict


def _run(config: Config, key: jax.Array, data: Any) -> Any:
    pairs = Hypergraph(data["nodes"], data["edges"], jnp.ones(config.nodes))
    x, y, known = data["x"], data["y"], data["known"]
    keys = jax.random.split(key, 4)
    init, predict = _teacher(config)
    tx = optax.adamw(config.rate, weight_decay=config.decay)

    def on_labels(logits: jax.Array) -> jax.Array:
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, y)
        return jnp.sum(losses * known) / jnp.sum(known)

    def fitted(loss: Any, params: Any, key: jax.Array) -> Any:
        return trained(loss, tx, params, jax.random.split(key, config.steps))[0]

    teacher = fitted(
        lambda p, k: on_labels(predict(p, x, pairs)), init(keys[0]), keys[1]
    )
    told = predict(teacher, x, pairs)
    reliable = hyperedge_reliability(
        keys[2],
        lambda z: predict(teacher, z, pairs),
        x,
        pairs,
        noise_level=config.noise,
    )

    def student(weights: jax.Array) -> jax.Array:
        def loss(params: Any, key: jax.Array) -> jax.Array:
            logits = dense(params, x)
            picked = jax.random.bernoulli(key, reliable).astype(jnp.float32)
            joined = hyperedge_consistency(logits, told, pairs)
            consistent = jnp.sum(joined * picked) / jnp.maximum(jnp.sum(picked), 1)
            parts = jnp.stack(
                [
                    on_labels(logits),
                    jnp.mean(node_distillation(logits, told)),
                    consistent,
                ]
            )
            return jnp.sum(weights * parts)

        params = dense_params(keys[3], 64, config.student, 10)
        return dense(fitted(loss, params, keys[1]), x)

    weights = jnp.asarray(list(STUDENTS.values()), jnp.float32)
    outputs = jnp.concatenate([told[None], jax.vmap(student)(weights)])
    right = (jnp.argmax(outputs, axis=-1) == y) * (1 - known)
    accuracy = jnp.sum(right, axis=1) / jnp.sum(1 - known)
    return dict(zip(("teacher", *STUDENTS), accuracy, strict=True))


def _operations(config: Config, data: Any) -> dict[str, float]:
    """Operations of a prediction for all nodes, as XLA counts them."""
    init, predict = _teacher(config)
    key = jax.random.key(0)
    pairs = Hypergraph(data["nodes"], data["edges"], np.ones(config.nodes, np.float32))
    teacher = jax.eval_shape(init, key)
    student = jax.eval_shape(lambda key: dense_params(key, 64, config.student, 10), key)
    runs = {
        "teacher": (jax.jit(lambda p, x: predict(p, x, pairs)), teacher),
        "student": (jax.jit(dense), student),
    }
    found = {}
    for name, (run, params) in runs.items():
        costs: Any = run.lower(params, data["x"]).cost_analysis()
        found[f"{name} operations"] = float(costs["flops"])
    return found
