"""Guidance by linear CKA against recorded values, and its invariances."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.losses import guidance, linear_cka

PATH = pathlib.Path(__file__).parents[1] / "vectors" / "guidance_cka" / "linear_cka.npz"
CLOSE = {"rtol": 1e-9, "atol": 1e-12}
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(12, 5)), RNG.normal(size=(12, 3))
cka = jax.jit(linear_cka, static_argnames="debiased")


@pytest.mark.parametrize("case", [0, 1])
def test_vectors(case):
    with np.load(PATH) as file:
        x, y = file[f"X/{case}"], file[f"Y/{case}"]
        value, slope = file[f"dissimilarity/{case}"], file[f"grad_X/{case}"]
    found = jax.jit(jax.value_and_grad(lambda x: guidance([x], guide=[y])))(x)
    np.testing.assert_allclose(found[0], value, **CLOSE)
    np.testing.assert_allclose(found[1], slope, **CLOSE)


def test_it_knows_no_rotation_scale_or_order_and_is_symmetric():
    rotation = np.linalg.qr(RNG.normal(size=(5, 5)))[0]
    value = cka(X, Y)
    assert 0 < value < 1
    np.testing.assert_allclose(cka(1e-3 * X @ rotation + 7, Y), value, rtol=1e-9)
    np.testing.assert_allclose(cka(Y, X), value, rtol=1e-12)
    np.testing.assert_allclose(cka(X[::-1], Y[::-1]), value, rtol=1e-12)
    equal = jax.jit(jax.value_and_grad(lambda x: linear_cka(x, 2 * X @ rotation)))(X)
    np.testing.assert_allclose(equal[0], 1, rtol=1e-12)
    np.testing.assert_allclose(equal[1], 0, atol=1e-12)


def test_two_examples_are_always_alike_and_the_debiased_form_is_not_fooled():
    np.testing.assert_allclose(cka(X[:2], Y[:2]), 1, rtol=1e-12)
    wide, other = RNG.normal(size=(2, 8, 500))
    assert cka(wide, other) > 0.8
    assert abs(cka(wide, other, debiased=True)) < 0.3
    np.testing.assert_allclose(cka(wide, 2 * wide, debiased=True), 1, rtol=1e-12)


@pytest.mark.parametrize("debiased", [False, True])
def test_dropped_examples_are_as_if_they_were_not_there(debiased):
    where = np.arange(12) < 7
    filled = np.where(where[:, None], X, np.nan)
    found = cka(filled, Y, debiased=debiased, where=where)
    expected = linear_cka(jnp.asarray(X[:7]), jnp.asarray(Y[:7]), debiased=debiased)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("count, value", [(1, 3.0), (3, 0.7)])
def test_equal_examples_have_no_gradient(count, value):
    x = np.full((count, 4), value)
    found = jax.jit(jax.value_and_grad(lambda x: guidance(x, guide=Y[:count])))(x)
    assert float(found[0]) == 1 and not np.any(found[1])


def test_pairs_add_and_the_guide_has_no_gradient():
    both = jax.jit(lambda x, g: guidance([x, x], guide=[g, x], weight=2.0))
    np.testing.assert_allclose(both(X, Y), 2 * (1 - cka(X, Y)), rtol=1e-10)
    assert not np.any(jax.jit(jax.grad(both, argnums=1))(X, Y))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: guidance([X, X], guide=[Y]), "guide has 1 layers, the network 2"),
        (lambda: guidance([], guide=[]), "guide has 0 layers"),
        (lambda: guidance(X, guide=Y[:3]), r"same examples; got shapes \(12, 5\)"),
        (lambda: guidance(X, guide=Y, weight=-1.0), "weight must be at least 0"),
        (lambda: linear_cka(X[:3], Y[:3], debiased=True), "at least 4 examples; got 3"),
        (lambda: linear_cka(X, Y, where=jnp.ones(3)), r"where must have shape \(12,\)"),
    ],
)
def test_what_it_refuses(call, words):
    with pytest.raises(InputError, match=words):
        call()
