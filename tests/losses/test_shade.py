"""SHADE against recorded statistics and gradients."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.losses import ShadeState, shade

FOLDER = pathlib.Path(__file__).parents[1] / "vectors" / "shade"
RNG = np.random.default_rng(0)
CLOSE = {"rtol": 1e-9, "atol": 1e-12}


@pytest.mark.parametrize("through_modes", [False, True])
@pytest.mark.parametrize("case", ["sigmoid", "relu_exp"])
def test_vectors(case, through_modes):
    with np.load(FOLDER / f"{case}.npz") as file:
        arrays = {n: file[n] for n in file.files}
    meta = json.loads(str(arrays["meta"]))
    options = meta["hyperparameters"]
    penalty = shade(
        modes=options["mode"], decay=options["decay"], through_modes=through_modes
    )

    @jax.jit
    def step(y, state):
        def loss(y):
            values, new = penalty.apply(state, y)
            return options["beta"] * jnp.mean(values), new

        (value, new), slope = jax.value_and_grad(loss, has_aux=True)(y)
        return value, new, slope

    # The records start at means of 0 and 1, the paper's later text at -1 and 1.
    state = ShadeState(p=arrays["init/p"], mu=arrays["init/mu"])
    kind = "grad_through_p" if through_modes else "grad_stop_p"
    for t in range(meta["steps"]):
        value, state, slope = step(arrays[f"activations/{t}"], state)
        np.testing.assert_allclose(value, arrays[f"loss/{t}"], **CLOSE)
        np.testing.assert_allclose(slope, arrays[f"{kind}/{t}"], **CLOSE)
        np.testing.assert_allclose(state.p, arrays[f"p/{t}"], **CLOSE)
        np.testing.assert_allclose(state.mu, arrays[f"mu/{t}"], **CLOSE)


@pytest.mark.full
def test_positions_of_a_map_are_samples_of_a_neuron():
    penalty = shade()
    y = RNG.normal(size=(3, 2, 2, 5))
    values, state = penalty.apply(penalty.init(y), y)
    flat = y.reshape(12, 5)
    each, expected = penalty.apply(penalty.init(flat), flat)
    np.testing.assert_allclose(values, each.reshape(3, 4).mean(axis=1), rtol=1e-12)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), state, expected
    )


def test_a_mode_that_never_occurs_leaves_no_nan_when_its_probability_is_zero():
    penalty = shade(modes="relu_exp")
    y = -jnp.ones((2, 1), jnp.float32)
    state = ShadeState(p=jnp.array([[1.0], [0.0]]), mu=jnp.array([[0.0], [1.0]]))
    values, state = penalty.apply(state, y)
    assert np.all(np.isfinite(values)) and np.all(np.isfinite(jax.tree.leaves(state)))


def test_a_batch_without_examples_leaves_the_statistics():
    penalty = shade()
    y = jnp.full((2, 3), jnp.nan)
    before = penalty.init(y)
    values, after = penalty.apply(before, y, where=jnp.zeros(2))
    assert not np.any(values)
    jax.tree.map(np.testing.assert_array_equal, before, after)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: shade(modes="tanh"), "unknown modes 'tanh'"),
        (lambda: shade(decay=-0.1), r"decay must lie in \[0, 1\]; got -0.1"),
        (
            lambda: shade().init(jnp.ones(3)),
            r"shape \(B, ..., N\); got float64 of shap",
        ),
        (lambda: shade().init(jnp.ones((2, 3), int)), "real floating numbers"),
        (
            lambda: shade().apply(shade().init(jnp.ones((2, 3))), jnp.ones((2, 4))),
            "do not fit the statistics of 3 neurons",
        ),
        (
            lambda: shade().apply(
                shade().init(jnp.ones((2, 3))), jnp.ones((2, 3)), where=jnp.ones(3)
            ),
            r"where must have shape \(2,\)",
        ),
    ],
)
def test_what_it_refuses(call, words):
    with pytest.raises(InputError, match=words):
        call()
