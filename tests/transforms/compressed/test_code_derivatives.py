"""Derivatives of whole runs: finite with codes, straight through with values."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_lab
from jaxopt_lab.core import codecs as codes
from jaxopt_lab.transforms.compressed import moments
from jaxopt_lab.transforms.compressed.elements import adamw_elements

START = jnp.asarray(np.random.default_rng(0).normal(size=(8, 16)))
HYPER = {"rate": 1e-2, "b1": 0.8, "b2": 0.9, "eps": 1e-8, "decay": 0.1}
METHODS = ["adamw8bit", "adamw4bit", "adamw_fp8", "adamw_linear"]


def outcome(make, hyper, start, scale=1.0, steps=4):
    """A fixed function of the parameters after a few steps."""
    numbers = [hyper[k] for k in ("rate", "b1", "b2", "eps", "decay")]
    tx = make(*numbers)
    at, state = start, tx.init(start)
    for _ in range(steps):
        grads = scale * jax.grad(lambda w: jnp.sum(jnp.sin(w) ** 2))(at)
        updates, state = tx.update(grads, state, at)
        at = at + updates
    return jnp.sum(jnp.cos(jnp.arange(at.size).reshape(at.shape)) * at)


def slopes(make, start=START, scale=1.0):
    hyper = jax.tree.map(jnp.asarray, HYPER)
    return jax.jit(
        jax.grad(lambda h, w: outcome(make, h, w, scale), argnums=(0, 1)),
    )(hyper, start)


def coded(name, **options):
    def make(rate, *numbers):
        named = dict(zip(("b1", "b2", "eps", "weight_decay"), numbers, strict=True))
        return getattr(jaxopt_lab, name)(rate, min_size=1, **named, **options)

    return make


@pytest.mark.full
@pytest.mark.parametrize("through", [False, True])
@pytest.mark.parametrize("name", ["adamw8bit", "adamw4bit"])
@pytest.mark.parametrize("start, scale", [(START, 0.0), (0 * START, 1.0), (START, 1.0)])
def test_finite(name, through, start, scale):
    for leaf in jax.tree.leaves(
        slopes(coded(name, straight_through=through), start, scale)
    ):
        assert bool(jnp.all(jnp.isfinite(leaf)))


@pytest.mark.full(plain=["adamw_linear"])
@pytest.mark.parametrize("name", METHODS)
def test_values_take_the_path_of_the_codes(name):
    one, two = (
        jax.jit(lambda s=s: outcome(coded(name, straight_through=s), HYPER, START))()
        for s in (False, True)
    )
    np.testing.assert_allclose(one, two, rtol=1e-9)


def straight_through_by_hand(*numbers):
    """``adamw_elements`` whose new moments have their rounding errors added."""
    inner = adamw_elements(*numbers)
    m, v = codes.dynamic(8), codes.dynamic(8, signed=False)

    def rounded(codec, x):
        near = codec.decode(codec.encode(x), x.shape, x.dtype)
        return x + jax.lax.stop_gradient(near - x)

    def update(updates, state, params):
        updates, state = inner.update(updates, state, params)
        mu, nu = rounded(m, state.mu), rounded(v, state.nu)
        return updates, state._replace(mu=mu, nu=nu)

    return optax.GradientTransformation(inner.init, update)


@pytest.mark.full
def test_values_have_the_derivative_straight_through():
    through = slopes(coded("adamw8bit", straight_through=True))
    wanted = slopes(straight_through_by_hand)
    for a, b in zip(jax.tree.leaves(through), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-11)
    # With codes what goes through the stored moments is missing.
    cut = slopes(coded("adamw8bit"))
    gap = jnp.max(jnp.abs(cut[1] - wanted[1]))
    assert float(gap) > 0.01 * float(jnp.max(jnp.abs(wanted[1])))


@pytest.mark.full
def test_without_rounding_derivatives_are_exact():
    def make(*numbers):
        cast = codes.Cast("float64")
        return jaxopt_lab.quantize_state(
            adamw_elements(*numbers), m=cast, v=cast, select=moments(1)
        )

    for got, wanted in zip(
        jax.tree.leaves(slopes(make)),
        jax.tree.leaves(slopes(adamw_elements)),
        strict=True,
    ):
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.full
def test_through_chunks_as_through_whole_tensors():
    one, two = (
        slopes(coded("adamw8bit", straight_through=through, block=16, chunk=32))
        for through in (False, True)
    )
    wanted = slopes(coded("adamw8bit", block=16, chunk=None))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)
    assert all(bool(jnp.all(jnp.isfinite(x))) for x in jax.tree.leaves(two))
