"""LayerNorm scaling against stacks of decoder layers of the paper's repository."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from support import decoder_layers

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import LayerNormScaling, layer_norm_scale, layernorm_scaling
from jaxopt_lab.layers.norm.layernorm_scaling import folded


@pytest.mark.full(plain=["lns_4layers"])
@pytest.mark.parametrize(
    "case", ["lns_4layers", "lns_6layers_narrow", "pre_ln_baseline"]
)
def test_vectors(case):
    decoder_layers.check("layernorm_scaling", case)


def test_the_scale_is_the_root_of_the_index_and_nothing_else():
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    for statistics in ("layer", "rms"):
        plain = layernorm_scaling(4, statistics=statistics)
        fifth = layernorm_scaling(4, index=5, statistics=statistics)

        @jax.jit
        def both(x, plain=plain, fifth=fifth):
            params = jax.tree.map(lambda p: p + 0.3, plain.init()[0])
            one, _ = plain.apply(params, {}, x, train=True)
            return one, fifth.apply(params, {}, x, train=False)

        one, (five, state) = both(x)
        np.testing.assert_allclose(five * np.sqrt(5), one, rtol=1e-12)
        assert state == {}


def test_the_scale_folds_into_the_parameters_of_a_plain_norm():
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    for statistics in ("layer", "rms"):
        seventh = layernorm_scaling(4, index=7, statistics=statistics)
        plain = layernorm_scaling(4, statistics=statistics)
        params = {n: p + np.cos(np.arange(4)) for n, p in seventh.init()[0].items()}

        @jax.jit
        def both(params, x, seventh=seventh, plain=plain):
            own = folded(params, index=7)
            wanted, _ = seventh.apply(params, {}, x, train=True)
            return plain.apply(own, {}, x, train=False)[0], wanted

        got, wanted = both(params, x)
        np.testing.assert_allclose(got, wanted, rtol=1e-12)


def test_the_variance_of_the_stream_grows_by_the_harmonic_number():
    """Blocks x + g W norm(x) / sqrt(l) with random W: 1 + g^2 H_L, else 1 + g^2 L."""
    width, depth, gain, draws = 32, 12, 0.7, 200
    rng = np.random.default_rng(0)
    norms = [
        layernorm_scaling(width, index=l, statistics="rms", eps=1e-30)
        for l in range(1, depth + 1)
    ]
    params = norms[0].init()[0]

    def growth(scaled):
        x = rng.normal(size=(draws, width))
        x *= np.sqrt(width) / np.linalg.norm(x, axis=-1, keepdims=True)
        w = rng.normal(size=(depth, draws, width, width)) / np.sqrt(width)

        def run(x, w):
            for l, norm in enumerate(norms if scaled else norms[:1] * depth):
                h, _ = norm.apply(params, {}, x, train=True)
                x = x + gain * jnp.einsum("bij,bj->bi", w[l], h)
            return x

        x = np.asarray(jax.jit(run)(x, w))
        ratios = np.mean(x**2, axis=-1)
        return np.mean(ratios), np.std(ratios) / np.sqrt(draws)

    harmonic = sum(1 / l for l in range(1, depth + 1))
    for scaled, terms in ((True, harmonic), (False, depth)):
        mean, error = growth(scaled)
        assert abs(mean - (1 + gain**2 * terms)) < 4 * error, (scaled, mean, error)
    assert layer_norm_scale(9) == 1 / 3
    with pytest.raises(InputError, match="index must be a whole number of at least 1"):
        layer_norm_scale(0)


def test_constant_inputs_have_finite_derivatives_to_second_order():
    core = layernorm_scaling(3, index=2)
    params = core.init()[0]
    value = lambda x: jnp.sum(core.apply(params, {}, x, train=True)[0] ** 3)
    second = jax.jit(jax.hessian(value))
    for x in (np.zeros((1, 3)), np.full((1, 3), 4.0)):
        assert np.all(np.isfinite(second(x)))


@pytest.mark.parametrize(
    "options, words",
    [
        ({"index": 0}, "index must be a whole number of at least 1; got 0"),
        ({"index": 1.5}, "index must be a whole number"),
        ({"eps": 0.0}, "eps must be above 0; got 0.0"),
        ({"statistics": "batch"}, "unknown statistics 'batch'"),
    ],
)
def test_options_out_of_range(options, words):
    with pytest.raises(InputError, match=words):
        layernorm_scaling(4, **options)


@pytest.mark.parametrize(
    "x, mask, words",
    [
        (np.ones((2, 3)), None, r"inputs of shape \(..., 4\)"),
        (np.ones(4), None, "at least two axes"),
        (np.ones((2, 4), int), None, "real floating inputs; got int64"),
        (np.ones((2, 4), complex), None, "real numbers are taken here; got complex128"),
        (np.ones((2, 4)), np.ones(3), r"mask must have the first axes of \(2,\)"),
    ],
)
def test_inputs_that_do_not_fit(x, mask, words):
    core = layernorm_scaling(4)
    with pytest.raises(InputError, match=words):
        core.apply(core.init()[0], {}, x, train=True, mask=mask)


def test_the_module_has_its_options():
    norm = LayerNormScaling(4, index=4, statistics="rms", rngs=nnx.Rngs(0))
    y = norm(jnp.ones((1, 4)))
    np.testing.assert_allclose(y, 0.5, rtol=1e-6)
    assert not hasattr(norm, "bias")
