"""Dense Hebbian networks: fields by loops, limits of the formula, retrieval."""

import itertools
import math

import jax
import numpy as np
import pytest

from experiments.spins import dense, retrieval


def test_fields_are_sums_over_other_spins():
    rng = np.random.default_rng(0)
    eta, s = rng.normal(size=(3, 5)), rng.choice([-1.0, 1.0], 5)
    for power in (2, 3, 4):
        wanted = np.zeros(5)
        for i in range(5):
            others = [j for j in range(5) if j != i]
            for js in itertools.product(others, repeat=power - 1):
                term = eta[:, list(js)] * s[list(js)]
                wanted[i] += np.sum(eta[:, i] * term.prod(1)) / 5 ** (power - 1)
        np.testing.assert_allclose(dense.fields(eta, s, power), wanted, rtol=1e-12)
        # Flipped spins: an even power's fields are flipped, an odd one's stay.
        turned = dense.fields(eta, -s, power)
        np.testing.assert_allclose(turned, (-1) ** (power - 1) * wanted, rtol=1e-12)


def test_limits_of_the_formula():
    assert dense.one_step_overlap(0.0, 0.14, 2) == math.erf((2 * 0.14) ** -0.5)
    assert dense.one_step_overlap(0.7, 0.0, 4) == math.erf((2 * 0.7) ** -0.5)
    classical = math.erf((2 * (0.5 + 0.1 * 1.5**2)) ** -0.5)
    assert dense.one_step_overlap(0.5, 0.1, 2) == pytest.approx(classical, abs=1e-15)
    assert dense.example_noise(math.inf, 0.2) == dense.example_noise(3, 1.0) == 0


def test_teachers_have_the_mean_and_the_noise_of_their_examples():
    rng = np.random.default_rng(1)
    archetypes = retrieval.signs(rng, 100, 200)
    eta = dense.teacher_averages(rng, archetypes, 5, 0.4) * archetypes
    assert eta.mean() == pytest.approx(1, abs=0.03)
    assert eta.var() == pytest.approx(dense.example_noise(5, 0.4), rel=0.03)
    clean = dense.teacher_averages(rng, archetypes, 5, 1.0)
    np.testing.assert_array_equal(clean, archetypes)


def test_few_archetypes_are_retrieved():
    rng = np.random.default_rng(2)
    archetypes = retrieval.signs(rng, 3, 60)
    start = retrieval.flipped(rng, archetypes, 0.1)
    end = retrieval.retrieved(jax.random.key(0), archetypes, start, power=2, sweeps=3)
    np.testing.assert_array_equal(end, archetypes)
