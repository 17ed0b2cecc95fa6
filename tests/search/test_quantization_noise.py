"""Noise of bit widths: its moments, its gradients, and the schedules around it."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.search import (
    architecture_entropy,
    bit_operations,
    entropy_weight,
    mixed_bit_weights,
    quantization_noise,
)

W = np.random.default_rng(0).uniform(-1, 1, 40_000)
BITS = (2, 4, 8)
ALPHA = np.array([0.5, 0.3, 0.2])


@functools.cache
def found():
    """Everything that is compared, in one program."""

    def run(w, alpha):
        key = jax.random.key(0)
        noises = {
            (name, b): quantization_noise(key, w, bits=b, noise=name)
            for name in ("uniform_step", "normal_half")
            for b in (2, 8)
        }
        small = w[:50]
        mixed = lambda w, a, g: jnp.sum(
            jnp.cos(jnp.arange(50)) * mixed_bit_weights(key, w, a, BITS, gradient=g)
        )
        own = [
            quantization_noise(jax.random.fold_in(key, i), small, bits=b)
            for i, b in enumerate(BITS)
        ]
        return {
            "noises": noises,
            "mixed": mixed_bit_weights(key, small, alpha, BITS),
            "own": jnp.stack(own),
            "slopes": {g: jax.grad(mixed)(small, alpha, g) for g in ("all", "share")},
            "of_alpha": jax.grad(mixed, 1)(small, alpha, "share"),
            "constant": quantization_noise(key, jnp.ones(4), bits=2),
        }

    return jax.tree.map(np.asarray, jax.jit(run)(jnp.asarray(W), jnp.asarray(ALPHA)))


def test_the_noise_has_the_moments_of_a_step():
    spread = W.max() - W.min()
    for (name, bits), noise in found()["noises"].items():
        step = spread / (2**bits - 1)
        deviation = step / 2 if name == "normal_half" else step / math.sqrt(12)
        assert abs(noise.mean()) < 5 * deviation / math.sqrt(len(W))
        assert abs(noise.std() / deviation - 1) < 0.02
        if name == "uniform_step":
            assert np.abs(noise).max() <= step / 2
    assert not found()["constant"].any()


def test_weights_are_mixed_in_their_shares():
    total = ALPHA.sum() + 1 / 4
    want = W[:50] + (ALPHA / total) @ found()["own"]
    np.testing.assert_allclose(found()["mixed"], want, rtol=1e-12)


def test_gradients_reach_weights_and_shares():
    slope = np.cos(np.arange(50))
    part = (1 / 4) / (ALPHA.sum() + 1 / 4)
    np.testing.assert_allclose(found()["slopes"]["all"], slope, rtol=1e-12)
    np.testing.assert_allclose(found()["slopes"]["share"], part * slope, rtol=1e-12)
    total, own = ALPHA.sum() + 1 / 4, found()["own"] @ slope
    want = own / total - (ALPHA @ own) / total**2
    np.testing.assert_allclose(found()["of_alpha"], want, rtol=1e-10)


def test_entropy_and_its_weight():
    np.testing.assert_allclose(architecture_entropy(jnp.zeros((2, 5))), 2 * math.log(5))
    for epochs, warmup in ((20, 9), (12, 0), (2, 0), (7, 2)):
        weights = [entropy_weight(e, epochs, warmup=warmup) for e in range(epochs)]
        quarter = warmup + (epochs - warmup) // 4
        assert not any(weights[:quarter]) and math.isclose(weights[-1], 1)
        assert weights == sorted(weights)


def test_bit_operations_are_linear_in_the_shares():
    macs, bits = [3.0, 5.0], [(2, 2), (4, 8)]
    ends = [bit_operations(jnp.eye(2)[i], macs, bits) for i in range(2)]
    assert [float(e) for e in ends] == [12.0, 160.0]
    middle = bit_operations(jnp.array([0.25, 0.75]), macs, bits)
    np.testing.assert_allclose(middle, 0.25 * ends[0] + 0.75 * ends[1], rtol=1e-6)


def test_bad_input():
    with pytest.raises(InputError, match="one number for each of bits"):
        mixed_bit_weights(jax.random.key(0), jnp.ones(3), jnp.ones(2), BITS)
    with pytest.raises(InputError, match="w must be real floating"):
        quantization_noise(jax.random.key(0), jnp.ones(3, int), bits=2)
    with pytest.raises(InputError, match="bits must be a whole number"):
        quantization_noise(jax.random.key(0), jnp.ones(3), bits=0)
    with pytest.raises(InputError, match="must leave two behind"):
        entropy_weight(3, 3)
    with pytest.raises(InputError, match="of one length"):
        bit_operations(jnp.ones(2), [1.0], [(2, 2)])
