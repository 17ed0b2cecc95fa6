"""Smoke test of multitasking networks; their pieces: ``tests/experiments/spins``."""

import dataclasses

import jax
import numpy as np

from experiments.applications.multitasking_hebbian.__main__ import APPLICATION
from experiments.applications.multitasking_hebbian.measure import sweep


def test_smoke(smoke):
    tiny = dataclasses.replace(
        APPLICATION.sizes["quick"],
        seeds=1,
        spins=60,
        blocks=6,
        patterns=2,
        blanks=(0.9,),
        temperatures=(0.7,),
        steps=4,
    )
    cells = smoke(APPLICATION, tiny)["measured"]["cells"]
    assert [cell["start"] for cell in cells] == ["hierarchy", "majority"]


def test_a_sweep_is_glaubers_rule_and_keeps_the_overlaps():
    rng = np.random.default_rng(0)
    patterns, weights = rng.normal(size=(4, 3, 5)), rng.uniform(0.5, 1, 3)
    spins = rng.choice([-1.0, 1.0], (4, 5))
    overlaps = np.einsum("brn,bn->r", patterns, spins) / 20
    key = jax.random.key(1)
    found, after = jax.jit(sweep)(key, spins, overlaps, patterns, weights, 0.7)
    draws = np.asarray(jax.random.uniform(key, (4, 5)))
    for old, rows, u in zip(spins, patterns, draws, strict=True):
        field = (weights * overlaps) @ rows
        new = np.where(u < 1 / (1 + np.exp(-2 * 0.7 * field)), 1.0, -1.0)
        overlaps = overlaps + rows @ (new - old) / 20
        old[:] = new
    np.testing.assert_array_equal(found, spins)
    np.testing.assert_allclose(after, overlaps, atol=1e-12)
    np.testing.assert_allclose(after, np.einsum("brn,bn->r", patterns, found) / 20)
