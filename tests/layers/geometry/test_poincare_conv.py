"""The convolution of the ball: identities, limits, windows, its order of channels."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import poincare_conv
from jaxopt_lab.layers.geometry import poincare
from jaxopt_lab.layers.geometry.poincare_conv import windows

QUICK = {"xla_backend_optimization_level": 0}
RNG = np.random.default_rng(0)
KEY = jax.random.key(0)
NONE: Any = None
X = 0.4 * RNG.normal(size=(2, 4, 5, 3))


def run(layer, params, x):
    call = lambda p, x: layer.apply(p, {}, x, train=True)[0]
    return jax.jit(call, compiler_options=QUICK)(params, x)


def test_the_identity_at_the_start():
    one = poincare_conv(3, size=1, start="centre_identity", param_dtype=float)
    np.testing.assert_allclose(run(one, one.init(KEY)[0], X), X, rtol=1e-12)
    alone = np.zeros((1, 5, 5, 1))
    alone[0, 2, 2, 0] = -0.8
    conv = poincare_conv(1, start="centre_identity", param_dtype=float)
    found = run(conv, conv.init(KEY)[0], alone)
    np.testing.assert_allclose(found[0, 2, 2, 0], -0.8, rtol=1e-12)


def test_one_window_is_the_linear_layer_of_the_ball():
    layer = poincare_conv(3, out=2, stride=2, curvature=0.7, param_dtype=float)
    params = {
        "kernel": RNG.normal(size=(3, 3, 3, 2)),
        "offset": np.array([0.2, -0.1]),
    }
    y = run(layer, params, X)
    assert y.shape == (2, 2, 3, 2)
    # B(27 / 2, 1 / 2) / B(3 / 2, 1 / 2), by Wallis' products.
    ratio = np.prod([(2 * i - 1) / (2 * i) for i in range(2, 14)])
    window = X[:, 1:4, 1:4].reshape(2, 27)

    def one(v, kernel, offset):
        c = jnp.asarray(0.7)
        point = poincare.expmap0(ratio * v, c)
        return poincare.logmap0(poincare.poincare_linear(point, kernel, offset, c), c)

    flat = params["kernel"].reshape(27, 2)
    wanted = jax.jit(one, compiler_options=QUICK)(window, flat, params["offset"])
    np.testing.assert_allclose(y[:, 1, 1], wanted, rtol=1e-11)


def test_a_flat_ball_has_the_convolution_of_the_plane():
    kernel = RNG.normal(size=(3, 3, 3, 2))
    params = {"kernel": kernel, "offset": np.zeros(2)}
    ratio = np.prod([(2 * i - 1) / (2 * i) for i in range(2, 14)])
    flat = 2 * ratio * windows(jnp.asarray(X), 3) @ kernel.reshape(27, 2)
    gaps = []
    for c in (1e-3, 1e-4):
        layer = poincare_conv(3, out=2, curvature=c, param_dtype=float)
        gaps.append(np.max(np.abs(run(layer, params, X) - flat)))
    np.testing.assert_allclose(gaps[0] / gaps[1], 10, rtol=0.1)


def test_the_start_of_the_code_counts_channel_by_channel():
    params, _ = poincare_conv(2, out=12).init(KEY)
    kernel = np.asarray(params["kernel"])
    assert np.sum(kernel != 0) == 12 and np.all(kernel[kernel != 0] == 0.5)
    # torch's unfold: nine places of the first channel, then those of the second.
    assert kernel[0, 0, 0, 0] == kernel[2, 2, 0, 8] == kernel[0, 1, 1, 10] == 0.5


def test_only_inputs_are_kept():
    layer = poincare_conv(3)
    params, _ = layer.init(KEY)
    call = lambda p, x: layer.apply(p, {}, x, train=True)[0]
    residuals = lambda p, x: jax.tree.leaves(jax.vjp(call, p, x)[1])
    kept = jax.eval_shape(residuals, params, X.astype(np.float32))
    given = X.size + sum(p.size for p in params.values())
    assert sum(x.size for x in kept) <= given + 8


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: poincare_conv(3, size=2), "size must be odd; got 2"),
        (lambda: poincare_conv(3, curvature=0.0), "curvature must"),
        (lambda: poincare_conv(1, out=10), "at most 9 outputs"),
        (lambda: poincare_conv(3, start="normal").init(NONE), "pass it a key"),
        (lambda: run(poincare_conv(3), {}, X[0]), r"takes images \(B, height"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words):
        make()
