"""Batch effects: a tiny run, and the exact limits of its networks."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.applications.mixed_effects.__main__ import APPLICATION
from experiments.applications.mixed_effects.cells import (
    components,
    effects,
    measured,
    neighbour_accuracy,
)
from experiments.applications.mixed_effects.config import Config
from experiments.applications.mixed_effects.networks import auto_encoder

TINY = Config(seeds=2, steps=3, batches=3, features=4, hidden=5, latent=2, size=8)
RNG = np.random.default_rng(0)


@pytest.mark.full
def test_smoke(smoke):
    record = smoke(APPLICATION, dataclasses.replace(TINY, arms=("RE",)))
    assert list(record["batch"]) == ["RE"]
    for values in (*record["batch"].values(), *record["label"].values()):
        assert len(values) == 2 and all(0 <= v <= 1 for v in values)


@pytest.mark.full
def test_adversary():
    """Its loss moves no decoder; with weight 0 no encoder, else it is reversed."""
    net = auto_encoder(TINY, mixed=False)
    x, group = RNG.normal(size=(8, 4)), RNG.integers(0, 3, 8)

    @jax.jit
    def slopes(key, weight):
        params, state = net.init(key)

        def loss(params, weight):
            given = (x, group, group)
            y = net.apply(params, state, given, train=True, weight=weight)[0]
            return jnp.mean(jnp.square(y[2] @ jnp.arange(3.0)))

        with jax.numpy_rank_promotion("allow"):
            return jax.grad(loss)(params, weight)

    stopped, reversed_, plain = (slopes(jax.random.key(0), w) for w in (0.0, 2.0, -1.0))
    for name in ("encoder", "latent", "encoded norm"):
        for zero, found, own in zip(
            *(jax.tree.leaves(s[name]) for s in (stopped, reversed_, plain)),
            strict=True,
        ):
            assert not np.any(zero)
            np.testing.assert_allclose(found, -2 * own, rtol=1e-5, atol=1e-7)
    assert np.any(plain["encoder"]["kernel"])
    for name in ("decoder", "output", "decoded norm"):
        assert not any(np.any(leaf) for leaf in jax.tree.leaves(plain[name]))


def test_cells():
    """Components keep images; effects are undone; shares are those of the batch."""
    images = RNG.uniform(size=(50, 64))
    basis = components(images, 50)
    np.testing.assert_allclose(
        basis.images(basis.scores(images)), images.reshape(-1, 8, 8), atol=1e-5
    )
    assert np.mean(basis.scores(images) ** 2) == pytest.approx(1, rel=1e-4)
    found = effects(RNG, TINY)
    x, label = RNG.normal(size=(4000, 4)), RNG.integers(0, 10, 4000)
    cells = measured(RNG, found, x, label)
    undone = (cells.x - found.shift[cells.group]) / found.gain[cells.group]
    np.testing.assert_allclose(undone, x, atol=1e-4)
    wanted = found.shares / found.shares.sum(axis=0)
    for c in range(10):
        counts = np.bincount(cells.group[label == c], minlength=3)
        np.testing.assert_allclose(counts / counts.sum(), wanted[:, c], atol=0.1)
    z = np.concatenate([x[:50], x[:50] + 10])
    labels = np.repeat([0, 1], 50)
    assert neighbour_accuracy((z, z), (labels, labels), 5) == 1
