"""Directions: parity with the recorded ones, scales, angles, derivatives."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from support import landscapes, vectors

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.curvature.landscape import directions

CASES = vectors.cases("landscape")
KINDS = {
    "filter_biasbn": {"by": "filter", "biases": "zero"},
    "filter_all": {"by": "filter", "biases": "scale"},
    "layer_all": {"by": "layer", "biases": "scale"},
}


def example():
    """Random kernels of four layouts, as they occur."""
    keys = iter(jax.random.split(jax.random.key(7), 8))
    shapes = {"conv": (3, 3, 2, 4), "dense": (5, 3), "bias": (3,), "gain": ()}
    draw = lambda: {k: jax.random.normal(next(keys), s) for k, s in shapes.items()}
    return draw(), draw()


def test_there_are_cases():
    assert len(CASES) == 2


@pytest.mark.full(plain=["mlp_a-filter_biasbn-0"])
@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CASES)
def test_parity_in_float64(name, kind, index):
    _, arrays = landscapes.recorded(name)
    params = landscapes.under(arrays, "init/")
    raw = landscapes.under(arrays, f"direction{index}/raw/")
    expected = landscapes.under(arrays, f"direction{index}/{kind}/")
    got = directions.normalize_direction(raw, params, **KINDS[kind])
    chex.assert_trees_all_close(got, expected, rtol=1e-9, atol=0)
    narrow = directions.normalize_direction(
        trees.cast(raw, jnp.float32), trees.cast(params, jnp.float32), **KINDS[kind]
    )
    chex.assert_trees_all_equal_dtypes(narrow, trees.cast(params, jnp.float32))
    chex.assert_trees_all_close(narrow, trees.cast(expected, jnp.float32), rtol=1e-6)


@pytest.mark.full
def test_every_filter_has_the_norm_of_its_weights():
    raw, params = example()
    got = directions.normalize_direction(raw, params)
    for name in ("conv", "dense"):
        axes = tuple(range(params[name].ndim - 1))
        norms = [np.sqrt(np.sum(np.square(t[name]), axes)) for t in (got, params)]
        np.testing.assert_allclose(*norms, rtol=1e-14)
        # Along the first axis they differ: the filters are the last one.
        axes = tuple(range(1, params[name].ndim))
        norms = [np.sqrt(np.sum(np.square(t[name]), axes)) for t in (got, params)]
        assert np.max(np.abs(norms[0] / norms[1] - 1)) > 0.01
    assert not np.any(got["bias"]) and not np.any(got["gain"])


@pytest.mark.full
@pytest.mark.parametrize("axis", [0, {"conv": 0, "dense": -2, "bias": 5, "gain": 5}])
def test_filter_axis_of_the_other_layout(axis):
    raw, params = example()
    turned = lambda tree: jax.tree.map(lambda x: jnp.moveaxis(x, 0, -1), tree)
    kernels = lambda tree: {k: tree[k] for k in ("conv", "dense")}
    got = directions.normalize_direction(raw, params, filter_axis=axis)
    expected = directions.normalize_direction(
        turned(kernels(raw)), turned(kernels(params))
    )
    chex.assert_trees_all_close(turned(kernels(got)), expected, rtol=1e-14)
    by_function = directions.normalize_direction(
        raw, params, filter_axis=lambda p: jax.tree.map(lambda _: 0, p)
    )
    chex.assert_trees_all_equal(got, by_function)


def test_layers_and_the_model_keep_their_norms():
    raw, params = example()
    got = directions.normalize_direction(raw, params, "layer", biases="scale")
    chex.assert_trees_all_close(
        trees.leaf_norms(got), trees.leaf_norms(params), rtol=1e-14
    )
    got = directions.normalize_direction(raw, params, "model", biases="scale")
    np.testing.assert_allclose(
        trees.global_norm(got), trees.global_norm(params), rtol=1e-14
    )
    np.testing.assert_allclose(directions.cosine(got, raw), 1, rtol=1e-14)
    got = directions.normalize_direction(raw, params, "model")
    kernels = {k: params[k] for k in ("conv", "dense")}
    np.testing.assert_allclose(
        trees.global_norm(got), trees.global_norm(kernels), rtol=1e-14
    )


@pytest.mark.parametrize("by", ["filter", "layer", "model"])
def test_scale_of_the_direction_does_not_matter(by):
    raw, params = example()
    one = directions.normalize_direction(raw, params, by, biases="scale")
    two = directions.normalize_direction(
        jax.tree.map(lambda x: 17 * x, raw), params, by, biases="scale"
    )
    chex.assert_trees_all_close(one, two, rtol=1e-14)


@pytest.mark.full(plain=["model"])
@pytest.mark.parametrize("by", ["filter", "layer", "model"])
def test_derivatives_also_at_zero_filters(by):
    raw, params = example()

    def total(raw, params):
        got = directions.normalize_direction(raw, params, by, biases="scale")
        return sum(jnp.sum(jnp.sin(x)) for x in jax.tree.leaves(got))

    check_grads(jax.jit(total), (raw, params), order=1, modes=["rev"], rtol=1e-6)
    none = jax.tree.map(jnp.zeros_like, params)
    for at in [(none, params), (raw, none), (none, none)]:
        value, grads = jax.jit(jax.value_and_grad(total, (0, 1)))(*at)
        assert value == 0
        chex.assert_tree_all_finite(grads)


@pytest.mark.full
def test_random_directions_are_gaussian_and_leave_counts_alone():
    params = {"w": jnp.zeros((200, 200), jnp.bfloat16), "n": jnp.int32(3)}
    one = directions.random_direction(jax.random.key(0), params)
    assert one["w"].dtype == jnp.float32 and one["n"].dtype == jnp.int32
    draws = np.asarray(one["w"]).ravel()
    # Four standard errors of the first, second and fourth moment of a Gaussian.
    for power, mean, variance in [(1, 0, 1), (2, 1, 2), (4, 3, 96)]:
        error = np.mean(draws**power) - mean
        assert abs(error) < 4 * np.sqrt(variance / draws.size)
    two = directions.random_direction(jax.random.key(1), params)
    assert abs(directions.cosine(one, two)) < 4 / np.sqrt(draws.size)
    scaled = directions.normalize_direction(one, {**params, "w": one["w"] * 2})
    assert scaled["n"] == 0
    np.testing.assert_allclose(scaled["w"], 2 * one["w"], rtol=1e-5)


def quadratic():
    key = jax.random.key(3)
    basis, _ = jnp.linalg.qr(jax.random.normal(key, (6, 6)))
    values = jnp.array([9.0, 4.0, 1.0, 0.5, 0.0, -2.0])
    matrix = (basis * values[None]) @ basis.T
    tree = lambda v: {"a": v[:2], "b": v[2:].reshape(2, 2)}
    return matrix, values, [tree(5.0 * basis[:, i]) for i in range(6)]


@pytest.mark.full
def test_hessian_directions_change_the_loss_by_the_given_amount():
    matrix, values, found = quadratic()
    scaled = directions.hessian_directions(values, found, 0.3)
    for value, direction in zip(values, scaled, strict=True):
        flat = jnp.concatenate([direction["a"], direction["b"].ravel()])
        rise = 0.5 * flat @ matrix @ flat
        np.testing.assert_allclose(rise, 0.3 * np.sign(value), rtol=1e-12, atol=1e-14)
    assert not any(map(np.any, scaled[4].values()))


def test_hessian_directions_are_differentiable_at_zero():
    _, _, found = quadratic()

    def total(values, rise):
        scaled = directions.hessian_directions(values, found, rise)
        return sum(jnp.sum(jnp.sin(x)) for x in jax.tree.leaves(scaled))

    for rise in (0.0, 0.5):
        grads = jax.jit(jax.grad(total, (0, 1)))(jnp.array([1.0, 0, -2, 3, 0, 1]), rise)
        chex.assert_tree_all_finite(grads)


def test_cosine():
    raw, params = example()
    flat = lambda t: np.concatenate([np.ravel(x) for x in jax.tree.leaves(t)])
    a, b = flat(raw), flat(params)
    expected = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    np.testing.assert_allclose(directions.cosine(raw, params), expected, rtol=1e-12)
    none = jax.tree.map(jnp.zeros_like, params)
    assert directions.cosine(raw, none) == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"by": "filters"}, "unknown normalization 'filters'; perhaps .*'filter'"),
        ({"biases": "none"}, "unknown biases 'none'"),
        ({"filter_axis": 4}, r"filter_axis of conv must be .* in \[-4, 4\); got 4"),
        ({"filter_axis": {"conv": 0}}, "filter_axis does not fit the parameters"),
    ],
)
def test_bad_options(options, words):
    raw, params = example()
    with pytest.raises(InputError, match=words):
        directions.normalize_direction(raw, params, **options)


def test_directions_that_do_not_fit():
    raw, params = example()
    with pytest.raises(InputError, match="direction does not fit .* gain: missing"):
        del raw["gain"]
        directions.normalize_direction(raw, params)
    with pytest.raises(InputError, match="as many, at least one; got 2 and 1"):
        directions.hessian_directions([1.0, 2.0], [params])
    with pytest.raises(InputError, match="as many, at least one; got 0 and 0"):
        directions.hessian_directions([], [])
