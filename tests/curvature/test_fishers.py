"""The Fisher information: its expectation, its draws."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import dense_hessian
from support.dense_hessian import empirical

from jaxopt_lab import curvature


@pytest.mark.full
def test_the_fisher_of_many_draws_is_the_ggn():
    for name, likelihood in (("mlp_init", "categorical"), ("mlp_mse", "normal")):
        p = dense_hessian.load(name)
        key = jax.random.key(0)
        operator = curvature.fisher(
            p.model_fn,
            p.params,
            [p.batch],
            key,
            likelihood=likelihood,
            num_samples=5_000,
        )
        v = p.tree(p.arrays["hvp/v"][0])
        got, expected = dense_hessian.flat(operator.matvec(v)), p.arrays["hvp/Gv"][0]
        error = np.linalg.norm(got - expected) / np.linalg.norm(expected)
        assert 1e-6 < error < 0.03


def test_the_fisher_is_the_empirical_one_of_drawn_labels():
    p = dense_hessian.load("mlp_init")
    key = jax.random.key(3)
    operator = curvature.fisher(p.model_fn, p.params, [p.batch], key, num_samples=2)
    logits = p.model_fn(p.params, p.batch)
    labels = jax.random.categorical(
        jax.random.fold_in(key, 0), logits, shape=(2, len(logits))
    )
    drawn = {"x": jnp.tile(p.batch["x"], (2, 1)), "y": labels.reshape(-1)}
    expected = empirical(p, [drawn])
    v = p.tree(p.arrays["hvp/v"][0])
    chex.assert_trees_all_close(operator.matvec(v), expected.matvec(v), atol=1e-14)
    chex.assert_trees_all_equal(operator.matvec(v), operator.matvec(v))
