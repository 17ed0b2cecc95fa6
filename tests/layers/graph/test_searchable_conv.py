"""The searchable graph layer against dense sums over all nodes in NumPy."""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import graph_cell, make_graph, searchable_conv
from jaxopt_lab.layers.graph.searchable_conv import (
    ACTIVATIONS,
    AGGREGATES,
    ATTENTIONS,
)

RNG = np.random.default_rng(0)
N, F, U = 4, 3, 5
X: Any = RNG.normal(size=(N, F))
GRAPH = make_graph([0, 1, 2, 0], [1, 2, 0, 2], N, weight=[0.5, 2.0, 1.0, 1.5])
ORDER = RNG.permutation(N)
PLACE = np.argsort(ORDER)
INIT, APPLY = searchable_conv(F, units=U, param_dtype=jnp.float64)
CELLS = [
    *((a, "sum", "identity", U) for a in ATTENTIONS),
    *((a, g, "tanh", 3) for a, g in itertools.product(("const", "gat"), AGGREGATES)),
    *(("gcn", "sum", name, U) for name in ACTIVATIONS),
]


@functools.cache
def found():
    """Parameters, and the output of every cell, in one program."""

    def run(x, cells):
        params = INIT(jax.random.key(0))
        params["bias"] = params["bias"] + 0.2
        y = jax.lax.map(lambda cell: APPLY(params, cell, (x, GRAPH)), cells)
        loss = lambda p: jnp.sum(
            APPLY(p, graph_cell("gene_linear", "sum", "tanh", 2), (x, GRAPH)) ** 2
        )
        wide = jnp.concatenate([x, jnp.full((2, F), jnp.nan)])
        first = jax.tree.map(lambda c: c[2], cells)
        padded = APPLY(params, first, (wide, GRAPH), mask=np.arange(N + 2) < N)
        turned = GRAPH._replace(
            senders=PLACE[GRAPH.senders][::-1],
            receivers=PLACE[GRAPH.receivers][::-1],
            weight=GRAPH.weight[::-1],
        )
        permuted = lambda cell: APPLY(params, cell, (x[ORDER], turned))
        others = jax.lax.map(permuted, cells)
        return params, y, jax.grad(loss)(params), padded, others

    chosen = [graph_cell(*cell) for cell in CELLS]
    cells = jax.tree.map(lambda *c: np.stack(c), *chosen)
    return jax.tree.map(np.asarray, jax.jit(run)(X, cells))


def adjacency():
    a = np.eye(N)
    a[GRAPH.receivers, GRAPH.senders] += GRAPH.weight
    return a


def reference(attention, aggregate, activation, width):
    p, a = found()[0], adjacency()
    h, g = ((X @ p[n]) * (np.arange(U) < width) for n in ("kernel", "second"))
    own, other = h @ p["receiver"], h @ p["sender"]
    leaky = lambda z: np.where(z > 0, z, 0.2 * z)
    gat = leaky(own[:, None] + other[None])
    d = a.sum(1)
    logits = {
        "gat": gat,
        "sym_gat": gat + leaky(own[None] + other[:, None]),
        "cos": h @ g.T,
        "linear": np.tanh(own[:, None] + other[None]),
        "gene_linear": np.tanh(h[:, None] + g[None]) @ p["out"],
    }
    if attention == "const":
        factors = a
    elif attention == "gcn":
        factors = a / np.sqrt(np.outer(d, d))
    else:
        size = a * np.exp(logits[attention])
        factors = size / size.sum(1, keepdims=True)
    y = factors @ h
    if aggregate == "mean":
        y = y / d[:, None]
    elif aggregate == "max":
        each = np.where(a[..., None] > 0, factors[..., None] * h[None], -np.inf)
        y = each.max(1)
    y = y + p["bias"]
    functions = {
        "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
        "tanh": np.tanh,
        "relu": lambda z: np.maximum(z, 0),
        "identity": lambda z: z,
        "softplus": lambda z: np.log1p(np.exp(z)),
        "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
        "relu6": lambda z: np.clip(z, 0, 6),
        "elu": lambda z: np.where(z > 0, z, np.expm1(z)),
    }
    return functions[activation](y) * (np.arange(U) < width)


@pytest.mark.parametrize("i", range(len(CELLS)))
def test_a_cell_is_the_dense_sum(i):
    want = reference(*CELLS[i])
    np.testing.assert_allclose(found()[1][i], want, rtol=1e-11, atol=1e-12)


def test_what_is_behind_the_width_does_not_learn():
    slopes = found()[2]
    for name in ("kernel", "second", "out", "bias"):
        assert np.abs(slopes[name][..., :2]).max() > 1e-4
        assert not slopes[name][..., 2:].any()


def test_padding_changes_nothing():
    np.testing.assert_allclose(found()[3][:N], found()[1][2], rtol=1e-12)
    assert not found()[3][N:].any()


def test_the_order_of_nodes_and_edges_is_that_of_the_result():
    _, y, _, _, others = found()
    np.testing.assert_allclose(others, y[:, ORDER], rtol=1e-12, atol=1e-12)


def test_bad_cells():
    with pytest.raises(InputError, match="attention must be one of const"):
        graph_cell("other", "sum", "tanh", 1)
    with pytest.raises(InputError, match="width must be at least 1"):
        graph_cell("gat", "sum", "tanh", 0)
