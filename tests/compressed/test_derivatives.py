"""Derivatives of whole runs: finite with codes, straight through with values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxopt_lab
from jaxopt_lab.compressed import moments
from jaxopt_lab.compressed.elements import adamw_elements

START = jnp.asarray(np.random.default_rng(0).normal(size=(8, 16)))
HYPER = {"rate": 1e-2, "b1": 0.8, "b2": 0.9, "eps": 1e-8, "decay": 0.1}
METHODS = ["adamw8bit", "adamw4bit", "adamw_fp8", "adamw_linear"]


def outcome(make, hyper, start, scale=1.0, steps=6):
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
    return lambda *numbers: getattr(jaxopt_lab, name)(*numbers, min_size=1, **options)


@pytest.mark.parametrize("store", ["codes", "values"])
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("start, scale", [(START, 0.0), (0 * START, 1.0), (START, 1.0)])
def test_finite(name, store, start, scale):
    for leaf in jax.tree.leaves(slopes(coded(name, store=store), start, scale)):
        assert bool(jnp.all(jnp.isfinite(leaf)))


@pytest.mark.parametrize("name", METHODS)
def test_values_take_the_path_of_the_codes(name):
    hyper = dict(HYPER)
    one, two = (
        jax.jit(lambda s=s: outcome(coded(name, store=s), hyper, START))()
        for s in ("codes", "values")
    )
    np.testing.assert_allclose(one, two, rtol=1e-9)


def test_values_have_the_derivative_of_the_moments_themselves():
    exact = slopes(lambda *numbers: adamw_elements(*numbers))
    through = slopes(coded("adamw8bit", store="values"))
    cut = slopes(coded("adamw8bit"))
    gap = lambda a, b: float(abs(a - b) / abs(b))
    assert gap(through[0]["b1"], exact[0]["b1"]) < 0.1
    assert gap(cut[0]["b1"], exact[0]["b1"]) > 0.2
    np.testing.assert_allclose(through[1], exact[1], rtol=0.05, atol=0.02)


def test_without_rounding_derivatives_are_exact():
    def make(*numbers):
        cast = jaxopt_lab.codes.Cast("float64")
        return jaxopt_lab.quantize_state(
            adamw_elements(*numbers), m=cast, v=cast, select=moments(1)
        )

    for got, wanted in zip(
        jax.tree.leaves(slopes(make)),
        jax.tree.leaves(slopes(adamw_elements)),
        strict=True,
    ):
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-12)


def test_through_chunks_as_through_whole_tensors():
    one, two = (
        slopes(coded("adamw8bit", store=store, block=16, chunk=32))
        for store in ("codes", "values")
    )
    wanted = slopes(coded("adamw8bit", block=16, chunk=None))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)
    assert all(bool(jnp.all(jnp.isfinite(x))) for x in jax.tree.leaves(two))
