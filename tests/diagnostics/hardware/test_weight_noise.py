"""Scores under noise: recorded weights, moments of the models, bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.vectors import VECTORS

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.diagnostics.hardware import evaluate_under_weight_noise
from jaxopt_lab.diagnostics.hardware.weight_noise import NoiseModel, weight_noise


def test_the_recorded_weights():
    with np.load(VECTORS / "weight_noise" / "A.npz") as file:
        arrays = {key: file[key] for key in file.files}
    cases = [key.split("/") for key in arrays if key.split("/")[0] in str(NoiseModel)]
    assert len(cases) == 9

    @jax.jit
    def all_of(weight, noise):
        # The recorded matrices are (outputs, inputs).
        by_draw = jax.vmap(weight_noise, (None, 0, None, None))
        turned = weight.T, jnp.swapaxes(noise, 1, 2)
        return [by_draw(*turned, float(s), model) for model, s in cases]

    found = all_of(arrays["init/W"], arrays["init/eps"])
    for value, (model, sigma) in zip(found, cases, strict=True):
        wanted = np.swapaxes(arrays[f"{model}/{sigma}"], 1, 2)
        np.testing.assert_allclose(value, wanted, rtol=1e-12, atol=1e-12)


def test_every_model_of_noise_has_its_moments_and_none_at_zero():
    """Mean and deviation of one weight of 0.5 beside one of -1, 4000 draws."""
    weight = {"w": jnp.array([[0.5], [-1.0]]), "b": jnp.ones(3)}
    models = ("additive_range", "multiplicative", "uniform_range", "pairs")

    def score(params, batch):
        # 3 for the bias, which is not noisy.
        return params["w"][0, 0] + jnp.sum(params["b"]) + batch

    @jax.jit
    def all_of(key):
        return [
            evaluate_under_weight_noise(
                score, weight, 0.0, key, sigma=[0.0, 0.2], draws=4000, model=model
            )
            for model in models
        ]

    # A device at 0 can only rise: E[noise+] = 0.2 / sqrt(2 pi), which is subtracted.
    rest = 0.2 / np.sqrt(2 * np.pi)
    half = 0.04 * (0.5 - 1 / (2 * np.pi))
    wanted = {
        "additive_range": (0.5, 0.2),
        "multiplicative": (0.5, 0.1),
        "uniform_range": (0.5, 0.2 / np.sqrt(12)),
        "pairs": (0.5 - rest, np.sqrt(0.04 + half)),
    }
    for model, found in zip(models, all_of(jax.random.key(0)), strict=True):
        mean, deviation = wanted[model]
        assert (found.scores[0] == 3.5).all() and found.error[0] == 0, model
        apart = abs(found.value[1] - 3 - mean)
        assert apart < 4 * found.error[1] + 2e-3, model
        np.testing.assert_allclose(found.deviation[1], deviation, rtol=0.05)


def test_bfloat16_weights_and_counts_as_scores():
    params = {"kernel": jnp.ones((2, 2), jnp.bfloat16)}
    count = lambda p, x: jnp.sum(p["kernel"] > 0)
    found = evaluate_under_weight_noise(count, params, None, jax.random.key(0), draws=2)
    assert found.value == 4 and found.error == 0


@pytest.mark.parametrize(
    "options, words",
    [
        ({"sigma": -0.1}, "sigma must be finite and at least 0"),
        ({"sigma": [0.1, float("nan")]}, "sigma must be finite"),
        ({"sigma": []}, "sigma must be a number or a sequence"),
        ({"draws": 1}, "draws"),
        ({"model": "gaussian"}, "model"),
        ({"match": "head"}, "match='head' finds no floating leaf"),
        ({"params": {"w": jnp.ones((2, 2), complex)}}, "must be real"),
        ({"params": {"w": jnp.ones(2)}}, "two axes or more; the leaves are w"),
    ],
)
def test_bad_input(options, words):
    given = {"params": {"w": jnp.ones((2, 2))}, **options}
    params = given.pop("params")
    with pytest.raises(InputError, match=words):
        evaluate_under_weight_noise(
            lambda p, x: jnp.sum(p["w"]), params, None, jax.random.key(0), **given
        )
