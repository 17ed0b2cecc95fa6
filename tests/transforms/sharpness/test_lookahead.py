"""lookahead: equality with optax's, extras, evaluation point, cost, derivatives."""

import chex
import jax
import jax.numpy as jnp
import optax
import pytest
from support import links, on_devices

import jaxopt_lab
from jaxopt_lab.core.errors import InputError


@pytest.mark.full
def test_it_is_optax_lookahead():
    params, batch, loss = links.problem()
    theirs = optax.lookahead(links.base(), sync_period=3, slow_step_size=0.4)
    pair = optax.LookaheadParams.init_synced(params)
    state = theirs.init(pair)
    for steps in range(1, 8):
        grads = jax.grad(loss)(pair.fast, batch)
        updates, state = theirs.update(grads, state, pair)
        pair = optax.apply_updates(pair, updates)
        if steps in (2, 3, 7):
            tx = jaxopt_lab.lookahead(links.base(), k=3, alpha=0.4)
            fast, ours = links.trajectory(tx, steps, chain_state=True)
            slow = jaxopt_lab.eval_params(fast, ours)
            chex.assert_trees_all_close(fast, pair.fast, rtol=1e-12, atol=1e-14)
            chex.assert_trees_all_close(slow, pair.slow, rtol=1e-12, atol=1e-14)


def test_one_step_all_the_way_is_the_base_optimizer():
    tx = jaxopt_lab.lookahead(links.base(), k=1, alpha=1.0)
    chex.assert_trees_all_close(
        links.trajectory(tx), links.trajectory(links.base()), rtol=0, atol=1e-15
    )


def test_a_base_with_a_sharpness_link_gets_its_gradient_function():
    # optax's passes no extra arguments: the reason why ours exists.
    def with_sam(wrap):
        return wrap(optax.chain(jaxopt_lab.sam(0.1), links.base()))

    tx = with_sam(lambda base: jaxopt_lab.lookahead(base, k=2))
    assert links.example_gradients(tx) == 2
    params, state = links.trajectory(tx, 2, chain_state=True)
    fast = links.trajectory(with_sam(lambda base: base), 2)
    start, _, _ = links.problem()
    half = jax.tree.map(lambda a, b: (a + b) / 2, start, fast)
    chex.assert_trees_all_close(params, half, rtol=1e-12, atol=1e-15)
    chex.assert_trees_all_close(state.slow, half, rtol=1e-12, atol=1e-15)


@pytest.mark.full
@pytest.mark.parametrize("style", on_devices.STYLES)
def test_devices_give_the_numbers_of_one(style):
    tx = jaxopt_lab.lookahead(links.base(), k=2)
    got = on_devices.parameters_after(tx, style, 4)
    expected = links.trajectory(tx, steps=3)
    chex.assert_trees_all_close(got, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.full
def test_cost():
    tx = jaxopt_lab.lookahead(optax.sgd(0.1))
    assert links.example_gradients(tx) == 1
    assert links.state_bytes(tx) == 4


def make(v):
    return jaxopt_lab.lookahead(optax.sgd(v[1], momentum=0.9), k=2, alpha=v[0])


@pytest.mark.full
def test_derivatives():
    links.check_derivatives(make, [0.5, 0.1])


def test_bad_input():
    with pytest.raises(InputError, match="k must be a whole number of at least 1"):
        jaxopt_lab.lookahead(optax.sgd(0.1), k=0)
    with pytest.raises(InputError, match=r"alpha must lie in \[0, 1\]; got 2"):
        jaxopt_lab.lookahead(optax.sgd(0.1), alpha=2)
    tx, w = jaxopt_lab.lookahead(optax.sgd(0.1)), jnp.ones(2)
    with pytest.raises(InputError, match="lookahead needs params"):
        tx.update(w, tx.init(w))
