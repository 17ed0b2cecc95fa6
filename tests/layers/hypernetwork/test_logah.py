"""Graphs of parameters, kernels of low rank, and predictions of whole networks."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import (
    TargetGraph,
    logah,
    low_rank_decoder,
    low_rank_decoder_size,
    parameter_graph,
)
from jaxopt_lab.layers.hypernetwork.logah import kernel_factor, vector_of

RNG = np.random.default_rng(0)


def struct(*shape):
    return jax.ShapeDtypeStruct(shape, np.float64)


def network(p, x):
    """A convolution, a norm's scale and bias, a residual block, a tied matrix."""
    h = jax.lax.conv_general_dilated(
        x, p["conv"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    h = jax.jit(jax.nn.relu)(h)
    h = h * p["scale"].reshape(1, 1, 1, -1) + p["bias"].reshape(1, 1, 1, -1)
    h = jnp.mean(h, axis=(1, 2))
    h = h + jax.nn.gelu(h @ p["tied"])
    return (h @ p["tied"]) @ p["out"] + p["table"][jnp.argmax(h, axis=1)]


PARAMS = {
    "bias": struct(4),
    "conv": struct(3, 3, 2, 4),
    "out": struct(4, 3),
    "scale": struct(4),
    "table": struct(4, 3),
    "tied": struct(4, 4),
}
IMAGE = struct(2, 5, 5, 2)


@functools.cache
def graph():
    return parameter_graph(network, PARAMS, IMAGE)


def test_graphs_are_read_from_the_program():
    found = graph()
    assert found.names == ("input", *PARAMS, "output")
    kinds = dict(zip(found.names, found.operations, strict=True))
    assert kinds == {
        "input": "input",
        "bias": "shift",
        "conv": "conv",
        "out": "product",
        "scale": "scale",
        "table": "lookup",
        "tied": "product",
        "output": "output",
    }
    index = {name: i for i, name in enumerate(found.names)}
    pairs = np.argwhere(found.edges)
    edges = {(found.names[i], found.names[j]) for i, j in pairs}
    assert edges == {
        ("input", "conv"),
        ("conv", "scale"),
        ("scale", "bias"),
        ("bias", "tied"),
        ("tied", "out"),
        ("bias", "table"),
        ("tied", "table"),
        ("out", "output"),
        ("table", "output"),
    } - {("tied", "table")} | (edges & {("tied", "table")})
    assert found.distances[index["input"], index["output"]] == 5
    assert found.distances[index["output"], index["input"]] == -1
    assert found.shapes[index["conv"]] == (3, 3, 2, 4)


SIZES: Any = {"rank": 2, "max_width": 12}


def parameters(layer):
    shapes = jax.eval_shape(layer.init, jax.random.key(0))[0]
    return jax.tree.map(lambda s: RNG.normal(size=s.shape), shapes)


DECODER = parameters(low_rank_decoder(3, **SIZES))


@functools.cache
def decoded():
    """Kernels of several shapes, in one program."""
    x = RNG.normal(size=(2, 3))

    @jax.jit
    def run(params, x):
        call = lambda layout, shape: low_rank_decoder(
            3, shape=shape, layout=layout, **SIZES
        ).apply(params, {}, x, train=True)[0]
        return {
            (layout, shape): call(layout, shape)
            for layout in ("transpose", "reference")
            for shape in ((12, 12), (5, 7), (3, 2, 4, 4))
        }

    return x, jax.device_get(run(DECODER, x))


def test_kernels_are_products_of_the_factors():
    x, found = decoded()
    p, r = DECODER, 2
    for (layout, shape), kernels in found.items():
        for one, w in zip(x, kernels, strict=True):
            h = one
            for i in range(3):
                h = np.maximum(h @ p[f"kernel_{i}"] + p[f"bias_{i}"], 0)
            y = h.reshape(2 * r, r) @ p["kernel_3"] + p["bias_3"]
            if layout == "transpose":
                a, b = y[:r].T, y[r:]
            else:
                rows = y.reshape(-1, r)
                a, b = rows[:12], rows[12:].T
            sides, (inputs, outputs) = shape[:-2] or (1, 1), shape[-2:]
            whole = a @ b
            want = np.zeros((*sides, inputs, outputs))
            for o, i in np.ndindex(outputs, inputs):
                for u, v in np.ndindex(*sides):
                    entry = whole[o * sides[0] + u, i * sides[1] + v]
                    want[u, v, i, o] = entry
            want = want.reshape(shape) * np.sqrt(2 / np.prod(shape[:-1]))
            np.testing.assert_allclose(w, want, rtol=1e-11, atol=1e-12)


def test_kernels_have_the_rank_and_narrow_ones_are_corners():
    _, found = decoded()
    wide = found["transpose", (12, 12)]
    values = np.linalg.svd(wide, compute_uv=False)
    assert np.all(values[:, 2:] < 1e-12 * values[:, :1])
    assert np.all(values[:, 1] > 1e-6 * values[:, 0])
    corner = wide[:, :5, :7] * np.sqrt(12 / 5)
    np.testing.assert_allclose(found["transpose", (5, 7)], corner, rtol=1e-11)


def test_the_size_is_the_formula_and_linear_in_the_width():
    count = sum(p.size for p in DECODER.values())
    assert count == low_rank_decoder_size(3, 2, 12)
    sizes = [low_rank_decoder_size(8, 4, c) for c in (16, 32, 48)]
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0] == 16 * 5


@pytest.mark.full
def test_another_order_of_the_nodes_is_another_order_of_the_parameters():
    net = logah(hidden=8, heads=2, layers=1, rank=2, max_width=12)
    params = jax.tree.map(lambda p: 0.3 * p, parameters(net))
    one = graph()
    order = np.array([0, 3, 1, 6, 2, 5, 4, 7])  # of the leaves, between both ends
    names = tuple(one.names[i] for i in order)
    other = TargetGraph(
        names,
        tuple(one.operations[i] for i in order),
        tuple(one.shapes[i] for i in order),
        one.distances[np.ix_(order, order)],
        one.edges[np.ix_(order, order)],
        jax.tree.structure(list(range(6))),
    )

    @jax.jit
    def run(params):
        call = lambda g: net.apply(params, {}, g, train=True)[0]
        first = call(one)
        outputs = network(first, jnp.ones(IMAGE.shape))
        return first, call(other), outputs

    first, second, outputs = jax.device_get(run(params))
    assert {n: p.shape for n, p in first.items()} == {
        n: p.shape for n, p in PARAMS.items()
    }
    for name, leaf in zip(names[1:-1], second, strict=True):
        np.testing.assert_allclose(leaf, first[name], rtol=1e-9, atol=1e-12)
    assert np.all((first["scale"] > 0) & (first["scale"] < 2))
    assert np.all(np.abs(first["bias"]) < 1) and np.all(np.isfinite(outputs))


def test_vectors_and_factors():
    assert kernel_factor((3, 3, 1, 4), "conv") == np.sqrt(1 / 9)
    assert kernel_factor((1, 3, 2, 4), "conv") == np.sqrt(1 / 6)
    assert kernel_factor((3, 3, 2, 4), "conv") == np.sqrt(2 / 18)
    assert kernel_factor((6, 4), "product") == np.sqrt(2 / 6)
    p = jnp.array([0.0, 50.0])
    np.testing.assert_allclose(vector_of(p, (3,), "scale"), [1, 2, 1])
    np.testing.assert_allclose(vector_of(p, (3,), "shift"), [0, 1, 0], rtol=1e-6)
    assert vector_of(p, (), "other") == 0


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: parameter_graph(lambda p, x: x, {}, IMAGE), "at least one array"),
        (
            lambda: parameter_graph(lambda p, x: x, {"w": IMAGE}, IMAGE),
            "w has no effect on the outputs",
        ),
        (lambda: low_rank_decoder(2, shape=(3,)), "two or four whole numbers"),
        (
            lambda: low_rank_decoder(2, shape=(65, 4)),
            "max_width must be at least 65, for kernels",
        ),
        (lambda: low_rank_decoder(2, rank=0), "rank"),
        (lambda: logah(hidden=6), "heads must divide"),
        (
            lambda: logah(max_width=3).apply({}, {}, graph(), train=True),
            "max_width must be at least 12, for conv",
        ),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
