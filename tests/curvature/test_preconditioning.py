"""Operators between the roots of a diagonal, and the diagonal of Adam."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import dense_hessian
from support.dense_hessian import Loader, hessian

from jaxopt_lab import curvature
from jaxopt_lab.core import trees


@pytest.mark.full
def test_preconditioning():
    p = dense_hessian.load("mlp_trained")
    h = hessian(p, [p.batch])
    d = jax.tree.map(lambda x: 0.1 + jnp.abs(x), p.params)
    got = dense_hessian.dense(curvature.preconditioned(h, d))
    root = np.sqrt(dense_hessian.flat(d))
    expected = dense_hessian.dense(h) / root[:, None] / root[None]
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-13)
    streamed = curvature.preconditioned(hessian(p, Loader([p.batch])), d)
    v = p.tree(p.arrays["hvp/v"][0])
    np.testing.assert_allclose(
        dense_hessian.flat(streamed.matvec(v)),
        expected @ p.arrays["hvp/v"][0],
        atol=1e-12,
    )


def test_preconditioning_of_a_block_takes_the_whole_diagonal():
    p = dense_hessian.load("mlp_trained")
    d = jax.tree.map(lambda x: 0.1 + jnp.abs(x), p.params)
    block = hessian(p, [p.batch], mask=trees.matching("^Dense_1"))
    got = dense_hessian.dense(curvature.preconditioned(block, d))
    root = np.sqrt(dense_hessian.flat(d["Dense_1"]))
    expected = dense_hessian.dense(block) / root[:, None] / root[None]
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-13)


def test_the_diagonal_is_the_one_adam_divides_by():
    params = {"w": jnp.array([1.0, -2.0]), "b": jnp.array(0.5)}
    tx = optax.chain(optax.clip(10.0), optax.adamw(0.1, b1=0.0, b2=0.9, eps=1e-3))
    state = tx.init(params)
    for i in range(3):
        g = jax.tree.map(lambda x, i=i: x * (i + 1.0), params)
        updates, state = tx.update(g, state, params)
    d = curvature.adam_diagonal(state, b2=0.9, eps=1e-3)
    # The update of adamw with b1 = 0 and decay 1e-4: -lr (g / D + decay w).
    expected = jax.tree.map(
        lambda g, u, w: g / (-u / 0.1 - 1e-4 * w), g, updates, params
    )
    chex.assert_trees_all_close(d, expected, rtol=1e-6)
    zero = curvature.adam_diagonal(tx.init(params), eps=1e-3)
    assert all(bool(jnp.all(x == 1e-3)) for x in jax.tree.leaves(zero))


def test_the_diagonal_of_a_double_state_is_corrected_in_double():
    tx, b2 = optax.adam(0.1, b2=0.99999), 0.99999
    g = jnp.array([3.0, -0.5])
    _, state = tx.update(g, tx.init(g))
    diagonal = curvature.adam_diagonal(state, b2=b2, eps=0.0)
    np.testing.assert_allclose(diagonal, jnp.abs(g), rtol=1e-10)
