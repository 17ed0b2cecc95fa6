"""Two graph layers whose functions are data, trained by one program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.studies import digit_graphs
from experiments.studies.dense_nets import normals
from experiments.studies.graph_search.config import Config
from experiments.studies.programs import trained
from jaxopt_lab.layers import make_graph
from jaxopt_lab.layers.graph.searchable_conv import (
    ACTIVATIONS,
    AGGREGATES,
    ATTENTIONS,
    GraphCell,
    graph_cell,
    searchable_conv,
)
from jaxopt_lab.search import Choice
from jaxopt_lab.search.space import Space

CLASSES, LAYERS, WIDTHS = 10, 2, 4


class Nodes(NamedTuple):
    """A graph and three parts of its nodes.

    Attributes:
      x: ``(nodes, 64)``.
      y: ``(nodes,)``.
      graph: edges from neighbours.
      parts: 1 for the nodes of a part, ``(3, nodes)``: known, validation, test.
    """

    x: Any
    y: Any
    graph: Any
    parts: Any


class Scores(NamedTuple):
    """Accuracies of a candidate after its training.

    Attributes:
      valid: on the nodes for validation.
      test: on the nodes for the test.
    """

    valid: float
    test: float


def space(config: Config) -> Space:
    """The functions and the width of both layers.

    Args:
      config: the size of the study.

    Returns:
      Dimensions by name.
    """
    widths = Choice(tuple(config.units >> i for i in reversed(range(WIDTHS))))
    of_layer = {
        "attention": Choice(ATTENTIONS),
        "aggregate": Choice(AGGREGATES),
        "activation": Choice(ACTIVATIONS),
        "width": widths,
    }
    return {f"{n}_{i}": d for i in range(LAYERS) for n, d in of_layer.items()}


def cells(candidate: Mapping[str, Any]) -> tuple[GraphCell, ...]:
    """The layers of a candidate.

    Args:
      candidate: values by name.

    Returns:
      A cell for each layer.
    """
    names = ("attention", "aggregate", "activation", "width")
    return tuple(
        graph_cell(*(candidate[f"{n}_{i}"] for n in names)) for i in range(LAYERS)
    )


def nodes_of(config: Config, seed: int, inputs: Any, labels: Any) -> Nodes:
    """The graph of a seed.

    Args:
      config: the size of the study.
      seed: of the draw.
      inputs: all digits.
      labels: of them.

    Returns:
      The graph; the nodes for validation are the first that are not known.
    """
    count = config.nodes
    found = digit_graphs.drawn(
        seed, inputs, labels, count, config.neighbours, config.labels
    )
    to = np.repeat(np.arange(count), config.neighbours)
    graph = make_graph(found.near.ravel(), to, count)
    known = found.known > 0
    valid = ~known & (np.cumsum(~known) <= config.valid)
    parts = np.stack([known, valid, ~known & ~valid]).astype(np.float32)
    return Nodes(found.x, found.y, graph, parts)


class Trainer:
    """Trains candidates; all of them share one program.

    Args:
      config: the size of the study.

    Attributes:
      compilations: how often the program was compiled.
    """

    def __init__(self, config: Config) -> None:
        self.compilations = 0
        units = config.units
        layers = [searchable_conv(n, units=units) for n in (64, units)]

        def logits(params: Any, chosen: Any, nodes: Nodes) -> jax.Array:
            x = nodes.x
            own = zip(layers, params["layers"], chosen, strict=True)
            for (_, apply), of_layer, cell in own:
                x = apply(of_layer, cell, (x, nodes.graph))
            return x @ params["head"]

        @jax.jit
        def run(chosen: Any, seed: jax.Array, nodes: Nodes) -> jax.Array:
            # The body runs once for every compilation.
            self.compilations += 1
            keys = jax.random.split(jax.random.key(seed), LAYERS + 1)
            (head,) = normals(keys[-1], (units, CLASSES))
            start = {
                "layers": [
                    init(k) for (init, _), k in zip(layers, keys[:-1], strict=True)
                ],
                "head": head / units**0.5,
            }

            def mean(values: jax.Array, part: int) -> jax.Array:
                weights = nodes.parts[part]
                return jnp.sum(values * weights) / jnp.sum(weights)

            def loss(params: Any, step: jax.Array) -> jax.Array:
                del step
                found = optax.softmax_cross_entropy_with_integer_labels(
                    logits(params, chosen, nodes), nodes.y
                )
                return mean(found, 0)

            steps = jnp.arange(config.steps)
            params, _ = trained(loss, optax.adam(config.rate), start, steps)
            scores = logits(params, chosen, nodes)
            right = jnp.argmax(scores, axis=1) == nodes.y
            return jnp.stack([mean(right, 1), mean(right, 2)])

        self._run = run

    def train(self, chosen: tuple[GraphCell, ...], seed: int, nodes: Nodes) -> Scores:
        """Train a network of some cells.

        Args:
          chosen: a cell for each layer.
          seed: of the start.
          nodes: the graph.

        Returns:
          Its accuracies.
        """
        numbers = jax.tree.map(np.int32, chosen)
        valid, test = np.asarray(self._run(numbers, np.uint32(seed), nodes)).tolist()
        return Scores(valid, test)
