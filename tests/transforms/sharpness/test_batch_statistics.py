"""Batch statistics are those of a plain step, dropout masks those of one pass."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import cases

import jaxopt_lab
from jaxopt_lab.lab.models import MODELS, configs
from jaxopt_lab.losses import classification as losses
from jaxopt_lab.training import init_state, make_train_step
from jaxopt_lab.training.adapters import from_nnx
from jaxopt_lab.transforms import sharpness


class OneBlock(configs.ResNet20Config):
    """Two stages of one block: batch norm, shortcut and all, cheap to compile."""

    blocks = (1, 1)


def base():
    return optax.sgd(0.1, momentum=0.9)


def link(made):
    return lambda: optax.chain(made(), base())


METHODS = {
    "sam": link(lambda: sharpness.sam(0.5)),
    "multistep_sam": link(lambda: sharpness.multistep_sam(0.5, num_ascent=2)),
    "friendly_sam": link(lambda: sharpness.friendly_sam(0.5)),
    "lookbehind": lambda: sharpness.lookbehind(base(), 0.5, k=2),
}
PASSES = {"sam": 2, "multistep_sam": 3, "friendly_sam": 2, "lookbehind": 3}


@pytest.fixture(scope="module")
def resnet():
    model = from_nnx(MODELS["resnet20"].build(OneBlock(width=2), (8, 8, 3), 5))
    params, statistics = jax.jit(model.init)(jax.random.key(0))
    rng = np.random.default_rng(0)
    batch = {
        "image": jnp.asarray(rng.normal(1.0, 2.0, (4, 8, 8, 3)), jnp.float32),
        "label": jnp.asarray(rng.integers(0, 5, 4), jnp.int32),
    }
    return losses.classification_loss(model), params, statistics, batch


def one_step(tx, resnet):
    loss_fn, params, statistics, batch = resnet
    state = init_state(tx, params, jax.random.key(1), statistics)
    state, metrics = jax.jit(make_train_step(loss_fn, tx))(state, batch)
    return state, metrics


@pytest.fixture(scope="module")
def plain(resnet):
    return one_step(base(), resnet)


def rounding(tree):
    """A few units in the last place: fusion differs from program to program."""
    return {"rtol": 1e-6, "atol": 1e-6 * max(map(jnp.max, jax.tree.leaves(tree)))}


@pytest.mark.full
@pytest.mark.parametrize("name", cases.plain(METHODS, {"sam"}))
def test_statistics_are_those_of_a_plain_step(name, resnet, plain):
    old = resnet[2]
    state, metrics = one_step(METHODS[name](), resnet)
    expected, expected_metrics = plain
    assert old, "the network has no batch statistics"
    chex.assert_trees_all_close(
        state.model_state, expected.model_state, **rounding(expected.model_state)
    )
    chex.assert_trees_all_close(metrics, expected_metrics, rtol=1e-5)
    # They have moved, all of them, and the parameters somewhere else than plainly.
    for before, after in zip(
        jax.tree.leaves(old), jax.tree.leaves(state.model_state), strict=True
    ):
        assert not np.allclose(before, after, rtol=1e-3)
    pairs = zip(
        jax.tree.leaves(state.params), jax.tree.leaves(expected.params), strict=True
    )
    assert max(float(jnp.max(jnp.abs(a - b))) for a, b in pairs) > 1e-3


@pytest.mark.full
def test_statistics_of_a_later_pass_would_be_seen(resnet, plain):
    loss_fn, params, statistics, batch = resnet
    # What a step would leave that kept the statistics of its second pass.
    grads = jax.grad(lambda p: loss_fn(p, statistics, batch, jax.random.key(1))[0])
    g = jax.jit(grads)(params)
    norm = optax.tree.norm(g)
    above = jax.tree.map(lambda p, d: p + 0.5 * d / norm, params, g)
    _, (wrong, _) = jax.jit(loss_fn)(above, statistics, batch, jax.random.key(1))
    expected = plain[0].model_state
    with pytest.raises(AssertionError):
        chex.assert_trees_all_close(wrong, expected, **rounding(expected))


class Keys:
    """A loss with dropout that writes down the mask of every pass that runs."""

    def __init__(self):
        self.seen = []

    def __call__(self, params, model_state, batch, key):
        mask = jax.random.bernoulli(key, 0.5, batch["x"].shape)
        data = jax.random.key_data(key).ravel()
        # When it runs, not when it is traced: several passes may share one trace.
        jax.debug.callback(lambda k, m: self.seen.append((k, m)), data, mask)
        error = jnp.tanh((batch["x"] * mask) @ params["w"]) - batch["y"]
        return jnp.mean(error**2), (model_state, {})


@pytest.mark.full(plain=["multistep_sam"])
@pytest.mark.parametrize("name", METHODS)
def test_all_passes_of_a_step_have_one_mask(name):
    tx, keys = METHODS[name](), Keys()
    params = {"w": jax.random.normal(jax.random.key(0), (12, 2), jnp.float64)}
    batch = {"x": jnp.ones((4, 12)), "y": jnp.ones((4, 2)) / 2}
    state = init_state(tx, params, jax.random.key(5))
    step = jax.jit(make_train_step(keys, tx))
    per_step = []
    for _ in range(3):
        keys.seen.clear()
        state, _ = jax.block_until_ready(step(state, batch))
        jax.effects_barrier()
        assert len(keys.seen) == PASSES[name]
        assert len({k.tobytes() for k, _ in keys.seen}) == 1
        assert len({m.tobytes() for _, m in keys.seen}) == 1
        per_step.append(keys.seen[0][0].tobytes())
    assert len(set(per_step)) == 3, "every step draws a mask of its own"


def test_a_new_key_in_each_pass_would_be_seen():
    keys = Keys()
    batch = {"x": jnp.ones((4, 12)), "y": jnp.ones((4, 2)) / 2}
    params = {"w": jnp.ones((12, 2))}

    def grad_fn(p, i=0):
        key = jax.random.fold_in(jax.random.key(0), i)
        return jax.grad(lambda p: keys(p, {}, batch, key)[0])(p)

    link = jaxopt_lab.multistep_sam(0.5, num_ascent=2)
    link.update(grad_fn(params), link.init(params), params, grad_fn=grad_fn)
    jax.effects_barrier()
    assert len(keys.seen) == 3
    assert len({k.tobytes() for k, _ in keys.seen}) > 1
