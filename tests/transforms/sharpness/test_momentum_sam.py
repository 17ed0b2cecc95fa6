"""momentum_sam: parity with the recorded trajectories, evaluation point, cost."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import links, on_devices, parity, vectors

import jaxopt_lab
from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.training import init_state, make_train_step

CASES = vectors.cases("momentum_sam")


def optimizer(case):
    hyper = case.meta["hyper"]
    base = optax.chain(
        optax.add_decayed_weights(hyper["weight_decay"]),
        optax.sgd(hyper["lr"], momentum=hyper["momentum"]),
    )
    return jaxopt_lab.momentum_sam(base, hyper["rho"])


def test_there_are_cases():
    assert len(CASES) == 2


@pytest.mark.full(plain=["conv"])
@pytest.mark.parametrize("name", CASES)
def test_parity_in_float64(name):
    case = vectors.load("momentum_sam", name)
    assert parity.error_in_float64(case, optimizer(case)) <= 1e-10


@pytest.mark.full
@pytest.mark.parametrize("name", CASES)
def test_parity_in_float32(name):
    case = vectors.load("momentum_sam", name)
    parity.check_float32(case, optimizer(case))


@pytest.mark.full(plain=["sgdm_wd"])
@pytest.mark.parametrize("name", CASES)
def test_parity_of_the_evaluation_point(name):
    case = vectors.load("momentum_sam", name)
    tx = optimizer(case)
    step = jax.jit(make_train_step(parity.train_loss(vectors.loss(case.meta)), tx))
    state = init_state(tx, vectors.cast(case.init, jnp.float64), jax.random.key(0))
    compared = 0
    for t, batch in enumerate(case.batches):
        state, _ = step(state, vectors.cast(batch, jnp.float64))
        at = jaxopt_lab.eval_params(state.params, state.opt_state)
        for key, value in at.items():
            name = f"unperturbed/{t}/{key}"
            if name in case.arrays:
                np.testing.assert_allclose(value, case.arrays[name], atol=1e-10)
                compared += 1
    assert compared >= 3


@pytest.mark.full
def test_zero_radius_is_the_base_optimizer():
    plain = links.trajectory(links.base())
    for rho in (0.0, jnp.array(0.0), lambda count: 0.0 * count):
        tx = jaxopt_lab.momentum_sam(links.base(), rho)
        # XLA contracts the sums of the two programs differently: one unit of rounding.
        chex.assert_trees_all_close(links.trajectory(tx), plain, rtol=0, atol=1e-15)


@pytest.mark.full
@pytest.mark.parametrize(
    "base",
    [
        lambda: optax.adamw(0.01),
        lambda: optax.lion(0.01),
        lambda: optax.chain(optax.clip_by_global_norm(1.0), links.base()),
        lambda: jaxopt_lab.inject_hyperparams(optax.sgd)(0.1, momentum=0.9),
    ],
    ids=["adamw", "lion", "chain", "injected"],
)
def test_the_length_of_the_perturbation(base):
    radius = lambda count: 0.1 * (count + 1.0)
    tx = jaxopt_lab.momentum_sam(base(), radius)
    for steps in (1, 3):
        params, state = links.trajectory(tx, steps, chain_state=True)
        at = jaxopt_lab.eval_params(params, (state, optax.EmptyState()))
        moved = jax.tree.map(jnp.subtract, params, at)
        np.testing.assert_allclose(trees.global_norm(moved), 0.1 * steps, rtol=1e-12)


def test_it_follows_the_base_at_the_evaluation_point():
    # With one more gradient a step, at the point ahead, the same can be had plainly.
    params, batch, loss = links.problem()
    grad_fn = jaxopt_lab.batch_grad(loss, batch)
    base = optax.sgd(0.1, momentum=0.9)
    w, state = params, base.init(params)
    for _ in range(4):
        momentum = state[0].trace
        norm = trees.global_norm(momentum)
        scale = 0.3 / norm if norm > 0 else 0.0
        ahead = jax.tree.map(lambda x, m, s=scale: x - s * m, w, momentum)
        updates, state = base.update(grad_fn(ahead), state)
        w = optax.apply_updates(w, updates)
    tx = jaxopt_lab.momentum_sam(base, 0.3)
    got = jaxopt_lab.eval_params(*links.trajectory(tx, 4, chain_state=True))
    chex.assert_trees_all_close(got, w, rtol=1e-12, atol=1e-14)


@pytest.mark.full
@pytest.mark.parametrize("style", on_devices.STYLES)
def test_devices_give_the_numbers_of_one(style):
    tx = jaxopt_lab.momentum_sam(links.base(), 0.3)
    got = on_devices.parameters_after(tx, style, 4)
    expected = links.trajectory(tx, steps=3)
    chex.assert_trees_all_close(got, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.full
def test_cost():
    tx = jaxopt_lab.momentum_sam(links.base(), 0.3)
    assert links.example_gradients(tx) == 1
    assert links.state_bytes(tx) == links.state_bytes(links.base()) == 4


def make(v):
    return jaxopt_lab.momentum_sam(optax.sgd(v[1], momentum=v[2]), v[0])


@pytest.mark.full
def test_derivatives():
    links.check_derivatives(make, [0.3, 0.1, 0.9])


@pytest.mark.full
def test_zero_gradients():
    links.check_zero_gradients(make, [0.3, 0.1, 0.9])


def test_a_base_without_momentum_is_refused():
    w = jnp.ones(2)
    with pytest.raises(InputError, match=r"momentum=0.9.*has no momentum"):
        jaxopt_lab.momentum_sam(optax.sgd(0.1)).init(w)
    two = optax.chain(optax.trace(0.9), optax.trace(0.5))
    with pytest.raises(InputError, match="has 2 momenta"):
        jaxopt_lab.momentum_sam(two).init(w)


def test_bad_input():
    with pytest.raises(InputError, match="rho must be at least 0; got -1.0"):
        jaxopt_lab.momentum_sam(links.base(), -1.0)
    tx, w = jaxopt_lab.momentum_sam(links.base()), jnp.ones(2)
    with pytest.raises(InputError, match="momentum_sam needs params"):
        tx.update(w, tx.init(w))
    with pytest.raises(InputError, match="master copy"):
        tx.init(w.astype(jnp.bfloat16))
