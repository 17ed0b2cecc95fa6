"""Masks that make methods of sam."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import links

import jaxopt_lab
from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError


def moved_by(link, params, grads):
    seen = []

    def spy(at, i=0):
        seen.append(at)
        return grads

    link.update(grads, link.init(params), params, grad_fn=spy)
    return jax.tree.map(jnp.subtract, seen[0], params)


def test_normalisation_layers_only():
    params = {
        "BatchNorm_0": {"scale": jnp.ones(3), "bias": jnp.zeros(3)},
        "Conv_0": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)},
        "bn1": {"scale": jnp.ones(1)},
    }
    mask = jaxopt_lab.norm_only()
    assert mask(params) == {
        "BatchNorm_0": {"scale": True, "bias": True},
        "Conv_0": {"kernel": False, "bias": False},
        "bn1": {"scale": True},
    }
    grads = jax.tree.map(lambda x: x + 1.0, params)
    moved = moved_by(jaxopt_lab.sam(0.3, perturb_mask=mask), params, grads)
    assert float(trees.global_norm(moved)) == pytest.approx(0.3, abs=1e-12)
    assert float(trees.global_norm(moved["Conv_0"])) == 0.0


@pytest.mark.full
def test_the_fisher_mask_keeps_the_largest_sums_of_squares():
    params, batch, loss = links.problem()
    mask = jaxopt_lab.fisher_mask(loss, params, batch, keep=0.4)
    chex.assert_trees_all_equal_shapes(mask, params)
    total = 0
    for i in range(links.EXAMPLES):
        one = jax.tree.map(lambda x, i=i: x[i : i + 1], batch)
        squares = jax.tree.map(jnp.square, jax.grad(loss)(params, one))
        total = squares if i == 0 else jax.tree.map(jnp.add, total, squares)
    information = np.concatenate([np.ravel(x) for x in jax.tree.leaves(total)])
    chosen = np.concatenate([np.ravel(x) for x in jax.tree.leaves(mask)])
    assert chosen.sum() == round(0.4 * information.size)
    assert information[chosen].min() >= information[~chosen].max()


def test_ties_do_not_let_more_entries_through():
    loss = lambda w, x: jnp.mean(x @ w)
    mask = jaxopt_lab.fisher_mask(loss, jnp.zeros(4), jnp.ones((3, 4)), keep=0.5)
    assert int(mask.sum()) == 2


@pytest.mark.full
def test_fisher_sparse_sam_masks_after_normalising():
    params, batch, loss = links.problem()
    mask = jaxopt_lab.fisher_mask(loss, params, batch, keep=0.5)
    grads = jax.grad(loss)(params, batch)
    link = jaxopt_lab.sam(0.3, perturb_mask=mask, norm_over="all")
    moved = moved_by(link, params, grads)
    full = moved_by(jaxopt_lab.sam(0.3), params, grads)
    expected = jax.tree.map(lambda m, f: jnp.where(m, f, 0), mask, full)
    chex.assert_trees_all_close(moved, expected, rtol=1e-12, atol=1e-15)
    assert 0 < float(trees.global_norm(moved)) < 0.3


def test_a_mask_may_be_traced():
    params, batch, loss = links.problem()

    @jax.jit
    def step(mask):
        tx = optax.chain(jaxopt_lab.sam(0.3, perturb_mask=mask), optax.sgd(0.1))
        grad_fn = jaxopt_lab.batch_grad(loss, batch)
        return tx.update(grad_fn(params), tx.init(params), params, grad_fn=grad_fn)[0]

    none = jax.tree.map(lambda p: jnp.zeros(p.shape, bool), params)
    plain = jax.tree.map(lambda g: -0.1 * g, jax.grad(loss)(params, batch))
    chex.assert_trees_all_close(step(none), plain, rtol=1e-12)


def test_bad_input():
    params, batch, loss = links.problem()
    with pytest.raises(InputError, match=r"keep must lie in \[0, 1\]; got 1.5"):
        jaxopt_lab.fisher_mask(loss, params, batch, keep=1.5)
