"""T3 merging against recorded coefficients, and against its limits."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.inference import (
    apply_t3,
    fit_t3,
    jensen_shannon,
    t3_coefficient,
    t3_predict,
    uniform_soup,
)

FOLDER = pathlib.Path(__file__).parents[1] / "vectors" / "t3_merging"
RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(5, 3))
ONE, TWO = ({"w": RNG.normal(size=(3, 4))} for _ in range(2))


def model(params, x):
    return jnp.tanh(x @ params["w"])


@pytest.mark.parametrize("case", ["case1", "case2"])
def test_vectors(case):
    with np.load(FOLDER / f"{case}.npz") as file:
        a = {n: file[n] for n in file.files}
    meta = json.loads(str(a["meta"]))
    options = {
        "least": meta["lambda_min"],
        "most": meta["lambda_max"],
        "gamma": meta["gamma"],
    }
    logits = a["batch/logits_pretrained"], a["batch/logits_finetuned"]

    @jax.jit
    def both(p, q):
        each = jensen_shannon(p, q)
        fitted = fit_t3({"pretrained": p, "finetuned": q}, **options)
        return each, t3_coefficient(each, **options), fitted

    each, coefficients, fitted = both(*logits)
    # The recorded divergences are differences of numbers of the size of 1.
    np.testing.assert_allclose(each, a["out/js"], rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(coefficients, a["out/lambda"], rtol=1e-10)
    np.testing.assert_allclose(fitted.coefficient, a["out/lambda_batch"], rtol=1e-10)
    assert each[0] == 0


def test_divergence_keeps_its_digits():
    """Against a series at close predictions, and at zero probabilities."""
    inf = np.inf
    p = jnp.array([[0.0, 0.0], [0.0, -inf], [1.0, 2.0], [900.0, 0.0], [5.0, -inf]])
    q = jnp.array([[0.0, 1e-7], [-inf, 0.0], [1.0, 2.0], [0.0, 900.0], [0.0, 0.0]])
    value = jax.jit(jax.vmap(jax.value_and_grad(jensen_shannon)))
    found, slopes = value(p, q)
    # (1, 0) and (1/2, 1/2): half of log 4/3 + (log 2/3 + log 2) / 2.
    half = (np.log(4 / 3) + np.log(2 / 3) / 2 + np.log(2) / 2) / 2
    # Second order: an eighth of the variance, 1/4, of the difference of the logits.
    wanted = [1e-14 / 32, np.log(2), 0, np.log(2), half]
    np.testing.assert_allclose(found, wanted, rtol=1e-7)
    assert np.all(np.isfinite(slopes)) and not np.any(slopes[2])
    swapped, _ = value(q, p)
    np.testing.assert_allclose(swapped, found, rtol=1e-14)


def test_every_example_has_its_parameters():
    options = {"least": 0.0, "most": 1.0, "gamma": 40.0, "center": 0.05}

    @jax.jit
    def merged(one, two, x):
        alone = [t3_predict(model, one, two, x[i : i + 1], **options) for i in (0, 3)]
        return t3_predict(model, one, two, x, chunk=2, **options), alone

    (logits, shares), alone = merged(ONE, TWO, INPUTS)
    assert np.ptp(shares) > 0.1
    for i, share in enumerate(np.asarray(shares)):
        w = share * ONE["w"] + (1 - share) * TWO["w"]
        np.testing.assert_allclose(logits[i], np.tanh(INPUTS[i] @ w), rtol=1e-12)
    for i, (one, share) in zip((0, 3), alone, strict=True):
        np.testing.assert_allclose(one[0], logits[i], rtol=1e-12)
        np.testing.assert_allclose(share[0], shares[i], rtol=1e-12)


def test_the_range_of_the_coefficient():
    top = np.log(2)
    ends = {"least": 0.0, "most": 1.0}

    @jax.jit
    def both(x):
        return t3_coefficient(x, **ends), t3_coefficient(
            x, gamma=50.0, center=top / 2, **ends
        )

    published, spread = both(np.array([0.0, top / 2, top]))
    np.testing.assert_allclose(published[0], 0.5, rtol=1e-15)
    np.testing.assert_allclose(published[2], 1 / (1 + np.exp(-top / 2)), rtol=1e-12)
    np.testing.assert_allclose(spread, [0, 0.5, 1], atol=1e-6)


def test_ends_are_the_models():
    models = {"pretrained": ONE, "finetuned": TWO}
    data = {"pretrained": INPUTS, "finetuned": INPUTS[::-1]}

    @jax.jit
    def merged(models, share):
        fitted = fit_t3(data, least=share, most=share)
        return apply_t3(fitted, models)["w"], uniform_soup(models)["w"]

    for share, wanted in ((1.0, ONE["w"]), (0.0, TWO["w"])):
        np.testing.assert_array_equal(merged(models, share)[0], wanted)
    np.testing.assert_allclose(*merged(models, 0.5), rtol=1e-14)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: fit_t3(_data(), gamma=-1.0), "gamma must be at least 0; got -1.0"),
        (lambda: fit_t3(_data(), least=1.5), r"least must lie in \[0, 1\]"),
        (lambda: fit_t3(_data(2)), r"one shape with an axis of classes; got \(5, 3\)"),
        (
            lambda: fit_t3(_data(), where=np.ones(4)),
            r"the shape \(5,\)",
        ),
        (lambda: jensen_shannon(jnp.arange(2), jnp.arange(2)), "got int64"),
        (lambda: t3_predict(model, ONE, {"v": 1.0}, INPUTS), "one structure"),
        (lambda: t3_predict(model, ONE, TWO, INPUTS, chunk=0), "chunk must be a whole"),
        (lambda: t3_predict(model, ONE, TWO, INPUTS[0]), "it gives 1 axes"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words):
        call()


def _data(classes=3):
    return {"pretrained": INPUTS, "finetuned": INPUTS[:, :classes]}
