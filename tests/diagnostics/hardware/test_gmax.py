"""Conductances under a budget: against a fine grid, any chain, bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.diagnostics.hardware import (
    crossbar,
    memse,
    optimize_gmax,
    relu_moments,
)

RNG = np.random.default_rng(0)
FIRST, SECOND = RNG.normal(size=(5, 4)), 0.2 * RNG.normal(size=(3, 5))
X = RNG.normal(size=(3, 4))
TARGET = np.maximum(X @ FIRST.T, 0) @ SECOND.T
BUDGET = 2.0


def network(conductances):
    first, second = (
        crossbar(jnp.asarray(w), noise=0.01, levels=10**6, max_conductance=g)
        for w, g in zip((FIRST, SECOND), conductances, strict=True)
    )
    return [first, relu_moments, second]


@pytest.mark.full
@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_the_minimum_of_a_fine_grid_is_reached_within_the_budget(name):
    chain = {
        "adam": optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.03)),
        "sgd": optax.sgd(0.3, 0.5),
    }[name]
    found = optimize_gmax(
        network, (1.0, 1.0), X, TARGET, budget=BUDGET, optimizer=chain, steps=200
    )
    assert found.power <= BUDGET * (1 + 1e-4)
    assert found.error < 0.99 * found.scaled_error

    @jax.jit
    def of(first, second):
        told = memse(network((first, second)), X, TARGET)
        return jnp.mean(told.error), jnp.mean(told.power)

    @jax.jit
    def grid(ratios):
        def one(ratio):
            # The power falls with the conductances where noise rules, below exp(-3).
            low, high = jnp.asarray(-3.0), jnp.asarray(6.0)

            def halve(_, ends):
                middle = sum(ends) / 2
                over = of(jnp.exp(middle), jnp.exp(middle + ratio))[1] > BUDGET
                return (
                    jnp.where(over, ends[0], middle),
                    jnp.where(over, middle, ends[1]),
                )

            low, _ = jax.lax.fori_loop(0, 50, halve, (low, high))
            return of(jnp.exp(low), jnp.exp(low + ratio))

        return jax.lax.map(one, ratios)

    errors, powers = grid(jnp.linspace(-2, 2, 201))
    best = np.min(np.where(np.abs(powers / BUDGET - 1) < 1e-6, errors, np.inf))
    np.testing.assert_allclose(found.error, best, rtol=1e-3)
    assert found.error <= best * (1 + 1e-5)
    np.testing.assert_allclose(of(*found.conductances)[0], found.error, rtol=1e-10)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"start": (1.0, 0.0)}, "start must be positive"),
        ({"start": ()}, "start must be positive"),
        ({"budget": 1e-9}, "the least power of the start times a common factor is"),
        ({"budget": -1.0}, "budget"),
        ({"steps": 0}, "steps"),
        ({"x": X * np.nan}, "x holds values"),
        ({"target": TARGET * np.inf}, "target holds values"),
    ],
)
def test_bad_input(options, words):
    given = {"start": (1.0, 1.0), "x": X, "target": TARGET, "budget": 2.0, **options}
    with pytest.raises(InputError, match=words):
        optimize_gmax(network, optimizer=optax.sgd(0.1), **given)
