"""Tiny graphs."""

from __future__ import annotations

from typing import Any

import numpy as np


def weighted_graphs() -> dict[str, Any]:
    """Four graphs of four nodes and five weighted edges each.

    >>> weighted_graphs()["x"][0].shape
    (4, 4, 3)
    """
    from jaxopt_lab.layers.graph.graphs import Graph

    rng = np.random.default_rng(0)
    first = np.array([0, 1, 2, 3, 0])
    senders = (first + np.arange(4)[:, None]) % 4
    receivers = (np.array([1, 2, 0, 0, 2]) + np.arange(4)[:, None]) % 4
    graph = Graph(senders, receivers, rng.uniform(0.5, 2, (4, 5)))
    return {"x": (rng.normal(size=(4, 4, 3)), graph)}


def attended_graphs() -> dict[str, Any]:
    """The same with four features, for two heads.

    >>> attended_graphs()["heads"]
    2
    """
    nodes = np.random.default_rng(1).normal(size=(4, 4, 4))
    return {"x": (nodes, weighted_graphs()["x"][1]), "heads": 2}


def weighted_hypergraphs() -> dict[str, Any]:
    """Four hypergraphs of four nodes and three weighted hyperedges each.

    >>> weighted_hypergraphs()["x"][1].weight.shape
    (4, 3)
    """
    from jaxopt_lab.layers.graph.graphs import Hypergraph

    rng = np.random.default_rng(2)
    nodes = (np.array([0, 1, 2, 1, 3, 0, 2]) + np.arange(4)[:, None]) % 4
    edges = np.tile(np.array([0, 0, 0, 1, 1, 2, 2]), (4, 1))
    graph = Hypergraph(nodes, edges, rng.uniform(0.5, 2, (4, 3)))
    return {"x": (rng.normal(size=(4, 4, 3)), graph)}
