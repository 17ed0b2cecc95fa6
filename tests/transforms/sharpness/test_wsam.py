"""wsam: equality with sam and with a loop by hand, cost, derivatives."""

import chex
import jax
import jax.numpy as jnp
import optax
import pytest
from support import links, on_devices

import jaxopt_lab
from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError


def test_coupled_at_one_half_it_is_sam():
    tx = jaxopt_lab.wsam(
        links.base(), 0.1, learning_rate=0.1, gamma=0.5, decoupled=False
    )
    sam = optax.chain(jaxopt_lab.sam(0.1), links.base())
    chex.assert_trees_all_close(
        links.trajectory(tx), links.trajectory(sam), rtol=1e-13, atol=1e-15
    )


@pytest.mark.full(plain=["wrong0-True"])
@pytest.mark.parametrize("decoupled", [True, False])
@pytest.mark.parametrize("wrong", [{"rho": 0.0}, {"gamma": 0.0}])
def test_without_sharpness_it_is_the_base_optimizer(wrong, decoupled):
    options = {
        "rho": 0.1,
        "learning_rate": 0.1,
        "gamma": 0.8,
        "decoupled": decoupled,
        **wrong,
    }
    ours = links.trajectory(jaxopt_lab.wsam(links.base(), **options))
    plain = links.trajectory(links.base())
    chex.assert_trees_all_close(ours, plain, rtol=0, atol=1e-14)


@pytest.mark.full
def test_the_decoupled_part_stays_out_of_the_moments():
    params, batch, loss = links.problem()
    grad = lambda w: jax.grad(loss)(w, batch)
    base = optax.adam(0.01)
    w, state = params, base.init(params)
    for _ in range(3):
        g = grad(w)
        scale = 0.2 / trees.global_norm(g)
        sharp = grad(jax.tree.map(lambda p, d, s=scale: p + s * d, w, g))
        updates, state = base.update(g, state, w)
        # a = 0.75 / 0.25
        w = jax.tree.map(
            lambda p, u, s, g: p + u - 0.05 * 3.0 * (s - g), w, updates, sharp, g
        )
    tx = jaxopt_lab.wsam(base, 0.2, learning_rate=0.05, gamma=0.75)
    got, kept = links.trajectory(tx, 3, chain_state=True)
    chex.assert_trees_all_close(got, w, rtol=1e-11, atol=1e-13)
    chex.assert_trees_all_close(kept.inner, state, rtol=1e-11, atol=1e-13)


@pytest.mark.full
@pytest.mark.parametrize("style", on_devices.STYLES)
def test_devices_give_the_numbers_of_one(style):
    tx = jaxopt_lab.wsam(links.base(), 0.1, learning_rate=0.1, gamma=0.6)
    got = on_devices.parameters_after(tx, style, 4)
    expected = links.trajectory(tx, steps=3)
    chex.assert_trees_all_close(got, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.full
def test_cost():
    tx = jaxopt_lab.wsam(optax.sgd(0.1), learning_rate=0.1)
    assert links.example_gradients(tx) == 2
    assert links.state_bytes(tx) == 0


def make(v):
    base = optax.sgd(v[2], momentum=0.9)
    return jaxopt_lab.wsam(base, v[0], learning_rate=v[2], gamma=v[1])


@pytest.mark.full
def test_derivatives():
    links.check_derivatives(make, [0.1, 0.6, 0.1])


@pytest.mark.full
def test_zero_gradients():
    links.check_zero_gradients(make, [0.1, 0.6, 0.1])


def test_bad_input():
    with pytest.raises(InputError, match=r"gamma must lie in \[0, 1\); got 1.0"):
        jaxopt_lab.wsam(links.base(), learning_rate=0.1, gamma=1.0)
    with pytest.raises(InputError, match="rho must be at least 0; got -1.0"):
        jaxopt_lab.wsam(links.base(), -1.0, learning_rate=0.1)
    tx, w = jaxopt_lab.wsam(links.base(), learning_rate=0.1), jnp.ones(2)
    with pytest.raises(InputError, match="wsam needs grad_fn"):
        tx.update(w, tx.init(w), w)
