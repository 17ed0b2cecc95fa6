"""The Poincare ball: cancellation, limits, distances, rules of the backward pass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers.geometry import poincare

QUICK = {"xla_backend_optimization_level": 0}
RNG = np.random.default_rng(0)
X, Y, V = 0.3 * RNG.normal(size=(3, 4, 3))
Q = np.linalg.qr(RNG.normal(size=(3, 3)))[0]
C = np.array(0.7)


def quick(f, *inputs):
    return jax.jit(f, compiler_options=QUICK)(*inputs)


@pytest.mark.full
def test_identities_of_the_ball():
    def run(x, y, v, c):
        add = lambda a, b: poincare.mobius_add(a, b, c)
        return {
            "left cancellation": (add(-x, add(x, y)), y),
            "log0 exp0": (poincare.logmap0(poincare.expmap0(v, c), c), v),
            "exp log": (poincare.expmap(x, poincare.logmap(x, y, c), c), y),
            "log exp": (poincare.logmap(x, poincare.expmap(x, v, c), c), v),
            "exp at 0": (poincare.expmap(0 * v, v, c), poincare.expmap0(v, c)),
            "symmetric": (poincare.distance(x, y, c), poincare.distance(y, x, c)),
            "rotated sum": (add(x @ Q, y @ Q), add(x, y) @ Q),
            "rotated exp": (poincare.expmap0(v @ Q, c), poincare.expmap0(v, c) @ Q),
            "transport to itself": (poincare.transport(x, x, v, c), v),
        }

    for name, (got, wanted) in quick(run, X, Y, V, C).items():
        np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-12, err_msg=name)


def test_transport_and_logarithm_keep_lengths():
    def run(x, y, v, c):
        length = lambda at, v: (
            poincare.conformal_factor(at, c)
            * jnp.linalg.norm(v, axis=-1, keepdims=True)
        )
        moved = poincare.transport(x, y, v, c)
        ways = length(x, poincare.logmap(x, y, c)), poincare.distance(x, y, c)
        return (length(x, v), length(y, moved)), ways

    for one, two in quick(run, X, Y, V, C):
        np.testing.assert_allclose(one, two, rtol=1e-10)


def test_a_flat_ball_is_the_space_at_twice_the_length():
    kernel, offset = RNG.normal(size=(3, 2)), np.zeros(2)
    gaps = []
    for c in (1e-3, 1e-4):
        found = quick(
            lambda c: (
                poincare.mobius_add(X, Y, c),
                poincare.distance(X, Y, c)[:, 0],
                poincare.poincare_linear(X, kernel, offset, c),
            ),
            np.array(c),
        )
        flat = X + Y, 2 * np.linalg.norm(X - Y, axis=-1), 4 * X @ kernel / 2
        gaps.append([np.max(np.abs(a - b)) for a, b in zip(found, flat, strict=True)])
    np.testing.assert_allclose(np.divide(*gaps), 10, rtol=0.1)


def test_a_linear_layer_of_half_the_identity_is_the_identity():
    def run(x, kernel, offset, c):
        return poincare.poincare_linear(x, kernel, offset, c)

    zero = np.zeros(3)
    np.testing.assert_allclose(quick(run, X, np.eye(3) / 2, zero, C), X, rtol=1e-13)
    y = quick(run, X, 9 * RNG.normal(size=(3, 3)), zero + 0.3, C)
    assert np.all(np.linalg.norm(y, axis=-1) < C**-0.5)


FUNCTIONS = {
    "expmap0": (poincare.expmap0, (V, C)),
    "logmap0": (poincare.logmap0, (X, C)),
    "mobius_add": (poincare.mobius_add, (X, Y, C)),
    "expmap": (poincare.expmap, (X, V, C)),
    "logmap": (poincare.logmap, (X, Y, C)),
    "transport": (poincare.transport, (X, Y, V, C)),
    "poincare_linear": (
        poincare.poincare_linear,
        (X, RNG.normal(size=(3, 2)), np.array([0.1, -0.4]), C),
    ),
}


@pytest.mark.full(plain=["expmap", "poincare_linear"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_are_those_of_the_formulas_and_keep_the_inputs(name):
    f, inputs = FUNCTIONS[name]
    weights = np.cos(np.arange(3))
    score = lambda f: lambda *a: jnp.sum(f(*a) * weights[: f(*a).shape[-1]][None])
    every = tuple(range(len(inputs)))

    def both(*inputs):
        # The function without its rule.
        ways = (score(f), score(f.fun))
        return [jax.grad(way, argnums=every)(*inputs) for way in ways]

    for got, wanted in zip(*quick(both, *inputs), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-12)
    kept = jax.eval_shape(lambda *a: jax.tree.leaves(jax.vjp(f, *a)[1]), *inputs)
    assert sum(x.size for x in kept) <= sum(np.size(x) for x in inputs)


def test_zeros_have_finite_derivatives():
    zero = np.zeros((2, 3))

    def run(z, c):
        y = poincare.logmap(z, poincare.expmap0(z, c), c)
        return jnp.sum(y + poincare.distance(z, y, c))

    slopes = quick(jax.grad(run, argnums=(0, 1)), zero, C)
    assert all(np.all(np.isfinite(s)) for s in slopes)


def test_points_outside_of_the_ball():
    with pytest.raises(InputError, match="of norm below 2; got 2.5"):
        poincare.check_in_ball("distance", np.array([[1.5, 2.0]]), 0.25)
    poincare.check_in_ball("distance", np.array([[0.5, 0.5]]), 0.25)
    for f, name in ((poincare.mobius_add, "mobius_add"), (poincare.logmap, "logmap")):
        with pytest.raises(InputError, match=f"{name} takes points inside of the ball"):
            f(np.zeros((1, 2)), np.array([[3.0, 0.0]]), np.array(0.25))
    far = quick(poincare.expmap0, np.full((1, 3), 50.0), C)
    assert np.linalg.norm(far) < C**-0.5
