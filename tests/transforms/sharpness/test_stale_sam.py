"""stale_sam: equality with a plain loop, evaluation point, cost, derivatives."""

import chex
import jax
import jax.numpy as jnp
import optax
import pytest
from support import links, on_devices

import jaxopt_lab
from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError


@pytest.mark.full
def test_it_is_the_plain_loop():
    params, batch, loss = links.problem()
    grad_fn = jaxopt_lab.batch_grad(loss, batch)
    base = links.base()
    w, state, before = params, base.init(params), None
    for _ in range(4):
        point = w
        if before is not None:
            scale = 0.3 / trees.global_norm(before)
            point = jax.tree.map(lambda x, g, s=scale: x + s * g, w, before)
        before = grad_fn(point)
        updates, state = base.update(before, state, w)
        w = optax.apply_updates(w, updates)
    tx = jaxopt_lab.stale_sam(base, 0.3)
    got, kept = links.trajectory(tx, 4, chain_state=True)
    at = jaxopt_lab.eval_params(got, kept)
    chex.assert_trees_all_close(at, w, rtol=1e-12, atol=1e-14)
    assert abs(float(trees.global_norm(kept.offset)) - 0.3) < 1e-12


def test_zero_radius_is_the_base_optimizer():
    plain = links.trajectory(links.base())
    for rho in (0.0, jnp.array(0.0), lambda count: 0.0 * count):
        tx = jaxopt_lab.stale_sam(links.base(), rho)
        # XLA contracts the sums of the two programs differently: one unit of rounding.
        chex.assert_trees_all_close(links.trajectory(tx), plain, rtol=0, atol=1e-15)


def test_only_masked_leaves_stand_apart():
    mask = trees.everything_but("bias")
    tx = jaxopt_lab.stale_sam(links.base(), 0.3, perturb_mask=mask)
    _, state = links.trajectory(tx, 2, chain_state=True)
    chex.assert_trees_all_equal(state.offset["one"]["bias"], jnp.zeros(5))
    assert float(trees.global_norm(state.offset)) == pytest.approx(0.3)


@pytest.mark.full
@pytest.mark.parametrize("style", on_devices.STYLES)
def test_devices_give_the_numbers_of_one(style):
    tx = jaxopt_lab.stale_sam(links.base(), 0.3)
    got = on_devices.parameters_after(tx, style, 4)
    expected = links.trajectory(tx, steps=3)
    chex.assert_trees_all_close(got, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.full
def test_cost():
    tx = jaxopt_lab.stale_sam(optax.sgd(0.1), 0.3)
    assert links.example_gradients(tx) == 1
    assert links.state_bytes(tx) == 4


def make(v):
    return jaxopt_lab.stale_sam(optax.sgd(v[1], momentum=0.9), v[0])


@pytest.mark.full
def test_derivatives():
    links.check_derivatives(make, [0.3, 0.1])


@pytest.mark.full
def test_zero_gradients():
    links.check_zero_gradients(make, [0.3, 0.1])


def test_bad_input():
    with pytest.raises(InputError, match="rho must be at least 0; got -1.0"):
        jaxopt_lab.stale_sam(links.base(), -1.0)
    tx, w = jaxopt_lab.stale_sam(links.base()), jnp.ones(2)
    with pytest.raises(InputError, match="stale_sam needs params"):
        tx.update(w, tx.init(w))
    with pytest.raises(InputError, match="master copy"):
        tx.init(w.astype(jnp.bfloat16))


def test_two_evaluation_points_are_refused():
    tx = optax.chain(make([0.1, 0.1]), make([0.1, 0.1]))
    with pytest.raises(InputError, match="several parameters to evaluate at"):
        jaxopt_lab.eval_params(jnp.ones(2), tx.init(jnp.ones(2)))
    plain = links.base()
    w = jnp.ones(2)
    assert jaxopt_lab.eval_params(w, plain.init(w)) is w
