"""samson: parity with the recorded trajectories, norms, zero tensors, derivatives."""

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import links, parity, vectors

import jaxopt_lab
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.perturbation import order_norm

CASES = vectors.cases("samson")


def chain_of(case):
    hyper = case.meta["hyper"]
    link = jaxopt_lab.samson(
        parity.rho_of(case),
        p=float(hyper["norm"]),
        eta=hyper["eta"],
        adapt_mask=parity.WEIGHTS,
    )
    return optax.chain(link, vectors.base_optimizer(case.meta))


def test_there_are_cases_of_three_orders():
    orders = {vectors.load("samson", n).meta["hyper"]["norm"] for n in CASES}
    assert len(CASES) == 6 and orders == {"inf", "2", "4"}


@pytest.mark.full(plain=["inf_sgdm"])
@pytest.mark.parametrize("name", CASES)
def test_parity_in_float64(name):
    case = vectors.load("samson", name)
    assert parity.error_in_float64(case, chain_of(case)) <= 1e-10


@pytest.mark.full
@pytest.mark.parametrize("name", CASES)
def test_parity_in_float32(name):
    case = vectors.load("samson", name)
    parity.check_float32(case, chain_of(case))


@pytest.mark.full
@pytest.mark.parametrize("p", [1, 2.5, math.inf])
def test_zero_radius_is_the_base_optimizer(p):
    # The problem has a tensor of zeros, where the reference divides 0 by 0.
    links.check_zero_radius_is_the_base(lambda rho: jaxopt_lab.samson(rho, p=p))


def asked_point(link, params, grads):
    seen = []

    def spy(at, i=0):
        seen.append(at)
        return grads

    link.update(grads, link.init(params), params, grad_fn=spy)
    return seen[0]


def test_a_tensor_of_zeros_is_not_perturbed_and_does_not_count_in_the_norm():
    params = {"zero": jnp.zeros((2, 2)), "kernel": jnp.array([2.0, -4.0])}
    grads = {"zero": jnp.full((2, 2), 9.0), "kernel": jnp.array([3.0, -4.0])}
    link = jaxopt_lab.samson(0.5, eta=0.0)
    point = asked_point(link, params, grads)
    chex.assert_trees_all_equal(point["zero"], params["zero"])
    t = np.array([0.5, 1.0])
    scaled = t * np.array([3.0, -4.0])
    expected = np.array([2.0, -4.0]) + 0.5 * t * scaled / np.linalg.norm(scaled)
    np.testing.assert_allclose(point["kernel"], expected, rtol=1e-14)


def test_empty_and_scalar_leaves():
    params = {"empty": jnp.zeros((0, 3)), "scalar": jnp.array(-2.0)}
    grads = {"empty": jnp.zeros((0, 3)), "scalar": jnp.array(5.0)}
    point = asked_point(jaxopt_lab.samson(0.5, eta=0.0), params, grads)
    assert point["empty"].shape == (0, 3)
    assert float(point["scalar"]) == -1.5  # T = |w| / |w| = 1


@pytest.mark.full(plain=["2", "3", "7.0", "inf"])
@pytest.mark.parametrize("p", [1, 1.5, 2, 3, 7.0, math.inf])
def test_norms_and_their_derivatives(p):
    x = jnp.array([[1.5, -2.0], [0.0, 0.25]])
    expected = np.linalg.norm(np.asarray(x).ravel(), p)
    np.testing.assert_allclose(order_norm(x, p), expected, rtol=1e-14)
    grad = jax.grad(order_norm)(x, p)
    size = np.abs(np.asarray(x))
    if p == math.inf:
        exact = (size == size.max()) * np.sign(x)
    else:
        exact = np.sign(x) * (size / expected) ** (p - 1)
    np.testing.assert_allclose(grad, exact, rtol=1e-13, atol=1e-15)
    for order in (1, 2):
        f = lambda x: order_norm(x, p)
        for _ in range(order):
            f = jax.grad(lambda x, f=f: jnp.sum(f(x)))
        assert bool(jnp.all(jnp.isfinite(f(x))))
        chex.assert_trees_all_equal(f(jnp.zeros((2, 2))), jnp.zeros((2, 2)))


def test_high_orders_do_not_underflow_in_float32():
    x = jnp.array([1e-8, -3e-9], jnp.float32)
    exact = np.linalg.norm(np.asarray(x, np.float64), 8)
    np.testing.assert_allclose(order_norm(x, 8), exact, rtol=1e-6)


def test_it_does_not_change_when_a_tensor_is_scaled():
    # T does not depend on the unit in which a layer's weights are counted (eta = 0).
    w, g = jnp.array([1.0, -3.0, 2.0]), jnp.array([0.5, 1.0, -1.0])
    link = jaxopt_lab.samson(0.1, eta=0.0)
    one = asked_point(link, {"kernel": w}, {"kernel": g})["kernel"] - w
    two = asked_point(link, {"kernel": 8 * w}, {"kernel": g})["kernel"] - 8 * w
    np.testing.assert_allclose(one, two, rtol=1e-13)


@pytest.mark.full
def test_cost():
    tx = optax.chain(jaxopt_lab.samson(0.2), optax.sgd(0.1))
    assert links.example_gradients(tx) == 2
    assert links.state_bytes(tx) == 0


def maker(p):
    def make(v):
        link = jaxopt_lab.samson(v[0], p=p, eta=v[1])
        return optax.chain(link, optax.sgd(v[2], momentum=0.9))

    return make


@pytest.mark.full
@pytest.mark.parametrize("p", [math.inf, 2.5])
def test_derivatives(p):
    links.check_derivatives(maker(p), [0.2, 0.05, 0.1])


@pytest.mark.full
@pytest.mark.parametrize("zero_params", [False, True])
def test_zero_gradients(zero_params):
    links.check_zero_gradients(maker(2.5), [0.2, 0.0, 0.1], zero_params)


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"rho": -0.1}, "rho must be at least 0; got -0.1"),
        ({"eta": -1.0}, "eta must be at least 0; got -1.0"),
        ({"p": 0.5}, "p must be a number of at least 1; got 0.5"),
        ({"p": "inf"}, "p must be a number of at least 1; got 'inf'"),
        ({"p": math.nan}, "p must be a number of at least 1"),
    ],
)
def test_bad_options(wrong, words):
    with pytest.raises(InputError, match=words):
        jaxopt_lab.samson(**wrong)


def test_the_order_is_not_injected():
    tx = jaxopt_lab.inject_hyperparams(jaxopt_lab.samson)(p=2)
    assert sorted(tx.init({"w": jnp.ones(2)}).hyperparams) == ["eta", "rho"]
