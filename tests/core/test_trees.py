"""Norms, roots, masks, sizes, differences."""

from typing import NamedTuple

import chex
import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError

_ARRAYS = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    # Smaller entries have squares that underflow; they have a test of their own.
    elements=st.just(0.0) | st.floats(1e-150, 1e6) | st.floats(-1e6, -1e-150),
)


@pytest.mark.full
@hypothesis.settings(max_examples=40, deadline=None)
@hypothesis.given(st.lists(_ARRAYS, max_size=4))
def test_global_norm_is_the_norm_of_everything_ravelled(arrays):
    flat = np.concatenate([a.ravel() for a in arrays]) if arrays else np.zeros(0)
    ours = trees.global_norm([jnp.asarray(a) for a in arrays])
    np.testing.assert_allclose(ours, np.linalg.norm(flat), rtol=1e-12)


@pytest.mark.full
@hypothesis.settings(max_examples=40, deadline=None)
@hypothesis.given(st.lists(_ARRAYS, min_size=1, max_size=3))
def test_the_derivative_of_a_norm_is_the_unit_vector_or_zero(arrays):
    tree = [jnp.asarray(a) for a in arrays]
    norm = float(trees.global_norm(tree))
    for g, x in zip(jax.grad(trees.global_norm)(tree), tree, strict=True):
        expected = np.asarray(x) / norm if norm > 0 else np.zeros_like(x)
        np.testing.assert_allclose(g, expected, rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize("x", [jnp.float32(1e-25), jnp.float64(1e-160)])
def test_entries_whose_squares_underflow_count_as_zeros(x):
    assert float(trees.global_norm({"w": x})) == 0
    assert float(jax.grad(trees.global_norm)({"w": x})["w"]) == 0


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_norms_of_narrow_types_accumulate_in_float32(dtype):
    # 300^2 overflows float16, and a thousand equal squares stop adding in bfloat16.
    tree = {"w": jnp.full((1000,), 300.0, dtype)}
    expected = 300.0 * np.sqrt(1000.0)
    for norm in (trees.global_norm(tree), trees.leaf_norms(tree)["w"]):
        assert norm.dtype == jnp.float32
        np.testing.assert_allclose(norm, expected, rtol=1e-6)


def test_safe_functions_at_zero_in_value_and_in_two_derivatives():
    zero = jnp.zeros(())
    for f in (
        trees.safe_sqrt,
        lambda x: trees.safe_divide(x, x),
        lambda x: trees.global_norm({"a": x, "b": x * x}),
    ):
        assert float(f(zero)) == 0
        assert float(jax.grad(f)(zero)) == 0
        assert float(jax.grad(jax.grad(f))(zero)) == 0


def test_a_fault_stays_visible():
    assert np.isnan(trees.safe_sqrt(jnp.nan)) and np.isnan(trees.safe_sqrt(-1.0))
    assert np.isnan(trees.global_norm({"a": jnp.array([1.0, jnp.nan])}))
    assert np.isnan(trees.safe_divide(jnp.array(1.0), jnp.array(jnp.nan)))


def test_complex_leaves_count_with_their_modulus():
    tree = [jnp.array([3.0 + 4.0j], jnp.complex64)]
    assert float(trees.global_norm(tree)) == pytest.approx(5.0)


class Pair(NamedTuple):
    kernel: object
    bias: object


def params():
    return {
        "encoder": [Pair(jnp.ones((3, 2)), jnp.zeros(2))],
        "norm": {"scale": jnp.ones(2), "bias": jnp.zeros(2)},
    }


def test_masks():
    assert trees.everything_but("bias", "scale")(params()) == {
        "encoder": [Pair(True, False)],
        "norm": {"scale": False, "bias": False},
    }
    assert trees.matching("^norm/")(params())["norm"] == {"scale": True, "bias": True}
    assert trees.ndim_at_least(2)(params())["encoder"] == [Pair(True, False)]
    labels = trees.label_by_path([("bias$", "b"), ("encoder", "e")], "rest")
    assert labels(params())["encoder"] == [Pair("e", "b")]
    assert labels(params())["norm"] == {"scale": "rest", "bias": "b"}


def test_resolve_mask_takes_nothing_functions_trees_and_prefixes():
    everything = trees.resolve_mask(None, params())
    assert jax.tree.leaves(everything) == [True] * 4
    prefix = trees.resolve_mask({"encoder": True, "norm": False}, params())
    assert prefix["encoder"] == [Pair(True, True)]
    assert jax.tree.leaves(prefix["norm"]) == [False, False]
    with pytest.raises(InputError, match="adapt_mask does not fit.*norm/scale: miss"):
        trees.resolve_mask({"encoder": True}, params(), "adapt_mask")


def test_cast_touches_floating_leaves_only():
    tree = {"w": jnp.ones(2, jnp.float32), "n": jnp.int8(1), "k": jax.random.key(0)}
    low = trees.cast(tree, jnp.bfloat16)
    assert low["w"].dtype == jnp.bfloat16 and low["n"].dtype == jnp.int8
    assert low["k"] is tree["k"]


def test_count_and_bytes_also_of_shapes_and_keys():
    tree = {
        "w": jax.ShapeDtypeStruct((3, 5), jnp.float32),
        "q": jnp.zeros(4, jnp.uint8),
        "k": jax.random.key(0),
        "e": jnp.zeros((0, 7)),
    }
    assert trees.count({k: v for k, v in tree.items() if k != "k"}) == 19
    assert trees.nbytes(tree) == 60 + 4 + 8


def test_select():
    a, b = {"x": jnp.ones(2), "k": jax.random.key(1)}, None
    b = {"x": jnp.zeros(2), "k": jax.random.key(2)}
    chosen = jax.jit(trees.select)(jnp.array(False), a, b)
    assert float(chosen["x"].sum()) == 0
    assert jnp.all(jax.random.key_data(chosen["k"]) == jax.random.key_data(b["k"]))


def test_differences_name_only_the_paths_that_differ():
    one = params()
    two = params()
    assert trees.differences(one, two) == []
    two["norm"]["scale"] = jnp.ones(3, jnp.float32)
    del two["norm"]["bias"]
    two["extra"] = jnp.zeros(())
    assert trees.differences(one, two) == [
        "norm/bias: missing (expected float64[2])",
        "norm/scale: expected float64[2], got float32[3]",
        "extra: not expected",
    ]
    assert "NamedTuple" not in trees.summary(trees.differences(one, two))


def test_differences_see_a_changed_container():
    (line,) = trees.differences({"a": (1.0,)}, {"a": [1.0]})
    assert line.startswith("(containers)")


def test_summary_counts_what_it_leaves_out():
    assert trees.summary([f"p{i}" for i in range(9)], limit=2) == "p0; p1; and 7 more"


def test_an_inner_product_is_summed_in_the_wider_type():
    a = {"w": jnp.full(4096, 0.1, jnp.bfloat16), "b": jnp.ones((2, 3), jnp.float32)}
    b = {"w": jnp.ones(4096, jnp.float32), "b": jnp.full((2, 3), 2.0, jnp.float32)}
    expected = 4096 * float(jnp.bfloat16(0.1)) + 12
    assert trees.dot(a, b).dtype == jnp.float32
    np.testing.assert_allclose(trees.dot(a, b), expected, rtol=1e-6)
    wide = jax.tree.map(lambda x: x.astype(jnp.float64), b)
    assert trees.dot(a, wide).dtype == trees.dot(wide, a).dtype == jnp.float64
    assert float(trees.dot({}, {})) == 0.0


@pytest.mark.full
def test_an_inner_product_with_itself_is_the_squared_norm():
    tree = {"w": jnp.arange(6.0).reshape(2, 3), "s": jnp.array(-2.0), "e": jnp.ones(0)}
    square = trees.global_norm(tree) ** 2
    np.testing.assert_allclose(trees.dot(tree, tree), square, rtol=1e-15)
    grad = jax.grad(lambda t: trees.dot(t, t))(tree)
    chex.assert_trees_all_close(grad, jax.tree.map(lambda x: 2 * x, tree), rtol=1e-15)


def test_an_update_is_added_in_the_wider_type():
    p, u = jnp.array([256.0], jnp.bfloat16), jnp.array([1.5], jnp.float32)
    assert trees.add_update(p, u).tolist() == [258.0]
    assert trees.add_update(p, u.astype(p.dtype)).dtype == jnp.bfloat16
    assert trees.add_update(u, p).dtype == jnp.float32
