"""Blind-spot denoising: the network's blind spot, and the noise."""

import dataclasses

import jax
import numpy as np
import pytest

from experiments.applications.blind_spot_denoising import APPLICATION
from experiments.applications.blind_spot_nets import denoised, new_net, noise_of


@pytest.mark.full
def test_smoke(smoke):
    tiny = dataclasses.replace(
        APPLICATION.sizes["quick"], seeds=1, steps=1, train=4, test=2, size=20, width=2
    )
    scores = smoke(APPLICATION, tiny)["measured"]["scores"]
    assert set(scores) == {"correlated, noisy", "correlated, full loss"}


def test_the_network_is_blind_to_its_own_pixel_in_one_mode_alone():
    params = new_net(0, 3, 1)
    x = np.random.default_rng(0).normal(size=(1, 6, 5, 1)).astype(np.float32)

    @jax.jit
    def slopes(x):
        return [
            jax.jacrev(lambda x, b=b: denoised(params, x, blind=b)[0, ..., 0])(x)
            for b in (True, False)
        ]

    blind, seeing = (np.asarray(s)[:, :, 0, :, :, 0] for s in slopes(x))
    assert not np.any(np.einsum("ijij->ij", blind)) and np.any(blind)
    assert np.any(np.einsum("ijij->ij", seeing))


def test_noise_of_variance_one_that_neighbours_share():
    rng = np.random.default_rng(0)
    for kind, shared in (("independent", 0.0), ("correlated", 2 / 3)):
        noise = noise_of(rng, kind, (50, 20, 20))
        np.testing.assert_allclose(noise.var(), 1, rtol=0.05)
        found = np.mean(noise[:, 1:] * noise[:, :-1])
        np.testing.assert_allclose(found, shared, atol=0.05)
