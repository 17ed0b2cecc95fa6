"""SELU and its dropout against the paper's networks and its fixed point."""

import json
import math
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import alpha_dropout, selu
from jaxopt_lab.layers.activation.alpha_dropout import with_saturated
from jaxopt_lab.layers.activation.selu import ALPHA, SCALE

FOLDER = pathlib.Path(__file__).parents[2] / "vectors" / "selu"
CLOSE = {"rtol": 1e-9, "atol": 1e-11}


def load(case):
    with np.load(FOLDER / f"{case}.npz") as file:
        arrays = {name: file[name] for name in file.files}
    return json.loads(str(arrays.pop("meta"))), arrays


@pytest.mark.full(plain=["mlp_3"])
@pytest.mark.parametrize("case", ["mlp_3", "mlp_8_deep", "large_inputs"])
def test_vectors_of_networks(case):
    meta, arrays = load(case)
    count = len(meta["sizes"]) - 1
    names = [f"layer{i}/{part}" for i in range(count) for part in ("kernel", "bias")]
    weights = {name: arrays[f"weight/{name}"] for name in names}

    def outputs(weights, x):
        found = []
        for i in range(count):
            x = x @ weights[f"layer{i}/kernel"] + weights[f"layer{i}/bias"][None]
            x, _ = selu(x.shape[-1]).apply({}, {}, x, train=True)
            found.append(x)
        return found

    @jax.jit
    def run(weights, x):
        loss = lambda w, x: jnp.sum(outputs(w, x)[-1] * arrays["input/cotangent"])
        return outputs(weights, x), jax.grad(loss, argnums=(0, 1))(weights, x)

    found, (slopes, slope) = run(weights, arrays["input/x"])
    np.testing.assert_allclose(found[-1], arrays["output/y"], **CLOSE)
    for i, y in enumerate(found):
        np.testing.assert_allclose(y, arrays[f"output/after_layer{i}"], **CLOSE)
    np.testing.assert_allclose(slope, arrays["grad/x"], **CLOSE)
    for name in names:
        np.testing.assert_allclose(slopes[name], arrays[f"grad/{name}"], **CLOSE)


@pytest.mark.parametrize("case", ["alpha_dropout_01", "alpha_dropout_05"])
def test_vectors_of_dropout(case):
    meta, arrays = load(case)
    keep = arrays["input/uniform"] >= meta["rate"]
    np.testing.assert_array_equal(keep, arrays["input/keep_mask"] != 0)

    def run(x):
        return with_saturated(x, keep, rate=meta["rate"])

    y, back = jax.vjp(run, arrays["input/x"])
    np.testing.assert_allclose(y, arrays["output/y"], **CLOSE)
    np.testing.assert_allclose(
        back(jnp.asarray(arrays["input/cotangent"]))[0], arrays["grad/x"], **CLOSE
    )


def nodes():
    """Points and weights for means over a standard normal number."""
    u, w = np.polynomial.legendre.leggauss(120)
    ends = ((-12.0, 0.0), (0.0, 12.0))
    z = np.concatenate([(b - a) / 2 * u + (a + b) / 2 for a, b in ends])
    weights = np.concatenate([(b - a) / 2 * w for a, b in ends])
    return z, weights * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def plain(x):
    return np.where(x > 0, SCALE * x, SCALE * ALPHA * np.expm1(np.minimum(x, 0)))


def moments(mean, variance):
    """Mean and variance behind a layer, of a normal input of these."""
    z, weights = nodes()
    # The kink stays at an end of the pieces.
    shift = mean / math.sqrt(variance)
    density = np.exp(-((z - shift) ** 2) / 2 + z * z / 2) * weights
    y = plain(z * math.sqrt(variance))
    first = np.sum(density * y)
    return first, np.sum(density * y**2) - first**2


def test_a_standard_normal_input_is_the_fixed_point():
    np.testing.assert_allclose(moments(0.0, 1.0), (0, 1), atol=1e-9)
    z, _ = nodes()
    y, _ = selu(1).apply({}, {}, z[:, None], train=True)
    np.testing.assert_allclose(y[:, 0], plain(z), rtol=1e-12)


def test_the_fixed_point_attracts():
    """The weights of a layer have sum 0 and norm 1: its input has mean 0."""
    step = 1e-6
    above, below = moments(0.0, 1 + step), moments(0.0, 1 - step)
    slope = (np.array(above) - np.array(below)) / (2 * step)
    np.testing.assert_allclose(slope, (0.0888348, 0.7826479), atol=1e-6)
    mean, variance = 0.3, 2.0
    for _ in range(60):
        # The second moment of the output is the variance of the next input.
        mean, variance = moments(0.0, variance)
    assert abs(mean) < 1e-6 and abs(variance - 1) < 1e-5


def test_the_constants_are_the_closed_form():
    root = math.erfc(1 / math.sqrt(2)) * math.exp(0.5)
    alpha = -math.sqrt(2 / math.pi) / (root - 1)
    negative = 0.5 * (
        math.exp(2) * math.erfc(math.sqrt(2))
        - 2 * math.exp(0.5) * math.erfc(1 / math.sqrt(2))
        + 1
    )
    np.testing.assert_allclose(ALPHA, alpha, rtol=1e-14)
    np.testing.assert_allclose(SCALE, (0.5 + alpha**2 * negative) ** -0.5, rtol=1e-14)


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.5, 0.95])
def test_dropout_keeps_mean_and_variance(rate):
    z, weights = nodes()
    x = plain(z)
    kept, dropped = (
        np.asarray(with_saturated(x, np.full(x.shape, keep), rate=rate))
        for keep in (True, False)
    )
    mean = lambda f: np.sum(weights * ((1 - rate) * f(kept) + rate * f(dropped)))
    np.testing.assert_allclose(mean(lambda y: y), 0, atol=1e-8)
    np.testing.assert_allclose(mean(np.square), 1, atol=1e-8)


def test_units_are_dropped_at_the_rate_and_by_the_key():
    x = np.full((100, 100), 0.25)
    core = alpha_dropout(100, rate=0.3)
    drop = lambda seed: np.asarray(
        core.apply({}, {}, x, train=True, key=jax.random.key(seed))[0]
    )
    y = drop(0)
    assert abs(np.mean(y == y.min()) - 0.3) < 0.02 and len(np.unique(y)) == 2
    np.testing.assert_array_equal(y, drop(0))
    assert np.any(y != drop(1))
    np.testing.assert_array_equal(core.apply({}, {}, x, train=False)[0], x)


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_rates_out_of_range(rate):
    with pytest.raises(InputError, match=r"rate must lie in \[0, 1\)"):
        alpha_dropout(3, rate=rate)


def test_training_without_a_key_is_refused():
    x = jnp.ones((1, 3))
    with pytest.raises(InputError, match=r"rate=0.1 draws random numbers; pass key="):
        alpha_dropout(3).apply({}, {}, x, train=True)
    np.testing.assert_array_equal(
        alpha_dropout(3, rate=0.0).apply({}, {}, x, train=True)[0], x
    )


def test_inputs_that_do_not_fit():
    for make in (selu, alpha_dropout):
        with pytest.raises(InputError, match=r"inputs of shape \(..., 4\)"):
            make(4).apply({}, {}, jnp.ones((2, 3)), train=False)
