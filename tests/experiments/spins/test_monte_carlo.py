"""Monte Carlo of small networks against exact partition sums."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.spins import models, monte_carlo

N = 6
STATES = np.array(list(itertools.product([-1.0, 1.0], repeat=N)))


def memory(power=3):
    rng = np.random.default_rng(0)
    patterns = jnp.asarray(rng.choice([-1.0, 1.0], (4, N)))
    return models.hopfield(patterns, lambda m: m**power / N ** (power - 1))


def glass():
    return models.three_spin(models.gaussian_couplings(jax.random.key(0), N) * 2)


@pytest.mark.parametrize("make", [memory, glass])
def test_the_gap_is_the_difference_of_energies(make):
    model = make()
    energy = np.asarray(jax.jit(jax.vmap(model.energy))(STATES))
    gap = jax.jit(jax.vmap(lambda s, i: model.gap(model.kept(s), s, i), (0, None)))
    for i in (0, N - 1):
        up, down = STATES.copy(), STATES.copy()
        up[:, i], down[:, i] = 1, -1
        places = [((s + 1) / 2) @ 2 ** np.arange(N)[::-1] for s in (up, down)]
        plus, minus = (energy[p.astype(int)] for p in places)
        np.testing.assert_allclose(gap(STATES, i), minus - plus, atol=1e-12)


def test_energies_are_sums_over_triples():
    couplings = np.asarray(models.gaussian_couplings(jax.random.key(0), N)) * 2
    patterns = np.random.default_rng(1).choice([-1.0, 1.0], (4, N))
    cube = models.hopfield(jnp.asarray(patterns), models.distinct_cube(N))
    three = list(itertools.combinations(range(N), 3))
    for s in STATES[[5, 40]]:
        products = np.array([s[list(t)].prod() for t in three])
        glassy = -sum(couplings[t] * p for t, p in zip(three, products, strict=True))
        assert glass().energy(s) == pytest.approx(glassy, abs=1e-12)
        kept = np.array([patterns[:, list(t)].prod(1) for t in three])
        dense = -6 * np.sum(products[:, None] * kept) / N**2
        assert cube.energy(s) == pytest.approx(dense, abs=1e-12)


def test_sampled_energies_are_those_of_the_partition_sum():
    betas = np.array([0.3, 0.7, 1.5])
    model = memory()

    @jax.jit
    def run(key):
        first, then = jax.random.split(key)
        spins = 2.0 * jax.random.bernoulli(first, 0.5, (3, N)) - 1
        return monte_carlo.tempered(then, model, spins, jnp.asarray(betas), 4000)

    energies, spins = map(np.asarray, run(jax.random.key(1)))
    energy = np.asarray(jax.vmap(model.energy)(STATES))
    for i, beta in enumerate(betas):
        weight = np.exp(-beta * (energy - energy.min()))
        exact = np.sum(weight * energy) / weight.sum()
        kept = energies[200:, i].reshape(-1, 50).mean(1)
        assert abs(kept.mean() - exact) < 4 * kept.std() / len(kept) ** 0.5
        chance = weight / weight.sum()
        places = (((spins[:, i] + 1) / 2) @ 2 ** np.arange(N)[::-1]).astype(int)
        found = np.bincount(places, minlength=len(STATES)) / len(places)
        assert 0.5 * np.abs(found - chance).sum() < 0.08


def test_energy_never_rises_at_zero_temperature():
    model = memory(4)
    after = jax.jit(
        jax.vmap(lambda k, s: monte_carlo.sweep(k, model, s, jnp.inf), (0, 0))
    )(jax.random.split(jax.random.key(2), len(STATES)), STATES)
    energy = jax.vmap(model.energy)
    assert np.all(np.asarray(energy(after)) <= np.asarray(energy(STATES)) + 1e-12)
