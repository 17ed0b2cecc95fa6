"""Residual scales: exact expectations, the plain sum to the bit, learned scalars."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import ScaledResidual, residual_scale, scaled_residual
from jaxopt_lab.layers.block.modules import ResidualSum
from jaxopt_lab.layers.block.residual_scale import fixup_factors, learned_scalars


def test_the_constants():
    n = 9
    wanted = {"1": 1.0, "1/n": 1 / 9, "1/sqrt_n": 1 / 3, "1/sqrt_2n": 18**-0.5}
    for kind, value in wanted.items():
        assert residual_scale(kind, depth=n) == pytest.approx(value, rel=1e-15)
        assert learned_scalars(kind) == {}
    for kind in ("skipinit", "fixup"):
        assert residual_scale(kind, depth=n) == 1.0 and learned_scalars(kind)
    assert residual_scale(depth=n) == 1.0


@pytest.mark.full(plain=[100])
@pytest.mark.parametrize("n", [100, 1000])
def test_the_signal_of_a_deep_stack(n):
    """E|x_n|^2 is (1 + c^2)^n |x_0|^2: near 1 for 1/n, near e for 1/sqrt(n)."""
    width, draws = 64, 20

    rng = np.random.default_rng(0)
    means = {}
    for kind in ("1/n", "1/sqrt_n"):
        scale = residual_scale(kind, depth=n)
        x = np.ones((draws, 1, width), np.float32)
        for _ in range(n):
            w1, w2 = rng.standard_normal((2, draws, width, width), np.float32)
            hidden = np.maximum(x @ w1 * np.float32(np.sqrt(2 / width)), 0)
            x = x + np.float32(scale) * (hidden @ w2) / np.float32(np.sqrt(width))
        means[kind] = np.mean(x**2)
    assert 0.95 <= means["1/n"] <= 1.05, means
    assert 2.3 <= means["1/sqrt_n"] <= 3.2, means


def test_the_default_is_the_plain_sum_to_the_bit():
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    text = lambda f: str(jax.make_jaxpr(f)(x))
    assert text(lambda x: scaled_residual(jnp.sin, x)) == text(lambda x: x + jnp.sin(x))
    total = ResidualSum(depth=5)
    assert not jax.tree.leaves(nnx.state(total))
    assert text(lambda x: total(jnp.sin, x)) == text(lambda x: x + jnp.sin(x))


def test_norms_before_and_behind():
    x = np.random.default_rng(0).normal(size=(3, 4))
    double = lambda x: 2 * x
    pre = scaled_residual(jnp.sin, x, scale=0.5, norm=double)
    post = scaled_residual(jnp.sin, x, scale=0.5, norm=double, placement="post")
    np.testing.assert_allclose(pre, x + 0.5 * np.sin(2 * x), rtol=1e-14)
    np.testing.assert_allclose(post, 2 * (x + 0.5 * np.sin(x)), rtol=1e-14)
    with pytest.raises(InputError, match="placement must be 'pre' or 'post'; got 'mi"):
        scaled_residual(jnp.sin, x, placement="mix")


def test_skipinit_and_a_scale_of_zero_are_the_identity():
    x = np.random.default_rng(0).normal(size=(3, 4))
    np.testing.assert_array_equal(scaled_residual(jnp.cos, x, scale=0.0), x)
    block = ScaledResidual(jnp.cos, "skipinit", depth=3, param_dtype=jnp.float64)
    np.testing.assert_array_equal(block(x), x)
    block.total.multiplier.set_value(jnp.asarray(0.5))
    np.testing.assert_allclose(block(x), x + 0.5 * np.cos(x), rtol=1e-14)


def test_fixup():
    assert fixup_factors(16, 3) == pytest.approx((0.5, 0.5, 0.0))
    assert fixup_factors(7, 1) == (0.0,)
    block = ScaledResidual(jnp.cos, "fixup", depth=3, param_dtype=jnp.float64)
    for name, value in (("multiplier", 2.0), ("bias_in", 0.1), ("bias_out", -1.0)):
        getattr(block.total, name).set_value(jnp.asarray(value))
    x = np.linspace(0, 1, 5)
    np.testing.assert_allclose(block(x), x + 2 * np.cos(x + 0.1) - 1, rtol=1e-14)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("1/m", 3), "unknown kind '1/m'"),
        (("1/n", 0), "depth must be a whole number of at least 1; got 0"),
    ],
)
def test_options_out_of_range(arguments, words):
    kind, depth = arguments
    with pytest.raises(InputError, match=words):
        residual_scale(kind, depth=depth)
