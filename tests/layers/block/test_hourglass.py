"""Hourglass networks against NumPy, and their exact properties."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import (
    constant_lift,
    hourglass,
    hourglass_block,
    hourglass_size,
    match_bottleneck,
)

RNG = np.random.default_rng(0)
UNKNOWN: Any = "x"
X = RNG.normal(size=(5, 3))
SIZES: Any = {"skip": 7, "bottleneck": 2, "out": 4, "depth": 3}
SHAPES = {"down": (3, 7, 2), "up": (3, 2, 7), "out": (7, 4)}
PARAMS = {n: RNG.normal(size=s) for n, s in SHAPES.items()}


def gelu(x):
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def numpy_form(x, params, lift, *, centred=True, act=gelu):
    z = x @ lift
    for down, up in zip(params["down"], params["up"], strict=True):
        n = z - centred * z.mean(-1, keepdims=True)
        n = n / np.sqrt(np.mean(n**2, -1, keepdims=True) + 1e-5)
        z = z + act(n @ down) @ up
    return z @ params["out"]


@functools.cache
def found():
    """Everything that is compared, in one program."""
    kinds = ("normal", "orthogonal", "identity")

    @jax.jit
    def run(params, x):
        layers = {k: hourglass(3, lift=k, seed=4, **SIZES) for k in kinds}
        layers["rms"] = hourglass(3, norm="rms", activation="tanh", seed=4, **SIZES)
        y = {k: f.apply(params, {}, x, train=True)[0] for k, f in layers.items()}
        trained = hourglass(3, lift="trained", **SIZES)
        own = {**params, "lift": jnp.asarray(constant_lift(3, 7, seed=4))}
        y["trained"] = trained.apply(own, {}, x, train=True)[0]
        block = functools.partial(hourglass_block, params["down"][0], params["up"][0])
        z = jnp.linspace(-1, 2, 7)
        return y, jax.jacobian(lambda z: block(z[None])[0])(z)

    return jax.device_get(run(jax.tree.map(jnp.asarray, PARAMS), X))


def test_it_is_the_formula():
    y = found()[0]
    for kind in ("normal", "orthogonal", "identity"):
        lift = constant_lift(3, 7, kind=kind, seed=4)
        want = numpy_form(X, PARAMS, lift)
        np.testing.assert_allclose(y[kind], want, rtol=1e-12, err_msg=kind)
    lift = constant_lift(3, 7, seed=4)
    want = numpy_form(X, PARAMS, lift, centred=False, act=np.tanh)
    np.testing.assert_allclose(y["rms"], want, rtol=1e-12)
    np.testing.assert_allclose(y["trained"], y["normal"], rtol=1e-13)


def test_a_block_moves_within_the_rank_of_its_bottleneck():
    values = np.linalg.svd(found()[1] - np.eye(7), compute_uv=False)
    assert values[1] > 1e-3 and np.all(values[2:] < 1e-13)


def test_constant_lifts():
    lift = constant_lift(5, 12, kind="orthogonal", seed=1)
    np.testing.assert_allclose(lift @ lift.T, np.eye(5), atol=1e-14)
    np.testing.assert_array_equal(
        constant_lift(3, 7, seed=4), constant_lift(3, 7, seed=4)
    )
    assert np.any(constant_lift(3, 7, seed=4) != constant_lift(3, 7, seed=4, layer=1))
    wide = constant_lift(40, 500)
    np.testing.assert_allclose(wide.var() * 40, 1, rtol=0.03)


def test_the_blocks_begin_as_identities():
    layer = hourglass(3, seed=4, param_dtype=jnp.float64, **SIZES)

    @jax.jit
    def run(key):
        params = layer.init(key)[0]
        return layer.apply(params, {}, X, train=True)[0], params["out"]

    y, out = jax.device_get(run(jax.random.key(0)))
    want = X @ constant_lift(3, 7, seed=4) @ out
    np.testing.assert_allclose(y, want, rtol=1e-13, atol=1e-14)


def test_sizes_are_those_of_the_parameters():
    for lift in ("normal", "orthogonal", "identity", "trained"):
        layer = hourglass(3, lift=lift, **SIZES)
        shapes = jax.eval_shape(layer.init, jax.random.key(0))[0]
        count = sum(leaf.size for leaf in jax.tree.leaves(shapes))
        size = hourglass_size(3, lift=lift, **SIZES)
        assert size.trained == count
        constant = 21 if lift in ("normal", "orthogonal") else 0
        assert size.total == count + constant


def test_bottlenecks_meet_their_budgets():
    for total in (False, True):
        for budget in (200, 1000, 1007, 5000):
            given: Any = {"skip": 7, "out": 4, "depth": 3}
            h = match_bottleneck(budget, 3, total=total, **given)
            used = [hourglass_size(3, bottleneck=n, **given) for n in (h, h + 1)]
            one, two = (u.total if total else u.trained for u in used)
            assert one <= budget < two
    # At equal budgets h = h' d_x / d_z but for the last layer.
    wide = match_bottleneck(10**6, 8, skip=32, depth=2)
    narrow = match_bottleneck(10**6, 8, skip=8, depth=2, lift="identity")
    assert abs(narrow / wide - 4) < 0.01


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: hourglass(3, skip=2, lift="identity"), "at least the features, 3"),
        (lambda: hourglass(3, lift=UNKNOWN), "identity, normal, orthogonal, trained"),
        (lambda: hourglass(3, activation=UNKNOWN), "gelu, relu, silu, tanh"),
        (lambda: hourglass(3, bottleneck=0), "bottleneck"),
        (lambda: match_bottleneck(10, 3), "budget must be at least"),
        (
            lambda: hourglass(3).apply({}, {}, jnp.ones((2, 4)), train=True),
            "hourglass takes inputs",
        ),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
