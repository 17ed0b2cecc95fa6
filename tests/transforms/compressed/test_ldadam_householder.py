"""The orthonormal basis of LDAdam without LAPACK."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.transforms.compressed.householder import q_factor
from jaxopt_lab.transforms.compressed.low_rank import orthonormal


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape)


@pytest.mark.full(plain=["shape0", "shape1"])
@pytest.mark.parametrize("shape", [(7, 3), (5, 5), (40, 1)])
def test_it_is_that_of_lapack_up_to_signs(shape):
    y = normal(*shape)
    found, wanted = q_factor(jnp.asarray(y)), np.linalg.qr(y)[0]
    wanted *= np.sign(np.sum(found * wanted, axis=0))
    np.testing.assert_allclose(found, wanted, atol=1e-14)


@pytest.mark.full
def test_it_is_orthonormal_whatever_comes():
    one = normal(9, 1)
    cases = {
        "nothing": np.zeros((9, 3)),
        "equal columns": np.broadcast_to(one, (9, 3)),
        "a zero column": normal(9, 3) * [1, 0, 1],
        "unequal sizes": normal(9, 3) * [1e-20, 1, 1e20],
    }
    for name, y in cases.items():
        for dtype, least in ((jnp.float64, 1e-14), (jnp.float32, 1e-6)):
            q = q_factor(jnp.asarray(y, dtype))
            assert q.dtype == dtype
            np.testing.assert_allclose(q.T @ q, np.eye(3), atol=least, err_msg=name)


def test_float32_spans_columns_whose_squares_underflow():
    y = jnp.asarray(normal(9, 3) * 1e-25, jnp.float32)
    q = q_factor(y) @ (q_factor(y).T @ y)
    np.testing.assert_allclose(q, y, rtol=1e-4, atol=1e-31)


@pytest.mark.full
def test_stacked_matrices_and_no_numbers():
    y = jnp.asarray(normal(4, 6, 2))
    each = jnp.stack([q_factor(x) for x in y])
    np.testing.assert_allclose(jax.vmap(q_factor)(y), each, atol=1e-14)
    assert bool(jnp.any(jnp.isnan(q_factor(y[0].at[1, 1].set(jnp.nan)))))


def losses_of_the_basis(rank):
    weights = jnp.asarray(normal(4, rank)[::-1])

    def f(q):
        return lambda y: jnp.sum(jnp.sin(weights * q(y)))

    return [f(q) for q in (orthonormal, lambda y: jnp.linalg.qr(y)[0])]


def test_the_derivative_of_the_basis_is_that_of_qr():
    y = jnp.asarray(normal(4, 3))
    found, wanted = (jax.jit(jax.grad(f))(y) for f in losses_of_the_basis(3))
    np.testing.assert_allclose(found, wanted, atol=1e-12)


@pytest.mark.full
def test_the_second_derivative_of_the_basis_is_that_of_qr():
    y = jnp.asarray(normal(4, 2))
    found, wanted = losses_of_the_basis(2)
    twice = [jax.hessian(g)(y) for g in (found, wanted)]
    np.testing.assert_allclose(*twice, atol=1e-10)
