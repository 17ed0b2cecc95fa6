"""Normalizations by flax: masks, groups that do not divide, exact statistics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import group_norm, instance_norm, layer_norm, layernorm_scaling

X = np.random.default_rng(0).normal(1.0, 2.0, size=(3, 5, 4))


def test_layer_norm_is_scaling_at_index_one():
    for statistics in ("layer", "rms"):
        one, two = (
            make(4, statistics=statistics) for make in (layer_norm, layernorm_scaling)
        )
        params = jax.tree.map(lambda p: p + 0.3, one.init()[0])
        got, wanted = jax.jit(
            lambda p, one=one, two=two: [
                core.apply(p, {}, X, train=True)[0] for core in (one, two)
            ]
        )(params)
        np.testing.assert_allclose(got, wanted, rtol=1e-12)


@pytest.mark.parametrize("make", [group_norm, instance_norm])
def test_masked_positions_count_in_no_statistic(make):
    core = make(4, groups=2) if make is group_norm else make(4)
    params = core.init()[0]
    valid = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]])
    filled = np.where(valid[..., None], X, np.nan)

    @jax.jit
    def run(params, x):
        apply = lambda p, x: core.apply(p, {}, x, train=True, mask=valid)[0]
        y, back = jax.vjp(apply, params, x)
        short, _ = core.apply(params, {}, X[:1, :3], train=True)
        whole, _ = core.apply(params, {}, X[1:2], train=True)
        return y, back(jnp.ones_like(y)), short, whole

    y, slopes, short, whole = run(params, filled)
    np.testing.assert_allclose(y[0, :3], short[0], rtol=1e-12)
    np.testing.assert_allclose(y[1], whole[0], rtol=1e-12)
    assert not np.any(y[0, 3:]) and not np.any(y[2])
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(slopes))


def test_a_large_mean_costs_no_variance():
    """flax's fast variance would be off by a twentieth."""
    x = (1000 + np.random.default_rng(1).normal(size=(1, 16, 16))).astype(np.float32)
    wide = x.astype(np.float64)
    cores = (layer_norm(16), group_norm(16, groups=1), instance_norm(16))

    @jax.jit
    def run(*inputs):
        one = lambda core, x: core.apply(core.init()[0], {}, x, train=True)[0]
        return [one(core, x) for core in cores for x in inputs]

    found = run(x, wide)
    for y, wanted in zip(found[::2], found[1::2], strict=True):
        assert y.dtype == np.float32
        np.testing.assert_allclose(y, wanted, rtol=1e-3, atol=1e-3)


def test_what_does_not_fit():
    with pytest.raises(InputError, match="groups must divide the features, 4; got"):
        group_norm(4, groups=3)
    core = instance_norm(4)
    with pytest.raises(InputError, match="positions between examples and features"):
        core.apply(core.init()[0], {}, X[:, 0], train=True)
