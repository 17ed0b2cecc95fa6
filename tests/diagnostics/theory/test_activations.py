"""activations: closed forms against integrals, criticality, the initialiser."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.diagnostics.theory import activations
from jaxopt_lab.diagnostics.theory.depth_recursion import susceptibilities

NAMES = ("linear", "relu", "tanh")


def dense_product(function, kaa, kbb, kab):
    u = np.linspace(-9, 9, 2001)
    weights = np.exp(-u * u / 2) / np.exp(-u * u / 2).sum()
    a = np.sqrt(kaa)
    z_b = kab / a * u[:, None] + np.sqrt(kbb - kab**2 / kaa) * u[None, :]
    return weights @ (function(a * u) * (function(z_b) @ weights))


@pytest.mark.full(plain=["linear"])
@pytest.mark.parametrize("name", NAMES)
def test_moments_equal_integrals(name):
    moments = activations.moments_of(name)
    numpy_form = {"linear": lambda z: z, "relu": lambda z: z * (z > 0)}.get(
        name, np.tanh
    )
    cases = [(1.0, 1.0, 0.5), (2.0, 0.5, -0.6), (0.3, 1.5, 0.0), (1.0, 1.0, 0.97)]
    for case in cases:
        expected = dense_product(numpy_form, *case)
        got = moments.product(*map(jnp.asarray, case))
        np.testing.assert_allclose(got, expected, atol=3e-5)
    u = np.linspace(-9, 9, 200001)
    weights = np.exp(-u * u / 2) / np.exp(-u * u / 2).sum()
    values = numpy_form(np.sqrt(1.7) * u)
    at = jnp.array(1.7)
    np.testing.assert_allclose(moments.square(at), weights @ values**2, rtol=1e-8)
    np.testing.assert_allclose(moments.fourth(at), weights @ values**4, rtol=1e-8)
    np.testing.assert_allclose(moments.product(at, at, at), moments.square(at))


@pytest.mark.full
def test_relu_derivatives():
    product = activations.moments_of("relu").product
    at, h = np.array([1.2, 0.7, 0.4]), 1e-6
    for i, slope in enumerate(jax.grad(product, (0, 1, 2))(*jnp.asarray(at))):
        move = np.eye(3)[i] * h
        high, low = product(*jnp.asarray(at + move)), product(*jnp.asarray(at - move))
        np.testing.assert_allclose(slope, (high - low) / (2 * h), rtol=1e-7)
    # Two equal inputs: the derivative along K_ab is P(z > 0); zero kernels are finite.
    for k in (1.3, 0.0):
        slopes = jax.grad(product, (0, 1, 2))(k, k, k)
        np.testing.assert_allclose(slopes, [0, 0, 0.5], atol=1e-15)
    np.testing.assert_allclose(product(1.0, 1.0, -1.0), 0, atol=1e-15)


def test_relu_itself_is_recognised():
    assert activations.moments_of(jax.nn.relu) is activations.moments_of("relu")
    by_hand = activations.moments_of(lambda z: jnp.tanh(z))
    k = jnp.array(0.9)
    assert by_hand.square(k) == activations.moments_of("tanh").square(k)


@pytest.mark.full(plain=["linear", "relu"])
@pytest.mark.parametrize("name", NAMES)
def test_critical_means_susceptibilities_of_one(name):
    c_w = activations.critical_weight_variance(name)
    variances = jnp.array([0.0] if name == "tanh" else [0.0, 0.4, 30.0])
    for chi in susceptibilities(variances, name, c_w=c_w):
        np.testing.assert_allclose(chi, 1, rtol=1e-14)
    # ... and nothing else is.
    for chi in susceptibilities(variances, name, c_w=1.01 * c_w):
        assert np.all(chi > 1.009)


@pytest.mark.parametrize("name, c_w", [("linear", 1), ("relu", 2), ("tanh", 1)])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_initialiser(name, c_w, dtype):
    init = activations.critical_init(name)
    kernel = init(jax.random.key(0), (3, 3, 16, 200), dtype)
    assert kernel.dtype == dtype and kernel.shape == (3, 3, 16, 200)
    squares = np.asarray(kernel, float) ** 2 * (3 * 3 * 16)
    error = squares.std() / np.sqrt(squares.size)
    # bfloat16 rounds the squares by up to 2**-8, evenly up and down.
    assert abs(squares.mean() - c_w) < 4 * error + 1e-3 * (dtype == jnp.bfloat16)
    fourth = (squares**2).mean() / squares.mean() ** 2
    assert abs(fourth - 3) < 0.1  # Gaussian, not truncated


@pytest.mark.full
def test_initialiser_in_flax():
    layer = nn.Dense(64, kernel_init=activations.critical_init("relu"))
    params = layer.init(jax.random.key(1), jnp.ones((1, 256)))["params"]
    expected = activations.critical_init("relu", in_axis=0, out_axis=1)
    spread = float(jnp.mean(params["kernel"] ** 2) * 256)
    assert abs(spread - 2) < 4 * 2 * np.sqrt(2 / params["kernel"].size)
    key = jax.random.key(2)
    same = activations.critical_init("relu")(key, (8, 4), jnp.float32)
    assert np.array_equal(expected(key, (8, 4), jnp.float32), same)


def test_unknown_names():
    with pytest.raises(InputError, match="unknown activation 'rely'; perhaps you"):
        activations.moments_of("rely")
    with pytest.raises(InputError, match="accepted: linear, relu, tanh"):
        activations.critical_init("swish")
