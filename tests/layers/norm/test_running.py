"""The common form of the normalizations, its derivatives and its digits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.statistics import batch_statistics
from jaxopt_lab.layers.norm.running import centred_affine, over_groups

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("about", [None, 0.3])
def test_any_constant_gives_the_affine_map_and_its_derivatives(about):
    args = [RNG.normal(size=s) for s in ((3, 2), (1, 2), (1, 2), (1, 2))]
    plain = lambda z, m, f, b: jnp.sum(jnp.sin((z - m) * f + b))
    point = None if about is None else jnp.full((1, 2), about)
    ours = lambda z, m, f, b: jnp.sum(jnp.sin(centred_affine(z, m, f, b, point)))
    both = [jax.jit(jax.hessian(f, (0, 1, 2, 3)))(*args) for f in (plain, ours)]
    for got, wanted in zip(*map(jax.tree.leaves, both), strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-12)


def test_digits_are_kept_far_from_zero():
    z = jnp.asarray(1000 + RNG.normal(size=(64, 2)), jnp.float32)
    found = batch_statistics(z, 0)
    y = centred_affine(z, found.mean, jax.lax.rsqrt(found.var), jnp.zeros((1, 2)))
    np.testing.assert_allclose(np.std(y, axis=0), 1, atol=1e-3)


def test_groups_are_pooled_from_their_features():
    x = RNG.normal(size=(5, 7, 6))
    found = over_groups(batch_statistics(x, 1), 3)
    apart = x.reshape(5, 7, 3, 2)
    for got, value in (
        (found.mean, apart.mean((1, 3))),
        (found.var, apart.var((1, 3))),
    ):
        np.testing.assert_allclose(got[:, 0], np.repeat(value, 2, axis=-1))
