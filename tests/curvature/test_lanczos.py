"""Lanczos: parity, orthogonality, both ways to run it, stopping, sharding."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from support import dense_hessian
from support.krylov import BOTH, KEY, WIDTHS, run

from jaxopt_lab import curvature
from jaxopt_lab.core.errors import InputError

CASES = dense_hessian.CASES
# Every case on the host; what is compiled as a whole takes longer to compile.
RUNS = pytest.mark.parametrize(
    "name, traced",
    [*((name, False) for name in CASES), ("conv_init", True), ("mlp_init", True)],
)


@pytest.mark.full(plain=["conv_init-False"])
@RUNS
def test_parity(name, traced):
    p = dense_hessian.load(name)
    start = p.tree(p.arrays["lanczos/v0"])
    r = run(p.hessian(), 8, traced, start=start)
    for key in ("alpha", "beta", "ritz", "weights"):
        ours = {"alpha": r.alphas, "beta": r.betas, "ritz": r.values}
        got = ours.get(key, r.weights)
        expected = p.arrays[f"lanczos/8/{key}"]
        np.testing.assert_allclose(got, expected, rtol=1e-7, atol=1e-10, err_msg=key)
    r = run(p.hessian(), 40, traced, start=start)
    expected = p.arrays["lanczos/40/ritz"]
    np.testing.assert_allclose(r.values[-1], expected[-1], rtol=1e-10)
    np.testing.assert_allclose(r.values[0], expected[0], atol=1e-6)


@pytest.mark.full
@BOTH
@WIDTHS
def test_the_basis_is_orthonormal_and_t_is_the_projection(dtype, traced):
    p = dense_hessian.load("conv_init", dtype)
    h = p.hessian()
    r = run(h, 40, traced)
    assert int(r.valid) == 40
    rows = [jax.tree.map(lambda x, i=i: x[i], r.basis) for i in range(40)]
    q = np.stack([dense_hessian.flat(row) for row in rows]).astype(np.float64)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(q @ q.T, np.eye(40), rtol=0, atol=50 * eps)
    t = np.diag(r.alphas) + np.diag(r.betas[:-1], 1) + np.diag(r.betas[:-1], -1)
    hq = np.stack([dense_hessian.flat(h.matvec(row)) for row in rows])
    top = np.max(np.abs(r.values))
    np.testing.assert_allclose(q @ hq.T, t, rtol=0, atol=300 * eps * top)


@pytest.mark.full
@BOTH
def test_all_steps_give_all_eigenvalues(traced):
    p = dense_hessian.load("mlp_mse")
    r = run(p.hessian(), 1000, traced)
    expected = p.arrays["hessian/eigenvalues"]
    np.testing.assert_allclose(r.values[-1], expected[-1], rtol=1e-10)
    np.testing.assert_allclose(r.values[0], expected[0], atol=1e-10)
    assert int(r.valid) <= 86


@pytest.mark.full
@pytest.mark.parametrize("name", CASES)
def test_matfree_agrees_before_the_space_is_exhausted(name):
    from matfree import decomp

    p = dense_hessian.load(name)
    h = p.hessian()
    start = p.arrays["lanczos/v0"]
    r = run(h, 8, False, start=p.tree(start))
    matrix = jnp.asarray(dense_hessian.dense(h))
    algorithm = decomp.tridiag_sym(8, reortho="full")
    other = algorithm(lambda v: matrix @ v, jnp.asarray(start))
    np.testing.assert_allclose(
        r.values, np.linalg.eigvalsh(other.J_small), rtol=0, atol=1e-10
    )


@pytest.mark.full(plain=["conv_init-float64"])
@pytest.mark.parametrize(
    "name, dtype",
    [
        ("conv_init", jnp.float64),
        ("mlp_init", jnp.float64),
        ("mlp_init", jnp.float32),
    ],
)
def test_host_and_traced_agree(name, dtype):
    p = dense_hessian.load(name, dtype)
    host, traced = (run(p.hessian(), 8, t) for t in (False, True))
    scale = np.max(np.abs(host.values))
    atol = (1e-12 if dtype == jnp.float64 else 2e-5) * scale
    np.testing.assert_allclose(host.values, traced.values, rtol=0, atol=atol)
    assert np.asarray(traced.alphas).dtype == dtype


@pytest.mark.full(plain=["host"])
@BOTH
def test_residuals_are_those_of_the_vectors(traced):
    p = dense_hessian.load("mlp_init")
    h = p.hessian()
    top = curvature.top_eigenvalues(h, KEY, 4, num_steps=8, tol=None, traced=traced)
    for i in range(4):
        y = jax.tree.map(lambda x, i=i: x[i], top.vectors)
        gap = dense_hessian.flat(h.matvec(y)) - top.values[i] * dense_hessian.flat(y)
        np.testing.assert_allclose(np.linalg.norm(gap), top.residuals[i], rtol=1e-8)


@pytest.mark.full
def test_it_stops_at_the_tolerance():
    p = dense_hessian.load("mlp_init")
    h = p.hessian()
    r = curvature.lanczos(h, KEY, 40, tol=1e-3, wanted=2)
    scale = np.max(np.abs(r.values))
    assert r.valid < 30 and np.all(r.residuals[-2:] <= 1e-3 * scale)
    before = curvature.lanczos(h, KEY, r.valid - 1)
    assert np.any(before.residuals[-2:] > 1e-3 * np.max(np.abs(before.values)))
    low = curvature.lanczos(h, KEY, 40, tol=1e-3, which="smallest")
    assert low.residuals[0] <= 1e-3 * np.max(np.abs(low.values))
    size = curvature.lanczos(h, KEY, 40, tol=1e-3, wanted=2, which="magnitude")
    assert np.all(
        size.residuals[np.argsort(-np.abs(size.values))[:2]] <= 1e-3 * scale * 1.01
    )


@pytest.mark.full
@BOTH
def test_without_reorthogonalization_the_ends_are_right(traced):
    p = dense_hessian.load("mlp_trained")
    r = run(p.hessian(), 80, traced, reorthogonalize=False)
    assert r.basis is None
    np.testing.assert_allclose(
        r.values[-1], p.arrays["hessian/eigenvalues"][-1], rtol=1e-10
    )
    copies = np.sum(np.abs(r.values - r.values[-1]) < 1e-6 * r.values[-1])
    assert copies > 1


def test_a_streamed_operator():
    p = dense_hessian.load("mlp_init")

    class Loader:
        def __iter__(self):
            return iter(p.unequal_batches())

    h = curvature.hessian(p.loss, p.params, Loader())
    r = curvature.lanczos(h, KEY, 8)
    np.testing.assert_allclose(
        r.values, curvature.lanczos(p.hessian(), KEY, 8).values, atol=1e-11
    )
    with pytest.raises(InputError, match="traced=True needs batches that are held"):
        curvature.lanczos(h, KEY, 10, traced=True)


@pytest.mark.full
@BOTH
def test_sharded_parameters_keep_their_sharding(traced):
    p = dense_hessian.load("mlp_init")
    mesh = Mesh(np.array(jax.devices()).reshape(2, 4), ("data", "model"))

    def place(x):
        spec = P(*(["model"] if x.ndim and x.shape[-1] == 8 else []))
        spec = P(*(None,) * (x.ndim - len(spec)), *spec)
        return jax.device_put(x, NamedSharding(mesh, spec))

    params = jax.tree.map(place, p.params)
    batch = jax.device_put(p.batch, NamedSharding(mesh, P("data")))
    h = curvature.hessian(p.loss, params, [batch])
    r = run(h, 8, traced)
    np.testing.assert_allclose(r.values, run(p.hessian(), 8, traced).values, atol=1e-11)
    kernel = r.basis["Dense_1"]["kernel"]
    assert kernel.sharding.is_equivalent_to(
        NamedSharding(mesh, P(None, None, "model")), 3
    )
    drawn = jax.tree.map(lambda x: x.sharding, h.matvec(params))
    assert drawn["Dense_1"]["kernel"].is_equivalent_to(
        params["Dense_1"]["kernel"].sharding, 2
    )


@pytest.mark.full
def test_one_program_for_every_point():
    p, traced = dense_hessian.load("mlp_trained"), []

    def loss(w, b):
        traced.append(1)
        return p.loss(w, b)

    def both(params):
        h = curvature.hessian(loss, params, [p.batch])
        curvature.lanczos(h, KEY, 5)
        curvature.lanczos(h, KEY, 5, traced=True)
        return len(traced)

    assert both(p.params) == both(jax.tree.map(lambda x: 2 * x, p.params))


@pytest.mark.full
def test_the_traced_form_runs_inside_a_program():
    p = dense_hessian.load("mlp_trained")

    @jax.jit
    def largest(params):
        h = curvature.hessian(p.loss, params, [p.batch])
        return curvature.top_eigenvalues(h, KEY, 1, num_steps=20, traced=True).values

    np.testing.assert_allclose(
        largest(p.params)[0], p.arrays["hessian/eigenvalues"][-1], rtol=1e-8
    )


def test_a_drawn_start_depends_on_the_key_alone():
    p = dense_hessian.load("mlp_init")
    one, two = (curvature.lanczos(p.hessian(), KEY, 8) for _ in range(2))
    chex.assert_trees_all_equal(one.values, two.values)
    other = curvature.lanczos(p.hessian(), jax.random.key(1), 8)
    assert np.all(one.values != other.values)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"num_steps": 0}, "num_steps must be a whole number of at least 1; got 0"),
        ({"wanted": 0}, "wanted must be a whole number of at least 1; got 0"),
        ({"which": "top"}, "unknown which 'top'"),
        ({"tol": 0.1, "traced": True}, "tol needs traced=False; got both"),
        ({"start": jnp.zeros(3)}, "start must not be the zero vector"),
        ({"start": jnp.zeros(4)}, "start does not fit the operator"),
    ],
)
def test_bad_options(options, words):
    h = curvature.linear_operator(lambda v: v, jnp.ones(3))
    with pytest.raises(InputError, match=words):
        curvature.lanczos(h, KEY, **({"num_steps": 3} | options))
