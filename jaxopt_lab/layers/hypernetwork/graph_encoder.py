"""States of the nodes of a target network, by attention with distances."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.core.typing import Params
from jaxopt_lab.layers.heads import head_size
from jaxopt_lab.layers.hypernetwork.target_graph import OPERATIONS, TargetGraph
from jaxopt_lab.layers.norm.last_axis import along, normalized

FARTHEST = 50
BUCKETS = 64
LECUN = jax.nn.initializers.lecun_normal()


def graph_encoder(
    *,
    hidden: Annotated[int, COUNT] = 32,
    layers: Annotated[int, COUNT] = 3,
    heads: Annotated[int, COUNT] = 8,
    kernel_init: Callable[..., jax.Array] = LECUN,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    """Transformer over the nodes of a ``TargetGraph``.

    A node begins as the sum of embeddings of its operation, its shape (channels and
    sides, in buckets of half powers of 2), its numbers of neighbours before and behind,
    and its distance from the input. Attention has a bias for each pair, of the
    distances in both directions. Norms stand first.

    Args:
      hidden: h, a multiple of 4 and of ``heads``.
      layers: number of blocks.
      heads: of the attention.
      kernel_init: initializer of kernels and embeddings.
      param_dtype: type of the parameters.

    Returns:
      ``init(key) -> (params, {})``, and ``apply(params, state, graph, *, train,
      key=None, axis_name=None, mask=None) -> (states, state)``, ``(nodes, h)``. Another
      order of the nodes is the same order of the states. One program a graph.

    Raises:
      InputError: an argument is out of range, or sizes do not divide.

    Source: Knyazev et al., "Can We Scale Transformers to Predict Parameters of Diverse
    ImageNet Models?", 2023 (https://arxiv.org/abs/2303.04143); sizes and buckets are
    ours.

    >>> encoder = graph_encoder(hidden=8, heads=2, layers=1)
    >>> jax.eval_shape(encoder.init, jax.random.key(0))[0]["operation"].shape
    (8, 8)
    """
    given = {n: v for n, v in locals().items() if n != "kernel_init"}
    check_arguments(graph_encoder, given)
    size = head_size(hidden, heads)
    head_size(hidden, 4)  # four parts of a shape
    shapes = {
        "operation": (len(OPERATIONS), hidden),
        "sizes": (4 * BUCKETS, hidden // 4),
        "before": (BUCKETS, hidden),
        "behind": (BUCKETS, hidden),
        "depth": (FARTHEST + 2, hidden),
        "pair_in": (2 * hidden, hidden),
        "pair_out": (hidden, heads),
        "query": (layers, hidden, 3 * hidden),
        "mixed": (layers, hidden, hidden),
        "up": (layers, hidden, 4 * hidden),
        "down": (layers, 4 * hidden, hidden),
    }

    def init(key: jax.Array) -> tuple[dict[str, jax.Array], Any]:
        params = {}
        for i, (name, shape) in enumerate(shapes.items()):
            own = jax.random.fold_in(key, i)
            if len(shape) == 2:
                params[name] = kernel_init(own, shape, param_dtype)
            else:
                keys = [jax.random.fold_in(own, j) for j in range(layers)]
                each = [kernel_init(k, shape[1:], param_dtype) for k in keys]
                params[name] = jnp.stack(each)
        for name in ("norm_1", "norm_2"):
            params[name] = jnp.ones((layers, hidden), param_dtype)
        params["norm"] = jnp.ones(hidden, param_dtype)
        return params, {}

    def apply(params: Params, x: TargetGraph, mask: jax.Array | None) -> jax.Array:
        operations, sizes, degrees, depth, both = _codes(x)
        h = params["operation"][operations]
        h = h + params["sizes"][sizes].reshape(len(h), hidden)
        h = h + params["before"][degrees[0]] + params["behind"][degrees[1]]
        h = h + params["depth"][depth]
        waves = jnp.asarray(_waves(both, hidden), h.dtype)
        bias = jax.nn.relu(waves @ params["pair_in"]) @ params["pair_out"]
        bias = jnp.moveaxis(bias, -1, 0)
        for i in range(layers):
            z = normalized(h, 1e-5, centred=True) * along(params["norm_1"][i], h)
            parts = (z @ params["query"][i]).reshape(len(h), 3, heads, size)
            q, k, v = (parts[:, j] for j in range(3))
            logits = jnp.einsum("ahd,bhd->hab", q, k) / math.sqrt(size) + bias
            mixed = jnp.einsum("hab,bhd->ahd", jax.nn.softmax(logits), v)
            h = h + mixed.reshape(h.shape) @ params["mixed"][i]
            z = normalized(h, 1e-5, centred=True) * along(params["norm_2"][i], h)
            h = h + jax.nn.gelu(z @ params["up"][i]) @ params["down"][i]
        return normalized(h, 1e-5, centred=True) * along(params["norm"], h)

    return stateless_layer(init, apply)


def _codes(graph: TargetGraph) -> tuple[Any, ...]:
    """Numbers for the embeddings of the nodes, and the distances both ways."""
    operations = np.array([OPERATIONS.index(name) for name in graph.operations])
    four = []
    for shape in graph.shapes:
        sides = shape[:-2] if len(shape) > 2 else ()
        channels = (1, 1, *shape)[-2:]
        four.append([*channels, *(*sides, 1, 1)[:2]])
    # Half powers of 2, apart for each of the four.
    buckets = np.clip(np.round(2 * np.log2(np.array(four))), 0, BUCKETS - 1)
    sizes = buckets.astype(int) + BUCKETS * np.arange(4)
    degrees = [graph.edges.sum(axis) for axis in (0, 1)]
    degrees = [np.minimum(d, BUCKETS - 1) for d in degrees]
    clipped = np.minimum(graph.distances, FARTHEST)
    both = np.stack([clipped, clipped.T], axis=-1)
    return operations, sizes, degrees, clipped[0] + 1, both


def _waves(both: np.ndarray, hidden: int) -> np.ndarray:
    """Sines and cosines of the distances, ``(n, n, 2 * hidden)``."""
    half = hidden // 2
    rates = 10000.0 ** (-np.arange(half) / half)
    phases = (both[..., None] + 2) * rates
    waves = np.concatenate([np.sin(phases), np.cos(phases)], axis=-1)
    return waves.reshape(*both.shape[:2], -1)
