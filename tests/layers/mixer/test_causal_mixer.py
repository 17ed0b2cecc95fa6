"""The causal mixer: prefixes to the last digit, its matrix, and bad input."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import causal_mixer, hydra_mixer
from jaxopt_lab.layers.mixer.token_conv import token_conv

RNG = np.random.default_rng(0)
SIZES: Any = {"d_state": 2, "head_dim": 2, "chunk": 3}


def test_a_prefix_does_not_see_what_follows():
    layer = causal_mixer(4, conv_size=3, **SIZES)
    start = jax.tree.map(
        lambda p: RNG.normal(size=p.shape).astype(np.float32),
        jax.eval_shape(layer.init, jax.random.key(0))[0],
    )
    x = RNG.normal(size=(2, 8, 4)).astype(np.float32)

    def run(x):
        return layer.apply(start, {}, x, train=True)[0]

    @jax.jit
    def both(x):
        slopes = jax.grad(lambda x: jnp.sum(run(x)[:, 4] ** 2))(x)
        return jax.lax.map(run, jnp.stack([*changed, x])), slopes

    # Each place inside and at the ends of the chunks, changed from there on.
    changed = [np.where(np.arange(8)[:, None] < t, x, 100 * x + 1) for t in range(1, 8)]
    found, slopes = jax.device_get(both(x))
    for t, y in enumerate(found[:-1], start=1):
        np.testing.assert_array_equal(y[:, :t], found[-1][:, :t])
        assert np.all(y[:, t] != found[-1][:, t])
    assert not slopes[:, 5:].any() and np.all(slopes[:, :5].any(-1))


def test_a_convolution_is_that_of_numpy():
    v, kernel = RNG.normal(size=(2, 6, 3)), RNG.normal(size=(3, 1, 3))
    run = jax.jit(lambda v: [token_conv(v, kernel, causal) for causal in (False, True)])
    centred, causal = map(np.asarray, run(v))
    for b, c in np.ndindex(2, 3):
        full = np.convolve(v[b, :, c], kernel[::-1, 0, c])
        np.testing.assert_allclose(causal[b, :, c], full[:6], atol=1e-14)
        np.testing.assert_allclose(centred[b, :, c], full[1:7], atol=1e-14)


def test_bad_input():
    with pytest.raises(InputError, match="head_dim must divide"):
        causal_mixer(4, head_dim=3)
    # Even widths look back alone.
    causal_mixer(4, head_dim=4, conv_size=2)
    hydra_mixer(4, head_dim=4, conv_size=2, mixer="causal")
    with pytest.raises(InputError, match="causal_mixer takes sequences"):
        causal_mixer(4, head_dim=4).apply({}, {}, jnp.ones((1, 4)), train=True)
