"""MicroAdam's program for one CPU: its search, its scatters, its small leaves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core import computed_once, joined_leaves
from jaxopt_lab.transforms.compressed import block_top_k
from jaxopt_lab.transforms.compressed.microadam import microadam

SHAPES = {
    **{f"a{i}": (96,) for i in range(5)},
    **{f"b{i}": (64,) for i in range(3)},
    "alone": (10,),
    "matrix": (32, 64),
}


@pytest.fixture
def one_cpu(monkeypatch):
    for module in (joined_leaves, computed_once):
        monkeypatch.setattr(module, "for_one_cpu", lambda *_: True)
    monkeypatch.setattr(block_top_k.jax, "device_count", lambda: 1)


def leaves(seed, dtype=jnp.float32):
    draw = np.random.default_rng(seed)
    return {k: jnp.asarray(draw.normal(size=s), dtype) for k, s in SHAPES.items()}


def three_steps(dtype):
    tx = microadam(
        1e-2,
        density=0.05,
        quant_block=32,
        weight_decay=0.1,
        mask=lambda tree: {k: not k.startswith("b") for k in tree},
    )
    params = leaves(0, dtype)
    state = tx.init(params)
    update = jax.jit(lambda g, s, p: tx.update(g, s, p))
    for i in range(3):
        updates, state = update(leaves(i + 1, dtype), state, params)
        params = jax.tree.map(jnp.add, params, updates)
    return params, state


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_leaves_take_the_same_steps_together_as_alone(dtype, one_cpu, monkeypatch):
    together = three_steps(dtype)
    monkeypatch.setattr(joined_leaves, "for_one_cpu", lambda *_: False)
    alone = three_steps(dtype)
    limit = 4 * np.finfo(dtype).eps
    for (path, a), b in zip(
        jax.tree.leaves_with_path(together), jax.tree.leaves(alone), strict=True
    ):
        # Codes, indices and bits are equal; sums are fused, and rounded, otherwise.
        exact = not jnp.issubdtype(a.dtype, jnp.floating)
        tolerance = 0 if exact else limit
        np.testing.assert_allclose(a, b, tolerance, tolerance, err_msg=str(path))


def test_one_search_and_one_scatter_for_all_leaves_of_a_shape(one_cpu):
    tx = microadam(1e-2, density=0.05, quant_block=32)
    shapes = jax.eval_shape(lambda: leaves(0))
    state = jax.eval_shape(tx.init, shapes)
    lowered = jax.jit(tx.update).lower(shapes, state, shapes)
    # Two kinds of vectors, one that is alone, and a matrix.
    assert lowered.as_text().count('"stablehlo.scatter"(') == 4
    text = lowered.compile().as_text()
    assert text.count('"TopK"') == 4 and text.count(" sort(") == 0


@pytest.mark.parametrize("kind", ["normal", "ties", "zeros", "outlier", "not finite"])
def test_a_bound_before_the_search_hides_no_pick(kind, monkeypatch):
    draw = np.random.default_rng(0)
    x = draw.normal(size=(3, 4096)).astype(np.float32)
    if kind == "ties":
        x = np.round(2 * x) / 2
    elif kind == "zeros":
        x = np.where(draw.random(x.shape) < 2e-3, x, np.float32(0))
    elif kind == "outlier":
        x[0, 70] = 3e38
        x[1] *= np.float32(1e-38)
    elif kind == "not finite":
        x[0, :60], x[1, 5], x[2, ::7] = np.nan, np.inf, -np.inf
    monkeypatch.setattr(block_top_k.jax, "device_count", lambda: 1)
    for picks in (1, 41, 256, 300):
        got = jax.jit(block_top_k.largest, static_argnums=1)(x, picks)
        size = np.where(np.isnan(x), np.inf, np.abs(x))
        wanted = np.argsort(-size, axis=1, kind="stable")[:, :picks]
        np.testing.assert_array_equal(got, wanted)
        left = np.array(x)
        np.put_along_axis(left, wanted, 0, axis=1)
        np.testing.assert_array_equal(block_top_k.without(x, got), left)


def test_the_derivative_of_what_is_left_is_one_there():
    x = jnp.array([[3.0, -3.0, 1.0, 3.0, 0.0]])
    slope = jax.grad(lambda x: block_top_k.without(x, block_top_k.largest(x, 2)).sum())
    assert slope(x).tolist() == [[0.0, 0.0, 1.0, 1.0, 1.0]]
