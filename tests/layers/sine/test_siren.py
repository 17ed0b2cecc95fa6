"""The sine network against NumPy, and the variance that its initializer keeps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import siren

RNG = np.random.default_rng(0)


def test_it_is_the_formula():
    layer = siren(2, hidden=4, depth=2, out=3, omega_first=7.0, omega=5.0)
    x = RNG.uniform(-1, 1, (6, 2))
    shapes = jax.eval_shape(layer.init, jax.random.key(0))[0]
    params = {n: jnp.asarray(RNG.normal(size=s.shape)) for n, s in shapes.items()}
    y, slope = jax.jit(
        jax.value_and_grad(lambda x: jnp.sum(layer.apply(params, {}, x, train=True)[0]))
    )(x)
    w = {n: np.asarray(v) for n, v in params.items()}

    def numpy_form(x):
        h = np.sin(7 * (x @ w["kernel_0"] + w["bias_0"]))
        h = np.sin(5 * (h @ w["kernel_1"] + w["bias_1"]))
        return np.sum(h @ w["kernel_2"] + w["bias_2"])

    np.testing.assert_allclose(y, numpy_form(x), rtol=1e-12)
    step = 1e-6 * RNG.normal(size=x.shape)
    apart = (numpy_form(x + step) - numpy_form(x - step)) / 2
    np.testing.assert_allclose(np.sum(slope * step), apart, rtol=1e-6)


@pytest.mark.full
def test_phases_have_variance_one_and_sines_a_half():
    layer = siren(1, hidden=256, depth=4, param_dtype=jnp.float64)
    x = np.linspace(-1, 1, 256)[:, None]

    @jax.jit
    def run(key):
        params = layer.init(key)[0]
        h, found = jnp.asarray(x), []
        for i in range(4):
            # The biases are the default of another framework; the law is without.
            phase = 30 * (h @ params[f"kernel_{i}"])
            h = jnp.sin(phase)
            found.append((jnp.var(phase), jnp.mean(h * h)))
        return jnp.asarray(found), params["bias_1"]

    found, bias = map(np.asarray, run(jax.random.key(1)))
    np.testing.assert_allclose(found[1:, 0], 1, rtol=0.2)
    np.testing.assert_allclose(found[0, 1], 0.5, rtol=0.1)
    assert np.abs(bias).max() <= 1 / 16


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: siren(2, omega=0.0), "omega must be above 0"),
        (lambda: siren(2, hidden=0), "hidden"),
        (
            lambda: siren(2).apply({}, {}, jnp.ones((3, 1)), train=True),
            r"siren takes inputs of shape \(\.\.\., 2\)",
        ),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
