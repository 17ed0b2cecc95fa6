"""Distances in graphs, on the host: landmarks, pairs, and the rank correlation."""

from __future__ import annotations

from typing import Annotated, Any

import jax
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.core.rank_correlation import kendall_tau
from jaxopt_lab.layers.graph.graphs import Graph, check_indices, make_graph


def shortest_path_lengths(
    graph: Graph, num_nodes: int, sources: Any = None
) -> np.ndarray:
    """Number of edges on the shortest path from some nodes to all.

    Args:
      graph: known edges; their weights do not count. Edges are followed from sender to
        receiver.
      num_nodes: number of nodes.
      sources: ``(S,)`` nodes; ``None``: all.

    Returns:
      ``(S, N)`` float64, infinite where there is no path. O(S E diameter) time.

    Raises:
      InputError: as ``make_graph``.

    >>> path = make_graph([0, 1], [1, 2], 4, undirected=True)
    >>> shortest_path_lengths(path, 4, [0]).tolist()
    [[0.0, 1.0, 2.0, inf]]
    """
    checked = make_graph(graph.senders, graph.receivers, num_nodes)
    kept = slice(None) if graph.mask is None else np.asarray(graph.mask) != 0
    ends = [np.asarray(checked.senders)[kept], np.asarray(checked.receivers)[kept]]
    starts = np.arange(num_nodes) if sources is None else np.asarray(sources)
    check_indices("sources", starts, num_nodes, "nodes")
    found = np.full((len(starts), num_nodes), np.inf)
    for row, start in zip(found, starts, strict=True):
        row[start], front, steps = 0, np.array([start]), 0
        while len(front):
            steps += 1
            reached = np.zeros(num_nodes, bool)
            reached[front] = True
            front = np.unique(ends[1][reached[ends[0]]])
            front = front[np.isinf(row[front])]
            row[front] = steps
    return found


def farthest_point_landmarks(
    key: jax.Array, graph: Graph, num_nodes: int, num_landmarks: int
) -> np.ndarray:
    """Nodes far from each other: each is the farthest from those before it.

    Args:
      key: of the first one.
      graph: as ``shortest_path_lengths``.
      num_nodes: number of nodes.
      num_landmarks: how many.

    Returns:
      ``(num_landmarks,)``, different nodes; every component has one before any has a
      second. Of equally far nodes the lowest.

    Raises:
      InputError: there are fewer nodes.

    >>> path = make_graph([0, 1], [1, 2], 3, undirected=True)
    >>> sorted(farthest_point_landmarks(jax.random.key(0), path, 3, 3).tolist())
    [0, 1, 2]
    """
    if not 1 <= num_landmarks <= num_nodes:
        raise InputError(
            f"num_landmarks must lie in [1, {num_nodes}]; got {num_landmarks}"
        )
    chosen = [int(jax.random.randint(key, (), 0, num_nodes))]
    nearest = np.full(num_nodes, np.inf)
    while True:
        lengths = shortest_path_lengths(graph, num_nodes, chosen[-1:])[0]
        nearest = np.minimum(nearest, lengths)
        if len(chosen) == num_landmarks:
            return np.array(chosen)
        chosen.append(int(np.argmax(nearest)))


def landmark_features(
    key: jax.Array,
    graph: Graph,
    num_nodes: int,
    *,
    num_landmarks: Annotated[int, COUNT] = 16,
    landmarks: Any = None,
) -> np.ndarray:
    r"""Each node by its distances from landmarks.

    .. math:: x_u = [d(l_1, u), \ldots, d(l_m, u)] / D

    with D the largest finite distance from a landmark. For an undirected graph the
    maximum norm of :math:`D (x_u - x_v)` is at most d(u, v), and equal to it if u or v
    is a landmark.

    Args:
      key: of ``farthest_point_landmarks``.
      graph: as ``shortest_path_lengths``; for link prediction that of the training
        edges alone, since the features know every edge.
      num_nodes: number of nodes.
      num_landmarks: m.
      landmarks: nodes to take instead.

    Returns:
      ``(N, m)`` float32 in [0, 1]; 1 where there is no path.

    Raises:
      InputError: there are fewer nodes than landmarks.

    >>> path = make_graph([0, 1], [1, 2], 3, undirected=True)
    >>> landmark_features(jax.random.key(0), path, 3, landmarks=[0]).ravel().tolist()
    [0.0, 0.5, 1.0]
    """
    check_arguments(landmark_features, {"num_landmarks": num_landmarks})
    if landmarks is None:
        landmarks = farthest_point_landmarks(key, graph, num_nodes, num_landmarks)
    lengths = shortest_path_lengths(graph, num_nodes, landmarks).T
    largest = np.max(lengths, initial=1, where=np.isfinite(lengths))
    return np.where(np.isfinite(lengths), lengths / largest, 1).astype(np.float32)


def sample_distance_pairs(
    key: jax.Array, distances: Any, count: Annotated[int, COUNT]
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of nodes, every distance as often as every other.

    Args:
      key: of the draws.
      distances: ``(N, N)`` of ``shortest_path_lengths``.
      count: number of pairs, drawn with replacement.

    Returns:
      Pairs ``(count, 2)`` and their distances ``(count,)``; never a node with itself,
      nor two without a path.

    Raises:
      InputError: the distances are no square matrix, or no two nodes have a path.

    >>> path = make_graph([0, 1], [1, 2], 3, undirected=True)
    >>> lengths = shortest_path_lengths(path, 3)
    >>> pairs, found = sample_distance_pairs(jax.random.key(0), lengths, 4)
    >>> bool(np.all(lengths[tuple(pairs.T)] == found)), pairs.shape
    (True, (4, 2))
    """
    check_arguments(sample_distance_pairs, {"count": count})
    matrix = np.asarray(jax.device_get(distances))
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise InputError(f"distances must be (N, N); got {matrix.shape}")
    flat = matrix.ravel()
    places = np.flatnonzero(np.isfinite(flat) & (flat > 0))
    if not len(places):
        raise InputError("distances must be finite and above 0 for two nodes; got none")
    places = places[np.argsort(flat[places], kind="stable")]
    _, starts, sizes = np.unique(flat[places], return_index=True, return_counts=True)
    u = np.asarray(jax.random.uniform(key, (2, count)), np.float64)
    value = np.minimum((u[0] * len(sizes)).astype(int), len(sizes) - 1)
    inside = np.minimum((u[1] * sizes[value]).astype(int), sizes[value] - 1)
    chosen = places[starts[value] + inside]
    return np.stack(np.divmod(chosen, len(matrix)), axis=1), flat[chosen]


def distance_correlation(h: Any, distances: Any, pairs: Any) -> float:
    """Kendall's tau of distances of embeddings and distances in the graph.

    Args:
      h: ``(N, d)``.
      distances: ``(N, N)``, finite for the pairs.
      pairs: ``(P, 2)``.

    Returns:
      As ``kendall_tau``.

    >>> lengths = np.array([[0, 1, 2], [1, 0, 1], [2, 1, 0]])
    >>> pairs = np.array([[0, 1], [0, 2]])
    >>> distance_correlation(np.array([[0.0], [1.0], [3.0]]), lengths, pairs)
    1.0
    """
    ends = np.asarray(jax.device_get(h), np.float64)[np.asarray(pairs)]
    apart = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=-1)
    return kendall_tau(apart, np.asarray(distances)[tuple(np.asarray(pairs).T)])
