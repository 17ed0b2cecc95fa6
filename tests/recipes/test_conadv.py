"""Concurrent adversarial training against steps written out; two sets of statistics."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.layers import ghost_batch_norm
from jaxopt_lab.losses.classification import cross_entropy
from jaxopt_lab.recipes import (
    init_adversarial,
    init_conadv,
    make_adversarial_step,
    make_conadv_step,
)

RNG = np.random.default_rng(0)
NORM = ghost_batch_norm(3, ghost_size=8)
TX = optax.sgd(0.2, momentum=0.9)
STRENGTH = {"weight": 0.7, "epsilon": 0.2, "alpha": 0.3}
BATCHES = [
    {"image": RNG.normal(size=(8, 4)), "label": np.arange(8, dtype=np.int32) % 3}
    for _ in range(3)
]


def apply(params, state, x, *, train, key=None):
    return NORM.apply(params["norm"], state, x @ params["kernel"], train=train)


NET = Functional(lambda key: ({}, {}), apply)


def start():
    wide = lambda tree: jax.tree.map(lambda x: np.asarray(x, np.float64), tree)
    norm, state = wide(NORM.init())
    return {"kernel": np.linspace(-1, 1, 12).reshape(4, 3), "norm": norm}, state


def loss(params, state, x, labels):
    logits, state = apply(params, state, x, train=True)
    return jnp.mean(cross_entropy(logits, labels)), state


def noise_of(params, state, batch):
    slope = jax.grad(lambda x: loss(params, state, x, batch["label"])[0])
    return jnp.clip(0.3 * jnp.sign(slope(batch["image"])), -0.2, 0.2)


@pytest.mark.full(plain=["conadv"])
@pytest.mark.parametrize("name", ["adversarial", "conadv"])
def test_steps_are_those_written_out(name):
    params, main = start()
    auxiliary, momentum = main, TX.init(params)
    if name == "conadv":
        state = init_conadv(TX, params, jax.random.key(0), BATCHES[0], model_state=main)
        step, given = make_conadv_step(NET, TX, **STRENGTH), BATCHES[1:]
        carried = (BATCHES[0], np.zeros((8, 4)))
    else:
        state = init_adversarial(TX, params, jax.random.key(0), model_state=main)
        step, given = make_adversarial_step(NET, TX, **STRENGTH), BATCHES[:2]
    step = jax.jit(step)

    @jax.jit
    def by_hand(params, main, auxiliary, momentum, batch, d):
        def both(params):
            a, main_ = loss(params, main, batch["image"], batch["label"])
            b, other = loss(params, auxiliary, batch["image"] + d, batch["label"])
            return a + 0.7 * b, (main_, other)

        grads, (main, auxiliary) = jax.grad(both, has_aux=True)(params)
        updates, momentum = TX.update(grads, momentum, params)
        return optax.apply_updates(params, updates), main, auxiliary, momentum

    against = jax.jit(noise_of)
    for batch in given:
        state, metrics = step(state, batch)
        found = against(params, main, batch)
        now, d = carried if name == "conadv" else (batch, found)
        carried = (batch, found)
        params, main, auxiliary, momentum = by_hand(
            params, main, auxiliary, momentum, now, d
        )
        close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)
        jax.tree.map(close, state.params["model"], params)
        jax.tree.map(close, state.model_state["model"], main)
        jax.tree.map(close, state.model_state["auxiliary"], auxiliary)
        assert metrics["adversarial_loss"] >= 0
    if name == "conadv":
        close(state.model_state["carried"]["perturbation"], carried[1])
    assert np.any(np.asarray(main["mean"]) != np.asarray(auxiliary["mean"]))


def test_what_it_refuses():
    params, main = start()
    key = jax.random.key(0)
    plain = init_adversarial(TX, params, key, model_state=main)
    step = make_conadv_step(NET, TX, **STRENGTH)
    with pytest.raises(InputError, match="carries no batch"):
        jax.eval_shape(step, plain, BATCHES[0])
    state = init_conadv(TX, params, key, BATCHES[0], model_state=main)
    short = {name: x[:4] for name, x in BATCHES[1].items()}
    with pytest.raises(InputError, match="the state carries a batch of shapes"):
        jax.eval_shape(step, state, short)
    with pytest.raises(InputError, match="the batch has no 'label'"):
        jax.eval_shape(step, state, {"image": BATCHES[0]["image"]})
    with pytest.raises(InputError, match="tau must be a whole number from 0 to 1"):
        make_conadv_step(NET, TX, tau=2)
    with pytest.raises(InputError, match="epsilon must be at least 0"):
        make_adversarial_step(NET, TX, epsilon=-0.1)
