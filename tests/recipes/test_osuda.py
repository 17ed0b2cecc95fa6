"""OSUDA: the step by its formulas, its source, and a trained module of nnx."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import alpha_bn
from jaxopt_lab.recipes import (
    AdaptingNorms,
    adapting_norms,
    init_osuda,
    make_osuda_step,
)
from jaxopt_lab.recipes.osuda import source_of, transferability
from jaxopt_lab.training import from_nnx, init_state

RNG = np.random.default_rng(0)
X, KEY, TX = RNG.normal(size=(6, 3)) + 0.5, jax.random.key(0), optax.sgd(0.1)
PARAMS = {
    "norm": {"scale": RNG.uniform(0.5, 2, 3), "bias": RNG.normal(size=3)},
    "head": RNG.normal(size=(3, 4)),
}
STATS = {"norm": {"mean": RNG.normal(size=3), "var": RNG.uniform(0.5, 2, 3)}}


def norms(alpha):
    layer = alpha_bn(3, alpha=alpha)

    def apply(params, state, x):
        y, kept = layer.apply(params["norm"], state["norm"], x, train=True)
        return jax.nn.relu(y) @ params["head"], {"norm": kept}

    return AdaptingNorms(lambda s: s, apply, lambda p, s, x: apply(p, s, x)[1])


def test_two_steps_are_the_formulas():
    given: Any = {"start": 0.8, "decay": 0.5, "consistency": 0.7, "entropy": 1.3}

    @jax.jit
    def run(params, stats):
        state = init_osuda(TX, params, KEY, stats)
        step = make_osuda_step(norms, TX, **given)
        first, _ = step(state, {"image": X})
        return first, step(first, {"image": X})

    first, (second, metrics) = run(PARAMS, STATS)
    eta = 0.8 * np.exp(-0.5)
    own = STATS["norm"]
    mean = eta * own["mean"] + (1 - eta) * X.mean(0)
    var = eta * own["var"] + (1 - eta) * X.var(0, ddof=1)
    ratios = (own["mean"] / np.sqrt(own["var"] + 1e-5), mean / np.sqrt(var + 1e-5))
    near = 1 / (1 + np.abs(ratios[0] - ratios[1]))
    alpha = 3 * near / near.sum()

    def loss(params):
        norm = params["norm"]
        y = (X - mean) / np.sqrt(var + 1e-5) * norm["scale"][None] + norm["bias"][None]
        p = jax.nn.softmax(jax.nn.relu(y) @ params["head"])
        apart = [jnp.abs(norm[n] - PARAMS["norm"][n]) for n in ("scale", "bias")]
        held = jnp.mean((1 + alpha) * apart[0]) + jnp.mean((1 + alpha) * apart[1])
        return 0.7 * held - 1.3 * jnp.mean(jnp.sum(p * jnp.log(p), axis=1))

    value, slope = jax.jit(jax.value_and_grad(loss))(first.params["model"])
    np.testing.assert_allclose(metrics["loss"], value, rtol=1e-11)
    kept = second.model_state["model"]["norm"]
    np.testing.assert_allclose(kept["mean"], mean, rtol=1e-12)
    np.testing.assert_allclose(kept["var"], var, rtol=1e-12)
    wanted = jax.tree.map(lambda p, g: p - 0.1 * g, first.params["model"], slope)
    for found, right in zip(
        jax.tree.leaves(second.params["model"]), jax.tree.leaves(wanted), strict=True
    ):
        np.testing.assert_allclose(found, right, rtol=1e-10)


def test_at_the_source_its_distance_pulls_nowhere():
    state = init_osuda(TX, PARAMS, KEY, STATS)
    step = jax.jit(make_osuda_step(norms, TX, start=0.3, entropy=0.0))
    after, metrics = step(state, {"image": X})
    assert metrics["consistency"] == 0
    for found, right in zip(
        jax.tree.leaves(after.params["model"]), jax.tree.leaves(PARAMS), strict=True
    ):
        np.testing.assert_array_equal(found, right)


def test_channels_that_are_alike_weigh_more():
    same = {"mean": np.array([1.0, 1.0]), "var": np.ones(2)}
    other = {"mean": np.array([1.0, 3.0]), "var": np.ones(2)}
    found = np.asarray(transferability(same, other))
    np.testing.assert_allclose(found, [1.5, 0.5], rtol=1e-5)
    np.testing.assert_allclose(found.mean(), 1, rtol=1e-12)


@pytest.mark.full
def test_a_trained_module_is_adapted():
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.norm = nnx.BatchNorm(3, rngs=rngs)
            self.head = nnx.Linear(3, 4, rngs=rngs)

        def __call__(self, x):
            return self.head(self.norm(x))

    params, stats = jax.jit(from_nnx(Net).init)(KEY)
    made = lambda alpha: adapting_norms(Net, functools.partial(alpha_bn, alpha=alpha))
    step = jax.jit(make_osuda_step(made, TX, start=1.0, decay=3.0))
    state = init_osuda(TX, params, KEY, stats)
    x = X.astype(np.float32)
    state, _ = step(state, {"image": x})
    state, _ = step(state, {"image": x})
    state, metrics = step(state, {"image": x})
    eta = np.exp(-6.0)
    found = state.model_state["model"]["norm"]["mean"]
    np.testing.assert_allclose(found, (1 - eta) * x.mean(0), rtol=1e-5)
    assert np.isfinite(metrics["loss"]) and metrics["consistency"] > 0


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: make_osuda_step(norms, TX, start=1.5), "start must"),
        (lambda: make_osuda_step(norms, TX, micro_batches=2), "no micro_batches"),
        (lambda: init_osuda(TX, PARAMS, KEY, {}), "no batch normalization"),
        (lambda: source_of({"norm": {}}, STATS), "'norm' has no scale and bias"),
        (
            lambda: make_osuda_step(norms, TX)(
                init_state(TX, PARAMS, KEY), {"image": X}
            ),
            "must have 'model', as init_osuda makes it",
        ),
        (
            lambda: make_osuda_step(norms, TX)(
                init_osuda(TX, PARAMS, KEY, STATS), {"x": X}
            ),
            "the batch has no 'image'",
        ),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words):
        make()
