"""Dual activations and deep kernels against closed forms, quadrature and sampling."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.diagnostics import (
    classify_kernel,
    deep_ntk,
    depth_limit,
    dual_activation,
    hermite_coefficients,
    hilbert_dual,
    kernel_classifier,
    koenigs_function,
    lift_to_sphere,
    nadaraya_watson,
    relu_dual,
    singular_exponent,
    solve_activation,
)
from jaxopt_lab.layers import hilbert_activation

RNG = np.random.default_rng(0)
XI = np.linspace(-0.4, 0.5, 5)
NEAR = 1 - np.logspace(-3, -6, 10)
DIMENSIONS = (1, 2, 3, 4)
MIXED = dual_activation([math.sqrt(0.3), 0.0, 0.0, math.sqrt(0.7)])
POWER = dual_activation([0.0, 0.0, 0.0, 1.0])


@functools.cache
def found():
    """Everything that is compared, in one program."""
    activations = {d: hilbert_activation(1, dimension=d) for d in DIMENSIONS}
    act = lambda d, z: activations[d].apply({}, {}, z[:, None], train=True)[0][:, 0]

    @jax.jit
    def run(xi, near):
        duals = {d: hilbert_dual(d) for d in DIMENSIONS}
        slopes = jax.vmap(jax.grad(relu_dual().value))(jnp.append(xi, 1.0))
        return {
            "power": deep_ntk(POWER, xi, depth=3),
            "linear": deep_ntk(dual_activation([0.0, 1.0]), xi, depth=7),
            "one": deep_ntk(duals[3], jnp.ones(1), depth=9).tangent,
            "relu": deep_ntk(relu_dual(), jnp.append(xi, 1.0), depth=1000).tangent,
            "relu_slopes": (slopes, relu_dual().slope(jnp.append(xi, 1.0))),
            "g": {d: koenigs_function(dual, xi) for d, dual in duals.items()},
            "g_of": {
                d: koenigs_function(dual, dual.value(xi)) for d, dual in duals.items()
            },
            "near": {d: koenigs_function(dual, near) for d, dual in duals.items()},
            "deep": {d: depth_limit(dual, xi) for d, dual in duals.items()},
            "plain": deep_ntk(duals[2], xi, depth=200).tangent,
            "coefficients": {
                d: hermite_coefficients(functools.partial(act, d), degree=7)
                for d in DIMENSIONS
            },
        }

    return jax.device_get(run(XI, NEAR))


def weights_of(d) -> Any:
    return hilbert_dual(d).weights


def test_closed_forms():
    values = found()
    want = XI ** (3**3) * (3**4 - 1) / 2
    np.testing.assert_allclose(values["power"].tangent, want, rtol=1e-12)
    np.testing.assert_allclose(values["power"].covariance, XI**27, rtol=1e-12)
    np.testing.assert_allclose(values["linear"].tangent, 8 * XI, rtol=1e-13)
    np.testing.assert_allclose(values["one"], 2**10 - 1, rtol=1e-12)
    relu = values["relu"]
    np.testing.assert_allclose(relu[:-1] / relu[-1], 0.25, rtol=0.02)
    np.testing.assert_allclose(relu[-1], 1001, rtol=1e-12)
    np.testing.assert_allclose(*values["relu_slopes"], rtol=1e-12)


def test_activations_have_the_duals():
    for d, coefficients in found()["coefficients"].items():
        weights = np.zeros(8)
        own = weights_of(d)
        weights[: len(own)] = own
        np.testing.assert_allclose(coefficients**2, weights, atol=1e-12)
        dual = dual_activation(coefficients)
        assert dual.weights is not None
        np.testing.assert_allclose(dual.weights, weights, atol=1e-12)
        a, b = float(weights[1]), float(weights @ np.arange(8))
        np.testing.assert_allclose(singular_exponent(a, b), d, rtol=1e-12)


def test_the_limit_solves_its_equation_and_is_singular():
    values = found()
    for d in DIMENSIONS:
        a = weights_of(d)[1]
        np.testing.assert_allclose(values["g_of"][d], a * values["g"][d], rtol=1e-10)
        logs = np.log(values["near"][d]), np.log(1 - NEAR)
        slope = np.polyfit(logs[1], logs[0], 1)[0]
        np.testing.assert_allclose(slope, -d / 2, atol=0.02)


def test_deep_kernels_approach_the_limit():
    values = found()
    for d, deep in values["deep"].items():
        np.testing.assert_allclose(deep.limit, values["g"][d], rtol=1e-9)
        np.testing.assert_allclose(deep.kernel, deep.limit, rtol=0.03, atol=1e-12)
        apart = abs(deep.value - np.mean(deep.limit))
        assert 0.5 * deep.error <= apart <= 1.1 * deep.error
    scaled = values["plain"] / (0.5**200 * 201)
    np.testing.assert_allclose(values["deep"][2].kernel, scaled, rtol=1e-9)


@pytest.mark.full
def test_classifiers_of_deep_networks_are_their_limits():
    points = RNG.normal(size=(200, 8))
    labels = np.sign(points[:, 0] + 0.3)
    at = RNG.normal(size=(60, 8))

    @jax.jit
    def run(points, labels, at):
        both = lift_to_sphere(jnp.concatenate([points, at]))
        lifted, tests = both[:200], both[200:]
        # Of rounded ones, deep kernels are not those of 1.
        own = jnp.fill_diagonal(lifted @ lifted.T, 1.0, inplace=False)
        grams = own, tests @ lifted.T
        scores = {}
        for name, dual, depth in (
            ("nearest", POWER, 5),
            ("majority", MIXED, 60),
            ("singular", hilbert_dual(2), 60),
        ):
            # Over the value at 1, the kernel of training is almost the identity.
            top = deep_ntk(dual, jnp.ones(()), depth=depth).tangent
            k, k_test = (deep_ntk(dual, g, depth=depth).tangent / top for g in grams)
            scores[name] = kernel_classifier(k, k_test, labels)
        g = koenigs_function(hilbert_dual(2), grams[1])
        return scores, jnp.argmax(grams[1], 1), nadaraya_watson(g, labels)

    scores, nearest, voted = jax.device_get(run(points, labels, at))
    agree = lambda score, want: np.mean(np.sign(score) == np.sign(want))
    assert agree(scores["nearest"], labels[nearest]) > 0.95
    assert agree(scores["majority"], np.full(60, labels.sum())) > 0.99
    assert agree(scores["singular"], voted) > 0.95


@pytest.mark.full
def test_wide_networks_have_the_covariances():
    layer = hilbert_activation(2**18, dimension=3)
    points = lift_to_sphere(jnp.asarray(RNG.normal(size=(4, 2))))

    @jax.jit
    def run(key, x):
        keys, gram = jax.random.split(key, 3), x @ x.T
        h = x @ jax.random.normal(keys[0], (3, 2**18), x.dtype)
        h = layer.apply({}, {}, h, train=True)[0]
        found = [(h @ h.T / 2**18, deep_ntk(hilbert_dual(3), gram, depth=1))]
        h, width = x, 2048
        for key, fan in ((keys[1], 3), (keys[2], width)):
            w = jax.random.normal(key, (fan, width), x.dtype)
            h = jnp.sqrt(2.0) * jax.nn.relu(h @ w / (1 if fan == 3 else width**0.5))
        return [*found, (h @ h.T / width, deep_ntk(relu_dual(), gram, depth=2))]

    for sampled, exact in jax.device_get(run(jax.random.key(3), points)):
        np.testing.assert_allclose(sampled, exact.covariance, atol=0.1)


def test_classes_and_solutions():
    assert classify_kernel(POWER) == "nearest"
    assert classify_kernel(MIXED) == classify_kernel(relu_dual()) == "majority"
    assert {classify_kernel(hilbert_dual(d)) for d in DIMENSIONS} == {"singular"}
    assert classify_kernel(dual_activation([0.0, 1.0])) == "linear"
    for exponent, degree in ((1.0, 7), (2.0, 3), (3.5, 5)):
        weights: Any = solve_activation(exponent, degree=degree).weights
        a, b = weights[1], weights[1] + degree * weights[-1]
        np.testing.assert_allclose(singular_exponent(a, b), exponent, rtol=1e-12)


GRAM = jnp.zeros(2)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: dual_activation([0.5, 0.5]), "squares sum to 1"),
        (lambda: dual_activation([]), "squares sum to 1"),
        (lambda: hilbert_dual(0), "dimension"),
        (lambda: solve_activation(-1.0), "exponent"),
        (lambda: singular_exponent(1.5, 2.0), "slopes must be"),
        (lambda: koenigs_function(POWER, GRAM), "slope at 0"),
        (lambda: koenigs_function(relu_dual(), GRAM), "polynomial"),
        (lambda: depth_limit(MIXED, GRAM), "slope at 0"),
        (lambda: depth_limit(hilbert_dual(2), GRAM, depth=1), "depth"),
        (lambda: deep_ntk(POWER, jnp.arange(3), depth=1), "real floating"),
        (lambda: lift_to_sphere(GRAM), r"\(n, d\)"),
        (lambda: kernel_classifier(GRAM, GRAM, GRAM), "kernels must be"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
