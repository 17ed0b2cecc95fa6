"""Graph layers: dense references, padding, the order of nodes, training."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import (
    Graph,
    Hypergraph,
    gat_conv,
    gcn_conv,
    gcn_propagate,
    graph_hyperedges,
    hypergraph_conv,
    hypergraph_propagate,
    make_graph,
    make_hypergraph,
    pad_graphs,
    pool_nodes,
    segment_softmax,
)
from jaxopt_lab.training import init_state, make_train_step

RNG = np.random.default_rng(0)
CLOSE: Any = {"rtol": 1e-12, "atol": 1e-12}
N, M, F = 6, 3, 4
X: Any = RNG.normal(size=(N, F))
GRAPH = make_graph(
    [0, 1, 2, 3, 4, 0, 2], [1, 2, 0, 0, 3, 3, 1], N, weight=RNG.uniform(0.5, 2, 7)
)
PAIRS = make_hypergraph(
    [0, 1, 2, 1, 3, 4, 0], [0, 0, 0, 1, 1, 1, 2], N, M, weight=RNG.uniform(0.5, 2, M)
)
ORDER = RNG.permutation(N)
PLACE = np.argsort(ORDER)
LAYERS = {
    "gcn": (gcn_conv(F, units=2, param_dtype=jnp.float64), GRAPH),
    "mean": (gcn_conv(F, normalization="mean", param_dtype=jnp.float64), GRAPH),
    "gat": (gat_conv(F, heads=2, param_dtype=jnp.float64), GRAPH),
    "averaged": (
        gat_conv(F, units=3, heads=2, concatenate=False, param_dtype=jnp.float64),
        GRAPH,
    ),
    "hypergraph": (hypergraph_conv(F, units=3, param_dtype=jnp.float64), PAIRS),
}
WHOLE = ("gcn", "gat", "hypergraph")
ENDS: Any = np.array([[0, 1], [1, 2], [2, 3], [3, 0], [0, 2]])
TWO = make_hypergraph(ENDS.ravel(), np.repeat(np.arange(5), 2), 4, 5)
TWO_GRAPH = make_graph(ENDS[:, 0], ENDS[:, 1], 4, undirected=True)
RING = make_graph(np.arange(5), (np.arange(5) + 1) % 5, 5, undirected=True)


def longer(graph, by=3):
    """The same with edges of padding that name any nodes."""
    graph = graph._replace(mask=np.ones(len(graph[0]), bool))
    first = [np.concatenate([a, np.full(by, 1, a.dtype)]) for a in graph[:2]]
    mask = np.concatenate([graph.mask, np.zeros(by, bool)])
    weight = graph.weight
    if isinstance(graph, Graph):
        weight = np.concatenate([weight, np.full(by, np.nan)])
    return type(graph)(first[0], first[1], weight, mask)


def permuted(graph):
    """The same with nodes called by their new places, and edges in another order."""
    turn = RNG.permutation(len(graph[0]))
    if isinstance(graph, Hypergraph):
        return graph._replace(nodes=PLACE[graph.nodes][turn], edges=graph.edges[turn])
    ends = [PLACE[end][turn] for end in graph[:2]]
    return Graph(ends[0], ends[1], graph.weight[turn])


@functools.cache
def found():
    """Everything that is compared, in one program."""

    def run(x):
        out = {}
        for i, (name, (layer, graph)) in enumerate(LAYERS.items()):
            params = layer.init(jax.random.key(i))[0]
            params["bias"] = params["bias"] + 0.3

            def apply(nodes, graph, layer=layer, params=params, **options):
                return layer.apply(params, {}, (nodes, graph), train=True, **options)[0]

            def sloped(nodes, graph, mask=None, apply=apply):
                y, pull = jax.vjp(lambda z: apply(z, graph, mask=mask), nodes)
                return y, pull(jnp.cos(y.at[N:].set(0)))[0]

            if name not in WHOLE:
                out[name] = {"params": params, "plain": apply(x, graph)}
                out[name]["permuted"] = apply(x[ORDER], permuted(graph))
                continue
            nodes = jnp.concatenate([x, jnp.full((2, F), jnp.nan)])
            wild = jnp.asarray(graph[0]).at[0].set(N) + (0 * x[0, 0]).astype(int)
            plain, slope = sloped(x, graph)
            out[name] = {
                "params": params,
                "plain": plain,
                "slope": slope,
                "edges": apply(x, longer(graph)),
                "padded": sloped(nodes, longer(graph), np.arange(N + 2) < N),
                "permuted": apply(x[ORDER], permuted(graph)),
                "wild": apply(x, type(graph)(wild, *graph[1:])),
            }
        layer, graph = LAYERS["gcn"]
        single = {n: p.astype(jnp.float32) for n, p in out["gcn"]["params"].items()}
        pair = (x.astype(jnp.float32), graph)
        out["single"] = layer.apply(single, {}, pair, train=True)[0]
        out["operator"] = hypergraph_propagate(jnp.eye(N), PAIRS)
        out["pairs"] = hypergraph_propagate(jnp.eye(4), TWO)
        out["half"] = gcn_propagate(jnp.eye(4), TWO_GRAPH, self_loops=False)
        out["ring"] = gcn_propagate(jnp.full((5, 2), 3.0), RING)
        return out

    return jax.tree.map(np.asarray, jax.jit(run)(jnp.asarray(X)))


def adjacency(loops=True):
    a = np.zeros((N, N))
    for s, r, w in zip(*GRAPH[:3], strict=True):
        a[r, s] += w
    return a + np.eye(N) * loops


def test_graph_convolution_is_the_dense_product():
    a = adjacency()
    d = a.sum(1)
    for name, matrix in (
        ("gcn", a / np.sqrt(np.outer(d, d))),
        ("mean", a / d[:, None]),
    ):
        p = found()[name]["params"]
        want = matrix @ X @ p["kernel"] + p["bias"]
        np.testing.assert_allclose(found()[name]["plain"], want, **CLOSE)


@pytest.mark.parametrize("name", ["gat", "averaged"])
def test_attention_is_the_dense_softmax(name):
    p, a = found()[name]["params"], adjacency()
    h = (X @ p["kernel"]).reshape(N, 2, -1)
    heads = []
    for k in range(2):
        z = (h[:, k] @ p["receiver"][k])[:, None] + (h[:, k] @ p["sender"][k])[None]
        w = a * np.exp(np.where(z > 0, z, 0.2 * z))
        heads.append(w / w.sum(1, keepdims=True) @ h[:, k])
    want = np.concatenate(heads, 1) if name == "gat" else np.mean(heads, axis=0)
    np.testing.assert_allclose(found()[name]["plain"], want + p["bias"], **CLOSE)


def test_single_precision_is_kept():
    single, plain = found()["single"], found()["gcn"]["plain"]
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, plain, atol=1e-5)


def operator(pairs, count):
    h = np.zeros((count, len(pairs.weight)))
    np.add.at(h, (pairs.nodes, pairs.edges), 1)
    d = h @ pairs.weight
    root = np.where(d > 0, 1 / np.sqrt(np.where(d > 0, d, 1)), 0)
    middle = h * (pairs.weight / h.sum(0)) @ h.T
    return middle * np.outer(root, root), d


def test_hypergraph_convolution_is_the_dense_product():
    p, got = (found()["hypergraph"][name] for name in ("params", "plain"))
    want = operator(PAIRS, N)[0] @ (X @ p["kernel"] + p["bias"])
    np.testing.assert_allclose(got, want, **CLOSE)


@pytest.mark.parametrize("name", WHOLE)
def test_padding_changes_nothing(name):
    values = found()[name]
    np.testing.assert_array_equal(values["edges"], values["plain"])
    y, slope = values["padded"]
    np.testing.assert_allclose(y[:N], values["plain"], **CLOSE)
    np.testing.assert_allclose(slope[:N], values["slope"], **CLOSE)
    assert not y[N:].any() and not slope[N:].any()


@pytest.mark.parametrize("name", LAYERS)
def test_the_order_of_nodes_and_edges_is_that_of_the_result(name):
    values = found()[name]
    np.testing.assert_allclose(values["permuted"], values["plain"][ORDER], **CLOSE)


@pytest.mark.parametrize("name", WHOLE)
def test_an_edge_to_no_node_shows_where_it_is_traced(name):
    assert np.isnan(found()[name]["wild"]).any()


def test_the_hypergraph_operator_is_a_projection_like_mean():
    matrix, d = operator(PAIRS, N)
    got = found()["operator"]
    np.testing.assert_allclose(got, matrix, **CLOSE)
    np.testing.assert_allclose(got, got.T, **CLOSE)
    values = np.linalg.eigvalsh(got)
    assert values.min() > -1e-12 and abs(values.max() - 1) < 1e-12
    np.testing.assert_allclose(got @ np.sqrt(d), np.sqrt(d), **CLOSE)


def test_two_nodes_a_hyperedge_are_a_graph():
    both, half = found()["pairs"], found()["half"]
    np.testing.assert_allclose(both, (np.eye(4) + half) / 2, **CLOSE)


def test_a_regular_graph_keeps_constants():
    np.testing.assert_allclose(found()["ring"], 3.0, **CLOSE)


def test_weights_of_a_softmax_count_edges():
    z, segments = np.array([1.0, -2.0, 900.0, 0.5]), np.array([0, 0, 0, 2])

    def run(w):
        return segment_softmax(jnp.asarray(z), jnp.asarray(segments), 3, weight=w)

    w = jnp.array([2.0, 1.0, 0.0, 0.0])
    p, slope = jax.jit(lambda w: (run(w), jax.jacobian(run)(w)))(w)
    size = np.array([2.0, 1.0]) * np.exp(z[:2])
    np.testing.assert_allclose(p, [*(size / size.sum()), 0, 0], **CLOSE)
    assert np.isfinite(slope).all()
    want = np.exp(z[0]) * size[1] / size.sum() ** 2
    np.testing.assert_allclose(slope[0, 0], want, **CLOSE)


def small(seed):
    rng = np.random.default_rng(seed)
    n, e = rng.integers(2, 5), rng.integers(1, 6)
    ends = rng.integers(0, n, (2, e))
    return rng.normal(size=(n, F)), make_graph(
        ends[0], ends[1], int(n), weight=rng.random(e)
    )


def test_batches_of_graphs_train_in_one_program():
    layer = gcn_conv(F, param_dtype=jnp.float64)
    traces = []

    def pooled(params, batch):
        y = layer.apply(
            params, {}, (batch.nodes, batch.graph), train=True, mask=batch.node_mask
        )[0]
        return y, jnp.stack([pool_nodes(y, batch, kind=k) for k in ("mean", "max")])

    def loss_fn(params, state, batch, key):
        traces.append(1)
        y, pools = pooled(params, batch)
        errors = jnp.where(batch.graph_mask, jnp.mean((pools[0] - 1) ** 2, axis=1), 0)
        loss = jnp.sum(errors) / jnp.sum(batch.graph_mask)
        return loss, (state, {"pools": pools, "y": y})

    tx = optax.sgd(0.1)
    graphs = [small(i) for i in range(6)]
    batches = [
        pad_graphs(part, num_nodes=15, num_edges=20, num_graphs=4)
        for part in (graphs[:3], graphs[3:])
    ]
    params = jax.jit(layer.init)(jax.random.key(0))[0]
    state = init_state(tx, params, jax.random.key(1))
    step = jax.jit(make_train_step(loss_fn, tx))
    first = state.params
    losses, metrics = [], []
    for i in range(20):
        state, found = step(state, batches[i % 2])
        losses.append(float(found["loss"]))
        metrics.append(found)
    assert len(traces) <= 2 and losses[-1] < losses[1] and losses[-2] < losses[0]
    nodes, graph = graphs[0]
    a = np.eye(len(nodes))
    np.add.at(a, (graph.receivers, graph.senders), graph.weight)
    a = a / np.sqrt(np.outer(a.sum(1), a.sum(1)))
    alone = [a @ nodes @ np.asarray(first["kernel"]) + np.asarray(first["bias"])]
    n = len(alone[0])
    np.testing.assert_allclose(metrics[0]["y"][:n], alone[0], **CLOSE)
    want = np.stack([alone[0].mean(0), alone[0].max(0)])
    np.testing.assert_allclose(metrics[0]["pools"][:, 0], want, **CLOSE)
    assert not np.any(metrics[0]["pools"][:, 3])


def test_neighbourhoods_are_hyperedges():
    pairs = graph_hyperedges(GRAPH, N)
    members = [sorted(pairs.nodes[pairs.edges == i].tolist()) for i in range(N)]
    assert members == [[0, 2, 3], [0, 1, 2], [1, 2], [0, 3, 4], [4], [5]]


ONE = (np.ones((2, F)), make_graph([0], [1], 2))
BAD = {
    "senders must name nodes from 0 to 1; got 2": lambda: make_graph([2], [0], 2),
    "receivers must name nodes from 0 to 1; got -1": lambda: make_graph([0], [-1], 2),
    "a graph must have at least one node": lambda: make_graph([], [], 0),
    "edges must name hyperedges from 0 to 0": lambda: make_hypergraph([0], [1], 2, 1),
    "at least one node and one hyperedge": lambda: make_hypergraph([0], [0], 2, 0),
    "one entry for each edge": lambda: make_graph([0, 1], [0], 2),
    "weight must be numbers of at least 0": lambda: make_graph(
        [0], [0], 2, weight=[-1]
    ),
    "senders must be whole numbers": lambda: make_graph([0.5], [0], 2),
    "the graphs have 4 nodes, the padded batch num_nodes=3": lambda: pad_graphs(
        [ONE, ONE], num_nodes=3, num_edges=2
    ),
    "the graphs have 2 edges, the padded batch num_edges=1": lambda: pad_graphs(
        [ONE, ONE], num_nodes=4, num_edges=1
    ),
    "the graphs have 2 graphs, the padded batch num_graphs=1": lambda: pad_graphs(
        [ONE, ONE], num_nodes=4, num_edges=2, num_graphs=1
    ),
    "at least one graph; got none": lambda: pad_graphs([], num_nodes=1, num_edges=1),
    "graph 0 must have features": lambda: pad_graphs(
        [(np.ones((0, F)), ONE[1])], num_nodes=1, num_edges=1
    ),
    "weights must be given for all graphs or for none": lambda: pad_graphs(
        [ONE, small(0)], num_nodes=9, num_edges=9
    ),
    "heads must divide units=3": lambda: gat_conv(3, heads=2),
    "takes a pair": lambda: gcn_propagate(X, None),  # type: ignore[arg-type]
    "senders must name nodes from 0 to 5; got 6": lambda: gcn_propagate(
        X, Graph(np.array([6]), np.array([0]))
    ),
    "must have the leading axes": lambda: gcn_propagate(X[None], GRAPH),
    "weight must have the leading axes": lambda: gcn_propagate(
        X, GRAPH._replace(weight=np.ones(3))
    ),
    "weight must be at least 0": lambda: gcn_propagate(
        X, GRAPH._replace(weight=-GRAPH.weight)
    ),
    "takes at least one node": lambda: gcn_propagate(X[:0], GRAPH),
    "mask must have the first axes": lambda: gcn_propagate(X, GRAPH, mask=X[:3, 0]),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_refused_in_one_line(message):
    with pytest.raises(InputError, match=message) as error:
        BAD[message]()
    assert "\n" not in str(error.value)
