"""Graphs, networks that embed them, and how well distances are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies.isometric.config import Config
from experiments.studies.programs import trained
from jaxopt_lab.core.extras import need
from jaxopt_lab.core.rank_correlation import kendall_tau, roc_area
from jaxopt_lab.layers import (
    from_networkx,
    gcn_conv,
    landmark_features,
    make_graph,
    sample_distance_pairs,
    shortest_path_lengths,
)
from jaxopt_lab.losses import isometric_loss

ARMS = ("random", "landmarks", "random, isometric", "landmarks, isometric")


class Measured(NamedTuple):
    """Scores by graph and arm, ``(seeds,)`` each.

    Attributes:
      tau: Kendall's tau of distances, over pairs that no loss has seen.
      auc: area under the curve of edges kept aside against other pairs.
    """

    tau: Mapping[str, Mapping[str, np.ndarray]]
    auc: Mapping[str, Mapping[str, np.ndarray]]


def measure(config: Config, store: Store) -> Measured:
    """Train every arm on every graph and seed; see ``Experiment.measure``."""
    rows, found = store.group("runs"), {}
    # All first: one that is not there ends the run at once.
    graphs = {name: GRAPHS[name](config) for name in config.graphs}
    for name, edges in graphs.items():
        take = lambda e=edges: _of_graph(config, e)
        found[name] = rows.measured(name, take)
    of: Any = lambda key: {
        name: dict(zip(ARMS, np.asarray(row[key]).T, strict=True))
        for name, row in found.items()
    }
    return Measured(of("tau"), of("auc"))


def grid_edges(side: int) -> np.ndarray:
    """Edges of a square grid.

    Args:
      side: nodes in a row.

    Returns:
      ``(E, 2)``.
    """
    place = np.arange(side * side).reshape(side, side)
    right = np.stack([place[:, :-1], place[:, 1:]], axis=-1).reshape(-1, 2)
    down = np.stack([place[:-1], place[1:]], axis=-1).reshape(-1, 2)
    return np.concatenate([right, down])


def tree_edges(levels: int) -> np.ndarray:
    """Edges of a balanced binary tree.

    Args:
      levels: with the root.

    Returns:
      ``(E, 2)``.
    """
    child = np.arange(1, 2**levels - 1)
    return np.stack([(child - 1) // 2, child], axis=1)


def novel_edges() -> np.ndarray:
    """Pairs of people of Les Miserables who meet in a chapter.

    Returns:
      ``(254, 2)``.

    Raises:
      InputError: networkx is not installed.
    """
    networkx = need("networkx", "the graph of Les Miserables", "graphs")
    graph = from_networkx(networkx.les_miserables_graph()).graph
    ends = np.stack([np.asarray(graph.senders), np.asarray(graph.receivers)], axis=1)
    return ends[ends[:, 0] < ends[:, 1]]


GRAPHS: Mapping[str, Callable[[Config], np.ndarray]] = {
    "grid": lambda config: grid_edges(config.side),
    "tree": lambda config: tree_edges(config.levels),
    "Les Miserables": lambda config: novel_edges(),
}
"""Edges by the name of a graph."""


def _of_graph(config: Config, edges: np.ndarray) -> dict[str, np.ndarray]:
    count = int(edges.max()) + 1
    whole = make_graph(edges[:, 0], edges[:, 1], count, undirected=True)
    lengths = shortest_path_lengths(whole, count)
    train = jax.jit(lambda data, key: _trained(config, data, key))
    tau, auc = [], []
    for seed in range(config.first_seed, config.first_seed + config.seeds):
        rng, key = np.random.default_rng(seed), jax.random.key(seed)
        order = rng.permutation(len(edges))
        aside = edges[order[: int(config.held_out * len(edges))]]
        kept = edges[order[len(aside) :]]
        graph = make_graph(kept[:, 0], kept[:, 1], count, undirected=True)
        # The features and the loss know the edges that are left, and no others.
        known = shortest_path_lengths(graph, count)
        test = np.triu(rng.random((count, count)) < 0.5, 1)
        seen = np.where(test | test.T, np.inf, known)
        pairs, distances = sample_distance_pairs(key, seen, config.pairs)
        # The same for all arms: half of the pairs are never drawn.
        at = np.argwhere(test)
        apart = np.argwhere(np.triu(lengths > 1, 1))
        others = apart[rng.permutation(len(apart))[: 20 * len(aside)]]
        noise = rng.normal(size=(count, config.landmarks)).astype(np.float32)
        marks = landmark_features(key, graph, count, num_landmarks=config.landmarks)
        scores = []
        for arm in ARMS:
            features = marks if "landmarks" in arm else noise
            weight = config.weight if "isometric" in arm else 0.0
            data = {
                "features": features,
                "graph": graph,
                "edges": kept,
                "pairs": pairs,
                "distances": distances.astype(np.float32),
                "weight": np.float32(weight),
            }
            h = np.asarray(train(data, key), np.float64)
            between = lambda p, h=h: np.linalg.norm(h[p[:, 0]] - h[p[:, 1]], axis=1)
            scores.append(
                (
                    kendall_tau(between(at), lengths[tuple(at.T)]),
                    roc_area(-between(others), -between(aside)),
                )
            )
        tau.append([s[0] for s in scores])
        auc.append([s[1] for s in scores])
    return {"tau": np.array(tau), "auc": np.array(auc)}


def _trained(config: Config, data: Any, key: jax.Array) -> jax.Array:
    """The embeddings of one run."""
    layers = [
        gcn_conv(config.landmarks, units=config.width),
        gcn_conv(config.width, units=config.width),
    ]
    keys = jax.random.split(key, 3)
    params = {
        "layers": [layer.init(k)[0] for layer, k in zip(layers, keys, strict=False)],
        "scale": jnp.asarray(np.log(np.e - 1), jnp.float32),
        "threshold": jnp.zeros((), jnp.float32),
    }
    count = data["features"].shape[0]

    def embed(params: Any) -> jax.Array:
        x = (jnp.asarray(data["features"]), data["graph"])
        h = jnp.tanh(layers[0].apply(params["layers"][0], {}, x, train=True)[0])
        return layers[1].apply(params["layers"][1], {}, (h, x[1]), train=True)[0]

    def loss(params: Any, key: jax.Array) -> jax.Array:
        h = embed(params)
        edges = jnp.asarray(data["edges"])
        other = jax.random.randint(key, edges.shape, 0, count)
        square = lambda p: jnp.sum((h[p[:, 0]] - h[p[:, 1]]) ** 2, axis=1)
        link = jnp.mean(jax.nn.softplus(square(edges) - params["threshold"]))
        link += jnp.mean(jax.nn.softplus(params["threshold"] - square(other)))
        scale = jax.nn.softplus(params["scale"])
        ends = h[jnp.asarray(data["pairs"])]
        kept = isometric_loss(ends, jnp.asarray(data["distances"]), scale=scale)
        return link + data["weight"] * jnp.mean(kept)

    steps = jax.random.split(keys[2], config.steps)
    params, _ = trained(loss, optax.adam(config.rate), params, steps)
    return embed(params)
