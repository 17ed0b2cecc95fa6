"""The tree of variables with the most mutual information (Chow and Liu)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jaxopt_lab.core.errors import InputError


def mutual_information(data: NDArray[np.integer], classes: int) -> NDArray[np.float64]:
    """Mutual information of every pair of variables, in nats.

    Args:
      data: ``(N, D)``, symbols from 0.
      classes: number of symbols.

    Returns:
      ``(D, D)``.

    >>> x = np.array([[0, 0], [1, 1]])
    >>> mutual_information(x, 2).round(3).tolist()
    [[0.693, 0.693], [0.693, 0.693]]
    """
    hot = (data[..., None] == np.arange(classes)).reshape(len(data), -1).astype(float)
    joint = hot.T @ hot / len(data)
    single = np.diag(joint)
    apart = np.outer(single, single)
    there = joint > 0
    ratio = np.where(there, joint, 1) / np.where(there, apart, 1)
    terms = np.where(there, joint * np.log(ratio), 0)
    d = data.shape[1]
    return terms.reshape(d, classes, d, classes).sum((1, 3))


def chow_liu_tree(data: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """Parents in a maximal spanning tree of mutual information.

    Args:
      data: ``(N, D)``, symbols from 0.
      classes: number of symbols.

    Returns:
      ``(D,)``, -1 for the root, the middle of a longest path: the tree is shallow.

    Raises:
      InputError: there are no data.

    >>> x = np.array([[0, 0, 0], [1, 1, 0], [0, 0, 1], [1, 1, 1]])
    >>> parents = chow_liu_tree(x, 2)
    >>> bool(parents[0] == 1 or parents[1] == 0), int(np.sum(parents < 0))
    (True, 1)
    """
    if data.ndim != 2 or not data.size:
        raise InputError(f"data must be (N, D), not empty; got shape {data.shape}")
    weight = mutual_information(data, classes)
    d = len(weight)
    joined, near, best = {0}, np.zeros(d, int), weight[0].copy()
    edges: list[list[int]] = [[] for _ in range(d)]
    for _ in range(d - 1):
        free = np.where([i in joined for i in range(d)], -np.inf, best)
        new = int(np.argmax(free))
        edges[new].append(int(near[new]))
        edges[near[new]].append(new)
        joined.add(new)
        closer = weight[new] > best
        near, best = np.where(closer, new, near), np.maximum(best, weight[new])
    end = _walk(edges, 0)[0][-1]
    order, parents = _walk(edges, end)
    path = [order[-1]]
    while parents[path[-1]] >= 0:
        path.append(parents[path[-1]])
    return np.asarray(_walk(edges, path[len(path) // 2])[1])


def breadth_first(parents: NDArray[np.integer]) -> list[int]:
    """The variables, every parent before its children.

    Args:
      parents: ``(D,)``, -1 for the one root.

    Returns:
      Their numbers.

    Raises:
      InputError: it is no tree.

    >>> breadth_first(np.array([2, 0, -1]))
    [2, 0, 1]
    """
    d = len(parents)
    edges: list[list[int]] = [[] for _ in range(d)]
    for child, parent in enumerate(parents):
        if parent >= 0:
            edges[parent].append(child)
    roots = [i for i in range(d) if parents[i] < 0]
    order = list(roots)
    for one in order:
        order.extend(edges[one])
    if len(roots) != 1 or len(order) != d:
        raise InputError("parents must be a tree with one root, -1")
    return order


def _walk(edges: list[list[int]], root: int) -> tuple[list[int], list[int]]:
    """Numbers from near to far, and parents."""
    parents = [-1] * len(edges)
    order, seen = [root], {root}
    for one in order:
        for other in edges[one]:
            if other not in seen:
                seen.add(other)
                parents[other] = one
                order.append(other)
    return order, parents
