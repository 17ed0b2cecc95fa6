"""Top eigenvalues: parity, accuracy of 20 products, warm starts, few eigenvalues."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import dense_hessian

from jaxopt_lab import curvature
from jaxopt_lab.core import loops
from jaxopt_lab.core.errors import InputError

CASES = dense_hessian.CASES
KEY = jax.random.key(0)
BOTH = pytest.mark.parametrize("traced", [False, True], ids=["host", "traced"])
# Every case on the host; what is compiled as a whole takes longer to compile.
RUNS = pytest.mark.parametrize(
    "name, traced",
    [*((name, False) for name in CASES), ("conv_init", True), ("mlp_init", True)],
)


@pytest.mark.full(plain=["conv_init-False"])
@RUNS
def test_values_and_vectors_equal_the_dense_ones(name, traced):
    p = dense_hessian.load(name)
    top = curvature.top_eigenvalues(
        p.hessian(), KEY, 5, num_steps=80, tol=1e-11, traced=traced
    )
    expected = p.arrays["hessian/eigenvalues"][::-1]
    np.testing.assert_allclose(top.values, expected[:5], rtol=0, atol=1e-10)
    gaps = -np.diff(expected[:6]) / expected[0]
    for i in range(5):
        if gaps[i] > 1e-3 and (i == 0 or gaps[i - 1] > 1e-3):
            vector = dense_hessian.flat(loops.take(top.vectors, i))
            cosine = abs(vector @ p.arrays["hessian/top_vectors"][i])
            np.testing.assert_allclose(cosine, 1, atol=1e-10)


@pytest.mark.full(plain=["float64-conv_init-False"])
@RUNS
@pytest.mark.parametrize("dtype", [jnp.float64, jnp.float32])
def test_twenty_products_give_five_digits(name, dtype, traced):
    p = dense_hessian.load(name, dtype)
    top = curvature.top_eigenvalues(
        p.hessian(), KEY, num_steps=20, tol=None, traced=traced
    )
    assert int(top.matvecs) <= 20
    largest = p.arrays["hessian/eigenvalues"][-1]
    np.testing.assert_allclose(top.values[0], largest, rtol=1e-5)


@pytest.mark.full
@pytest.mark.parametrize("name", ["conv_init", "mlp_mse"])
@pytest.mark.parametrize("kind", ["ggn", "emp_fisher"])
def test_other_matrices(name, kind):
    p = dense_hessian.load(name)
    if kind == "ggn":
        h = curvature.ggn(p.model_fn, p.output_loss, p.params, p.unequal_batches())
    else:
        h = curvature.empirical_fisher(p.example_losses, p.params, p.unequal_batches())
    top = curvature.top_eigenvalues(h, KEY, num_steps=80, tol=1e-11)
    largest = p.arrays[f"{kind}/eigenvalues"][-1]
    np.testing.assert_allclose(top.values[0], largest, rtol=0, atol=1e-10)


@pytest.mark.full
@RUNS
def test_the_smallest_and_the_largest_in_magnitude(name, traced):
    p = dense_hessian.load(name)
    exact = p.arrays["hessian/eigenvalues"]
    options = {"num_steps": 80, "tol": 1e-10, "traced": traced}
    low = curvature.top_eigenvalues(p.hessian(), KEY, 2, which="smallest", **options)
    for value, residual, wanted in zip(low.values, low.residuals, exact, strict=False):
        assert abs(value - wanted) <= float(residual) + 1e-10
    size = curvature.top_eigenvalues(p.hessian(), KEY, 3, which="magnitude", **options)
    wanted = exact[np.argsort(-np.abs(exact))][:3]
    np.testing.assert_allclose(size.values, wanted, atol=1e-8)


@pytest.mark.full
@pytest.mark.parametrize("steps", [4, 8])
def test_within_a_residual_there_is_an_eigenvalue(steps):
    p = dense_hessian.load("mlp_init")
    exact = p.arrays["hessian/eigenvalues"]
    for which in ("largest", "smallest"):
        top = curvature.top_eigenvalues(
            p.hessian(), KEY, 3, num_steps=steps, tol=None, which=which
        )
        for value, residual in zip(top.values, top.residuals, strict=True):
            assert np.min(np.abs(exact - value)) <= residual + 1e-12


@pytest.mark.full(plain=["traced"])
@BOTH
def test_fewer_eigenvalues_than_wanted(traced):
    h = dense_hessian.diagonal(np.array([3.0, 1.0] + 8 * [0.0]))
    top = curvature.top_eigenvalues(h, KEY, 5, num_steps=9, traced=traced)
    np.testing.assert_allclose(top.values, [3, 1, 0, np.nan, np.nan], atol=1e-12)
    assert int(top.matvecs) == 3
    norms = np.linalg.norm(np.asarray(top.vectors["b"]), axis=1)
    assert np.all(norms[3:] == 0)
    low = curvature.top_eigenvalues(
        h, KEY, 5, num_steps=9, which="smallest", traced=traced
    )
    np.testing.assert_allclose(low.values, [0, 1, 3, np.nan, np.nan], atol=1e-12)


@pytest.mark.full
def test_a_warm_start_saves_products():
    p, options = dense_hessian.load("mlp_init"), {"tol": 1e-6, "num_steps": 80}
    cold = curvature.top_eigenvalues(p.hessian(), KEY, **options)
    nearby = jax.tree.map(lambda x: 1.001 * x, p.params)
    h = curvature.hessian(p.loss, nearby, [p.batch])
    again = curvature.top_eigenvalues(h, KEY, **options)
    start = loops.take(cold.vectors, 0)
    warm = curvature.top_eigenvalues(h, KEY, **options, start=start)
    np.testing.assert_allclose(warm.values, again.values, rtol=1e-8)
    assert warm.matvecs < again.matvecs
    # An eigenvector alone would hide what has overtaken it: the noise does not.
    second = loops.take(
        curvature.top_eigenvalues(p.hessian(), KEY, 2, tol=1e-9, num_steps=80).vectors,
        1,
    )
    found = curvature.top_eigenvalues(p.hessian(), KEY, start=second, **options)
    np.testing.assert_allclose(found.values, cold.values, rtol=1e-8)


@pytest.mark.full
def test_without_reorthogonalization():
    p = dense_hessian.load("mlp_init")
    top = curvature.top_eigenvalues(p.hessian(), KEY, tol=1e-6, reorthogonalize=False)
    assert top.vectors is None
    largest = p.arrays["hessian/eigenvalues"][-1]
    np.testing.assert_allclose(top.values[0], largest, rtol=1e-8)


@pytest.mark.full
def test_vectors_of_a_block_have_its_holes():
    p = dense_hessian.load("conv_init")
    h = p.hessian(mask={"Conv_0": True, "Dense_0": False, "temperature": True})
    top = curvature.top_eigenvalues(h, KEY, 2)
    assert top.vectors["Dense_0"] == {"bias": None, "kernel": None}
    assert top.vectors["temperature"].shape == (2,)


@pytest.mark.full(plain=["temperature"])
@pytest.mark.parametrize("module", ["Conv_0", "Dense_0", "temperature"])
def test_blocks_equal_the_recorded(module):
    p = dense_hessian.load("conv_init")
    mask = {name: name == module for name in p.params}
    top = curvature.top_eigenvalues(p.hessian(mask=mask), KEY, tol=1e-11, num_steps=80)
    np.testing.assert_allclose(
        top.values[0], p.arrays[f"block/{module}/top"], rtol=0, atol=1e-10
    )


@pytest.mark.parametrize(
    "options, words",
    [
        ({"k": 0}, "k must be a whole number of at least 1; got 0"),
        ({"k": 4}, "k must be at most the number of parameters, 3; got 4"),
        ({"k": 3, "num_steps": 2}, "num_steps must be at least k = 3; got 2"),
        ({"start_noise": -1.0}, "start_noise must be at least 0; got -1.0"),
        ({"k": 2, "reorthogonalize": False}, "k must be 1; got 2"),
        ({"which": "all"}, "unknown which 'all'"),
        ({"start": jnp.ones(2)}, "start does not fit the operator"),
    ],
)
def test_bad_options(options, words):
    h = curvature.linear_operator(lambda v: v, jnp.ones(3))
    with pytest.raises(InputError, match=words):
        curvature.top_eigenvalues(h, KEY, **options)
