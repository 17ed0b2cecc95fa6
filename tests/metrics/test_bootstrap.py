"""Bands of metrics: the draws of a loop, Wilson's interval, few examples refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.metrics import accuracy, bootstrap_band, wilson_band

RNG = np.random.default_rng(0)
TARGETS = RNG.integers(0, 2, 100)
OUTPUTS = RNG.normal(size=(100, 2)) + np.eye(2)[TARGETS]


def test_draws_are_those_of_a_loop_and_padding_is_not_drawn():
    hits = OUTPUTS.argmax(1) == TARGETS
    rows = np.r_[0, 0, 1:100]
    weight = np.r_[np.ones(1) * 2, np.ones(99), np.zeros(3)]
    padded = {
        "outputs": np.r_[OUTPUTS, np.full((3, 2), np.nan)],
        "targets": np.r_[TARGETS, 0, 0, 0],
        "weight": weight,
    }
    key = jax.random.key(0)
    run = lambda batch: bootstrap_band(accuracy(), batch, key=key, draws=40, level=0.9)
    band = jax.jit(run)(padded)["accuracy"]
    draw = lambda key: jax.random.uniform(key, (103,), np.float64)
    places = jax.jit(jax.vmap(draw))(jax.random.split(key, 40))
    means = []
    for u in np.asarray(places):
        taken = rows[np.int64(u * 101)]
        means.append(hits[taken].mean())
    np.testing.assert_allclose(band.value, hits[rows].mean(), rtol=1e-12)
    wanted = np.quantile(means, [0.05, 0.95])
    np.testing.assert_allclose([band.low, band.high], wanted, rtol=1e-12)


def test_wilson_is_the_root_of_its_equation():
    hits, count = np.array([0.0, 3.0, 10.0, 0.0]), np.array([10.0, 7.0, 10.0, 0.0])

    @jax.jit
    def run(hits):
        slope = jax.grad(lambda h: jnp.sum(wilson_band(h, count).high))(hits)
        return wilson_band(hits, count), slope

    (share, low, high), slope = run(hits)
    z = 1.959963984540054
    for k in range(3):
        for end in (low[k], high[k]):
            gap = (share[k] - end) ** 2 - z**2 * end * (1 - end) / count[k]
            np.testing.assert_allclose(gap, 0, atol=1e-12)
    assert low[0] < 1e-12 and high[2] > 1 - 1e-12
    assert np.isnan(share[3]) and (low[3], high[3]) == (0, 1)
    assert np.all(np.isfinite(slope))


def test_few_examples_are_refused():
    batch = {"outputs": OUTPUTS, "targets": TARGETS}
    weight = np.arange(100) > 0
    with pytest.raises(InputError, match="at least 100 examples; got 99"):
        given = {**batch, "weight": weight.astype(float)}
        bootstrap_band(accuracy(), given, key=None)
    with pytest.raises(InputError, match="level must"):
        bootstrap_band(accuracy(), batch, key=None, level=1.0)
