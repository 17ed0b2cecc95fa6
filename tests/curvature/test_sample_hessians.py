"""sample_hessians: the three ways in agree; bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.curvature.stability import sample_hessians as sh


@pytest.mark.full
@pytest.mark.parametrize("d", [3, 20])
def test_factors_gram_and_matrices_give_the_same(d):
    # Fewer rows than columns, and more: the two ways through from_factors.
    a = jnp.asarray(np.random.default_rng(0).normal(size=(4, 2, d)))
    rows = a.reshape(8, d)
    ways = (
        sh.from_factors(a),
        sh.from_gram(rows @ rows.T, 4),
        sh.from_hessians(jnp.einsum("ncp,ncq->npq", a, a)),
    )
    r = min(8, d)
    mean = np.linalg.eigvalsh(np.asarray(rows.T @ rows) / 4)[::-1][:r]
    m = np.random.default_rng(1).normal(size=(r, r))
    products = np.sum(np.einsum("ncp,mdp->nmcd", a, a) ** 2, axis=(2, 3))
    top = np.linalg.eigvalsh(np.einsum("ncp,ndp->ncd", a, a))[:, -1]
    for h in map(sh.compress, ways):
        assert h.eigenvalues.shape == (r,)
        np.testing.assert_allclose(h.eigenvalues, mean, rtol=1e-9)
        each = np.einsum("ncr,ncs->nrs", h.factors, h.factors)
        np.testing.assert_allclose(each.mean(0), np.diag(mean), atol=1e-11)
        np.testing.assert_allclose(
            np.einsum("nrs,mrs->nm", each, each), products, rtol=1e-9
        )
        np.testing.assert_allclose(sh.max_eigenvalues(h), top, rtol=1e-9)
        np.testing.assert_allclose(
            sh.mean_square(h, jnp.asarray(m)), (each @ m @ each).mean(0), atol=1e-9
        )


def test_inside_of_jit_negative_eigenvalues_count_as_zero():
    hs = jnp.asarray([[[1.0, 0.0], [0.0, -1.0]]])
    found = jax.jit(sh.from_hessians)(hs)
    np.testing.assert_allclose(found.eigenvalues, [1.0, 0.0], atol=1e-15)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: sh.from_hessians(jnp.ones((2, 2))),
            r"shape \(n, d, d\); got \(2, 2\)",
        ),
        (
            lambda: sh.from_hessians(jnp.asarray([[[1.0, 0.0], [0.0, -1.0]]])),
            "positive semi-definite; got the eigenvalue -1",
        ),
        (lambda: sh.from_factors(jnp.ones((2, 2))), r"shape \(n, c, d\); got \(2, 2\)"),
        (lambda: sh.from_gram(jnp.ones((2, 3)), 2), "gram must be a square matrix"),
        (lambda: sh.from_gram(jnp.eye(3), 2), "num_samples=2 does not divide the 3"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words):
        call()
