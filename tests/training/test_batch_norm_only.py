"""Only batch normalizations train; clipping and decay see nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx

import jaxopt_lab
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.training import init_state, make_train_step
from jaxopt_lab.training.adapters import from_linen, from_nnx
from jaxopt_lab.training.batch_norm_only import (
    batch_norm_labels,
    batch_norm_only,
    uniform_scales,
)

X = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)


class Net(nnx.Module):
    def __init__(self, rngs):
        self.linear = nnx.Linear(4, 3, rngs=rngs)
        self.norm = nnx.BatchNorm(3, rngs=rngs)
        self.layer_norm = nnx.LayerNorm(3, rngs=rngs)

    def __call__(self, x):
        return self.layer_norm(self.norm(self.linear(x)))


class LinenNet(linen.Module):
    @linen.compact
    def __call__(self, x, *, train):
        x = linen.BatchNorm(use_running_average=not train)(linen.Dense(3)(x))
        return linen.LayerNorm()(x)


def test_all_else_is_frozen_and_statistics_go_on():
    model = from_nnx(Net)
    params, model_state = jax.jit(model.init)(jax.random.key(0))
    labels = batch_norm_labels(params, model_state)
    inner = optax.chain(
        jaxopt_lab.sam(0.05),
        optax.clip_by_global_norm(1e-4),
        optax.add_decayed_weights(0.5),
        optax.sgd(1.0),
    )
    tx = batch_norm_only(inner, labels)

    def loss(params, state, batch, key):
        y, state = model.apply(params, state, batch, train=True, key=key)
        return 100 * jnp.mean((y - 0.1) ** 2), (state, {})

    step = jax.jit(make_train_step(loss, tx))
    state = init_state(tx, params, jax.random.key(0), model_state=model_state)
    after, _ = step(state, X)
    for name in ("linear", "layer_norm"):
        jax.tree.map(np.testing.assert_array_equal, after.params[name], params[name])
    assert np.any(after.model_state["norm"]["mean"] != model_state["norm"]["mean"])
    old, new = params["norm"], after.params["norm"]
    moved = np.concatenate([new[n] - 0.5 * old[n] for n in ("scale", "bias")])
    # A step of length 1e-4, clipped by the norm of what is trained, beside the decay.
    np.testing.assert_allclose(np.linalg.norm(moved), 1e-4, rtol=1e-2)


def test_labels_of_linen_and_what_has_none():
    model = from_linen(LinenNet(), X)
    params, model_state = jax.eval_shape(model.init, jax.random.key(0))
    labels = batch_norm_labels(params, model_state)
    trained = [
        jax.tree_util.keystr(path)
        for path, label in jax.tree.leaves_with_path(labels)
        if label == "train"
    ]
    assert trained == ["['BatchNorm_0']['bias']", "['BatchNorm_0']['scale']"]
    with pytest.raises(InputError, match="no batch normalization with parameters"):
        batch_norm_labels(params, {})


def test_scales_are_drawn_from_the_unit_interval():
    params = {
        "norm": {"scale": np.ones(1000), "bias": np.zeros(3)},
        "scale": np.ones(2),
    }
    labels = {"norm": {"scale": "train", "bias": "train"}, "scale": "freeze"}
    drawn = uniform_scales(jax.random.key(0), params, labels)
    scale = drawn["norm"]["scale"]
    assert 0 <= scale.min() < 0.02 and 0.98 < scale.max() < 1
    np.testing.assert_array_equal(drawn["scale"], params["scale"])
    np.testing.assert_array_equal(drawn["norm"]["bias"], params["norm"]["bias"])
