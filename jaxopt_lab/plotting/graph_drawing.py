"""A drawing of a graph (extra ``graphs``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.extras import need

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def graph_drawing(
    senders: ArrayLike,
    receivers: ArrayLike,
    num_nodes: int,
    *,
    values: ArrayLike | None = None,
    labels: Any = None,
    positions: ArrayLike | None = None,
    arrows: bool = False,
    title: str = "",
) -> Figure:
    """Nodes as points and edges as lines, laid out by networkx.

    Args:
      senders: ``(E,)`` nodes from 0.
      receivers: ``(E,)``.
      num_nodes: number of nodes.
      values: ``(N,)``, shown as colours, such as classes.
      labels: texts of the nodes, ``(N,)``; ``None``: none.
      positions: ``(N, 2)``; ``None``: springs along the edges, always the same ones
        (``networkx.spring_layout``).
      arrows: whether to show the direction of edges.
      title: above the figure.

    Returns:
      The figure.

    Raises:
      InputError: sizes do not fit, a node does not exist, or networkx is needed for the
        positions and not installed.

    >>> figure = graph_drawing([0], [1], 2, positions=[[0.0, 0.0], [1.0, 0.0]])
    >>> len(figure.axes[0].collections)
    2
    """
    ends = [np.asarray(x) for x in (senders, receivers)]
    if num_nodes < 1 or ends[0].ndim != 1 or ends[0].shape != ends[1].shape:
        raise InputError(
            "senders and receivers must be of one shape (E,), beside a node at least; "
            f"got {ends[0].shape} and {ends[1].shape} with {num_nodes} nodes"
        )
    edges = np.stack(ends, axis=1).astype(int)
    if edges.size and not (edges.min() >= 0 and edges.max() < num_nodes):
        raise InputError(
            f"senders and receivers must name nodes from 0 to {num_nodes - 1}; got "
            f"{edges.min()} to {edges.max()}"
        )
    for name, given in (("values", values), ("labels", labels)):
        count = num_nodes if given is None else len(list(given))  # type: ignore[arg-type]
        if count != num_nodes:
            raise InputError(
                f"{name} must be one for each of {num_nodes} nodes; got {count}"
            )
    places = _laid_out(edges, num_nodes) if positions is None else np.asarray(positions)
    if places.shape != (num_nodes, 2):
        raise InputError(f"positions must be ({num_nodes}, 2); got {places.shape}")
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 4.8), layout="constrained")
    axes = figure.subplots()
    if arrows:
        for a, b in places[edges]:
            axes.annotate("", b, a, arrowprops={"arrowstyle": "->", "color": "0.6"})
    else:
        lines = LineCollection(list(places[edges]), colors="0.7", linewidths=0.8)
        axes.add_collection(lines)
    look: dict[str, Any] = {"color": "C0"}
    if values is not None:
        look = {"c": np.asarray(values), "cmap": "viridis"}
    axes.scatter(*places.T, s=40, zorder=3, edgecolors="0.2", **look)
    for text, place in zip([] if labels is None else labels, places, strict=False):
        axes.annotate(str(text), place, (4, 4), textcoords="offset points", fontsize=8)
    axes.set_axis_off()
    axes.set_title(title, fontsize=10)
    return figure


def _laid_out(edges: np.ndarray, num_nodes: int) -> np.ndarray:
    networkx = need("networkx", "the layout of a graph", "graphs")
    graph = networkx.Graph()
    graph.add_nodes_from(range(num_nodes))
    graph.add_edges_from(edges.tolist())
    found = networkx.spring_layout(graph, seed=0)
    return np.array([found[i] for i in range(num_nodes)])
