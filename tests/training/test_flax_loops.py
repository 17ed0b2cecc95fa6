"""The loops of nnx, linen and equinox: the numbers of the train step."""

import warnings

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.training import train_state

import jaxopt_lab
from jaxopt_lab.training import init_state, make_train_step
from jaxopt_lab.training.flax_loops import apply_gradients, nnx_value_and_grad

X = jnp.linspace(-1, 2, 12).reshape(4, 3)
W = {"kernel": jnp.array([0.5, -1.0, 2.0]), "bias": jnp.array(0.1)}


def predict(w, x):
    return x @ w["kernel"] + w["bias"]


def loss(w, x):
    return jnp.mean(jnp.tanh(predict(w, x)) ** 2)


def sam():
    return optax.chain(jaxopt_lab.sam(0.3), optax.sgd(0.1))


def expected():
    tx = sam()
    step = make_train_step(lambda w, s, x, k: (loss(w, x), (s, {})), tx)
    state, _ = step(init_state(tx, W, jax.random.key(0)), X)
    return state.params


def test_linens_train_state():
    state = train_state.TrainState.create(apply_fn=predict, params=W, tx=sam())
    grad_fn = jaxopt_lab.batch_grad(loss, X)
    state = apply_gradients(state, grad_fn(state.params), grad_fn=grad_fn)
    chex.assert_trees_all_close(state.params, expected(), rtol=1e-12)
    assert int(state.step) == 1


class Net(nnx.Module):
    """Dropout with a stream of its own, and statistics that every call moves."""

    def __init__(self, rate=0.0):
        self.kernel = nnx.Param(W["kernel"])
        self.bias = nnx.Param(W["bias"])
        self.calls = nnx.BatchStat(jnp.zeros(()))
        self.dropout = nnx.Dropout(rate, rngs=nnx.Rngs(1))

    def __call__(self, x):
        self.calls.set_value(self.calls.get_value() + 1)
        kernel, bias = self.kernel.get_value(), self.bias.get_value()
        return self.dropout(x) @ kernel + bias


def model_loss(model, x):
    return jnp.mean(jnp.tanh(model(x)) ** 2)


def test_nnx_optimizer():
    model = Net()
    optimizer = nnx.Optimizer(model, sam(), wrt=nnx.Param)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value, grads, grad_fn = nnx_value_and_grad(model, model_loss, X)
        optimizer.update(model, grads, grad_fn=grad_fn)
    np.testing.assert_allclose(value, loss(W, X), rtol=1e-12)
    got = {"kernel": model.kernel.get_value(), "bias": model.bias.get_value()}
    chex.assert_trees_all_close(got, expected(), rtol=1e-12)
    assert float(model.calls.get_value()) == 1  # the first pass alone counts


def test_all_passes_of_an_nnx_module_see_one_dropout_mask():
    model = Net(rate=0.5)
    _, grads, grad_fn = nnx_value_and_grad(model, model_loss, X)
    again = grad_fn(jax.tree.map(lambda x: x + 0, nnx.state(model, nnx.Param)))
    chex.assert_trees_all_equal(jax.tree.leaves(again), jax.tree.leaves(grads))
    _, later, _ = nnx_value_and_grad(model, model_loss, X)
    assert any(
        bool(jnp.any(a != b))
        for a, b in zip(jax.tree.leaves(grads), jax.tree.leaves(later), strict=True)
    )


def test_equinox():
    eqx = pytest.importorskip("equinox")

    class Model(eqx.Module):
        weights: dict
        name: str = "a static field"

        def __call__(self, x):
            return predict(self.weights, x)

    model = Model(W)
    params, static = eqx.partition(model, eqx.is_inexact_array)
    tx = sam()
    grad_fn = jaxopt_lab.batch_grad(
        lambda p, x: jnp.mean(jnp.tanh(eqx.combine(p, static)(x)) ** 2), X
    )
    updates, _ = tx.update(grad_fn(params), tx.init(params), params, grad_fn=grad_fn)
    model = eqx.apply_updates(model, updates)
    chex.assert_trees_all_close(model.weights, expected(), rtol=1e-12)
