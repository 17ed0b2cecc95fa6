"""JLCM of one matrix: its error, the fit on a gram matrix, groups, bytes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.quantize import fit_joint_codebook, jlcm

RNG = np.random.default_rng(0)
WEIGHT: Any = RNG.normal(size=(6, 8)) * np.array([1, 1, 1, 4, 4, 4])[:, None]
X = RNG.normal(size=(20, 8)) @ (RNG.normal(size=(8, 8)) / np.arange(1, 9)[:, None])
GRAM: Any = X.T @ X


def error(values):
    return np.sum((X @ (values - WEIGHT).T) ** 2) / np.sum((X @ WEIGHT.T) ** 2)


@pytest.mark.parametrize("steps", [0, pytest.param(300, marks=pytest.mark.full)])
def test_it_is_never_worse_than_its_start_on_the_calibration_inputs(steps):
    found, report = jlcm(WEIGHT, GRAM, bits=2, groups=2, steps=steps)
    values = np.asarray(found.dequantize())
    np.testing.assert_allclose(report.error, error(values), rtol=1e-9)
    assert report.error <= (0.6 if steps else 1.0) * report.nearest_error
    words = np.asarray(found.words())
    assert found.qvalue.dtype == jnp.uint8 and np.all(np.diff(words) >= 0)
    np.testing.assert_array_equal(
        values, np.take_along_axis(words, np.asarray(found.qvalue, int), 1)
    )
    # Small rows and large ones: one codebook, a scale for each group.
    assert found.codebook.shape == (1, 4) and set(np.asarray(found.group)) == {0, 1}
    assert report.nbytes == 6 * 8 * 2 // 8 + 4 * 8 + 2 * 8 + 6


@pytest.mark.full
@pytest.mark.parametrize("shared", ["codebook", "nothing"])
def test_the_root_of_the_gram_matrix_stands_for_the_inputs(shared):
    options: Any = {"bits": 2, "groups": 2, "shared": shared, "steps": 30}
    found, report = jlcm(WEIGHT, GRAM, seed=3, **options)
    apply = lambda w, x: x @ w.T
    x = jnp.asarray(X)
    direct = fit_joint_codebook(
        jax.random.key(3), apply, x, apply(WEIGHT, x), WEIGHT, **options
    )
    np.testing.assert_allclose(found.dequantize(), direct.weights(), rtol=1e-5)
    size = np.mean((X @ WEIGHT.T) ** 2)
    np.testing.assert_allclose(report.error, direct.after / size, rtol=1e-5)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: jlcm(jnp.ones(3)), "real floating matrix"),
        (lambda: jlcm(WEIGHT, bits=5), "bits must"),
        (lambda: jlcm(WEIGHT, jnp.eye(3)), "gram must have shape"),
        (lambda: jlcm(jnp.full((2, 2), jnp.inf)), "must be finite"),
        (
            lambda: jlcm(WEIGHT, jnp.full((WEIGHT.shape[1],) * 2, jnp.nan)),
            "gram of jlcm",
        ),
        (lambda: jlcm(jnp.ones((300, 1)), groups=300), "groups must be at most 256"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words) as told:
        make()
    assert "\n" not in str(told.value)
