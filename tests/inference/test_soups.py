"""Soups of parameters against NumPy, their limits and trees that do not match."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.inference import delta_soup, interpolate, uniform_soup

RNG = np.random.default_rng(0)
START, *MODELS = (
    {"w": RNG.normal(size=(2, 3)), "c": RNG.normal(size=2) + 1j * RNG.normal(size=2)}
    for _ in range(4)
)


def test_soups_are_the_formulas():
    @jax.jit
    def found(start, models):
        one = delta_soup(start, models, temperature=0.5)
        far = delta_soup(start, models, temperature=np.inf)
        return uniform_soup(models), one, far

    uniform, warm, far = found(START, MODELS)
    for name, base in START.items():
        leaves = np.stack([m[name] for m in MODELS])
        np.testing.assert_allclose(uniform[name], leaves.mean(0), rtol=1e-14)
        np.testing.assert_allclose(far[name], leaves.mean(0), rtol=1e-13)
        changes = leaves - base
        norms = np.array([np.linalg.norm(x) for x in changes])
        weights = np.exp(norms / norms.sum() / 0.5)
        weights /= weights.sum()
        wanted = base + np.tensordot(weights, changes, 1)
        np.testing.assert_allclose(warm[name], wanted, rtol=1e-13)


def test_unchanged_models_are_the_start_with_finite_derivatives():
    def total(w):
        return jnp.sum(delta_soup({"w": w}, [START_W, START_W])["w"])

    START_W = {"w": jnp.asarray(START["w"])}
    value, slope = jax.jit(jax.value_and_grad(total))(START_W["w"])
    np.testing.assert_allclose(value, START["w"].sum(), rtol=1e-12)
    np.testing.assert_allclose(slope, 0, atol=1e-12)


def test_narrow_types_are_kept_and_sums_are_wide():
    models = [jnp.array([x], jnp.bfloat16) for x in (1.0, 1.0078125, 1.0, 1.0078125)]
    mean = uniform_soup(models)
    assert mean.dtype == jnp.bfloat16
    assert mean == jnp.array([1.00390625]).astype(jnp.bfloat16)


@pytest.mark.parametrize(
    "models, words",
    [
        ([], "at least one tree"),
        ([{"a": 1.0}, {"b": 1.0}], "trees of one structure; model 1 has"),
        ([{"a": np.ones(2)}, {"a": np.ones(3)}], r"\['a'\] is float64\[3\] in model 1"),
        (
            [{"a": np.ones(2)}, {"a": np.ones(2, np.float32)}],
            r"float32\[2\] in model 1",
        ),
        ([{"n": np.ones(2, int)}], r"only floating and complex arrays merge; \['n'\]"),
    ],
)
def test_bad_input(models, words):
    with pytest.raises(InputError, match=words):
        uniform_soup(models)
    with pytest.raises(InputError):
        interpolate({"a": 1.0}, {"a": np.ones(2)}, 0.5)
