"""Networks of architectures, each compiled once, and the one that seeds a search."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.studies.dense_nets import accuracy, mean_cross_entropy
from experiments.studies.grammar_search.config import Config
from experiments.studies.programs import Labelled, trained_with_state
from jaxopt_lab.core.tree_paths import path_name
from jaxopt_lab.search import Node, einspace_network, from_text

SHAPE, CLASSES = (8, 8, 1), 10


class Scores(NamedTuple):
    """Accuracies of a candidate after its training; 0 where a score is not finite.

    Attributes:
      valid: on the examples that score candidates.
      test: on those of the test.
    """

    valid: float
    test: float


def residual_network(units: int = 16) -> Node:
    """A convolution and a residual block, as ResNets begin.

    Args:
      units: channels.

    Returns:
      Its architecture, for images.
    """

    def leaf(op: str, size: int = 0) -> Node:
        return Node("computation", (op, size))

    def convolution(stride: int) -> Node:
        route = (("im2col", 3, stride, 1), ("col2im",))
        return Node("routing", route, (leaf("linear", units),))

    def sequence(first: Node, *rest: Node) -> Node:
        return Node("sequential", (), (first, sequence(*rest))) if rest else first

    inner = sequence(convolution(1), leaf("norm"), leaf("relu"), convolution(1))
    block = Node("branching", ("clone", 2, "add"), (inner, leaf("identity")))
    start = convolution(2), leaf("norm"), leaf("relu")
    return sequence(*start, block, leaf("norm"), leaf("relu"))


def drawn(shapes: Any, seed: int) -> Any:
    """Parameters of ``einspace_network``, drawn on the host, without a compilation.

    Args:
      shapes: of the parameters.
      seed: of the draws.

    Returns:
      Normal kernels and positions, scales of 1, zeros.
    """
    rng = np.random.default_rng(seed)

    def of(path: Any, leaf: Any) -> np.ndarray:
        *_, owner, name = ("", *path_name(path).split("/"))
        if name == "kernel":
            gain = 1.0 if owner == "head" else 2.0
            scale = (gain / leaf.shape[0]) ** 0.5
            return (scale * rng.normal(size=leaf.shape)).astype(np.float32)
        if name == "position":
            return rng.normal(size=leaf.shape).astype(np.float32)
        return np.full(leaf.shape, name == "scale", np.float32)

    return jax.tree.map_with_path(of, shapes)


class Trainer:
    """Trains architectures; each is compiled once, whatever the seed.

    Args:
      config: the size of the study.

    Attributes:
      compilations: of programs, one an architecture.
    """

    def __init__(self, config: Config) -> None:
        self.compilations, self._config = 0, config
        self._programs: dict[str, Any] = {}

    def train(
        self, text: str, seed: int, train: Labelled, held: tuple[Labelled, ...]
    ) -> Scores:
        """Train the network of an architecture.

        Args:
          text: of the architecture.
          seed: of the start and the batches.
          train: data to train on.
          held: examples that score candidates, and those of the test.

        Returns:
          Its accuracies.
        """
        if text not in self._programs:
            self._programs[text] = self._compiled(from_text(text))
            self.compilations += 1
        shapes, program = self._programs[text]
        params, state = drawn(shapes[0], seed), _first(shapes[1])
        size = (self._config.steps, self._config.batch)
        rng = np.random.default_rng(seed)
        index = rng.integers(0, len(train.labels), size).astype(np.int32)
        found = np.asarray(program(params, state, index, train, held))
        return Scores(*found.tolist())

    def _compiled(self, node: Node) -> Any:
        net = einspace_network(node, SHAPE, CLASSES)
        shapes = jax.eval_shape(net.init, jax.random.key(0))
        tx = optax.sgd(self._config.rate, momentum=0.9)

        def scores(params: Any, state: Any, x: jax.Array, train: bool) -> Any:
            return net.apply(params, state, x.reshape(-1, *SHAPE), train=train)

        @jax.jit
        def run(params: Any, state: Any, index: Any, train: Any, held: Any) -> Any:
            def loss(params: Any, state: Any, index: jax.Array) -> Any:
                y, state = scores(params, state, train.inputs[index], True)
                return mean_cross_entropy(y, train.labels[index]), state

            params, state = trained_with_state(loss, tx, params, state, index)
            # One evaluation of all examples: one network less to compile.
            x = jnp.concatenate([part.inputs for part in held])
            y, _ = scores(params, state, x, False)
            parts = jnp.split(y, [len(held[0].labels)])
            right = [accuracy(p, h.labels) for p, h in zip(parts, held, strict=True)]
            return jnp.where(jnp.all(jnp.isfinite(y)), jnp.stack(right), 0)

        return shapes, run


def _first(shapes: Any) -> Any:
    """Running statistics at the start: means of 0, variances of 1."""
    of = lambda path, leaf: np.full(
        leaf.shape, path_name(path).endswith("variance"), np.float32
    )
    return jax.tree.map_with_path(of, shapes)
