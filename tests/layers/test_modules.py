"""Pure cores as flax modules in a train step of their own."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx
from jax.sharding import PartitionSpec as P

from jaxopt_lab import layers
from jaxopt_lab.core.option_texts import documented
from jaxopt_lab.layers import (
    GhostBatchNorm,
    LayerNormScaling,
    LinenLayer,
    ghost_batch_norm,
)
from jaxopt_lab.layers.nnx_module import BatchedLayer
from jaxopt_lab.training import init_state, make_train_step
from jaxopt_lab.training.adapters import from_linen, from_nnx

X = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)


class Net(nnx.Module):
    def __init__(self, rngs):
        self.linear = nnx.Linear(4, 3, rngs=rngs)
        self.norm = GhostBatchNorm(3, ghost_size=2, rngs=rngs)
        self.scaled = LayerNormScaling(3, index=2, rngs=rngs)

    def __call__(self, x):
        return self.scaled(self.norm(self.linear(x)))


class LinenNet(linen.Module):
    @linen.compact
    def __call__(self, x, *, train):
        y = linen.Dense(3)(x)
        return LinenLayer(ghost_batch_norm(3, ghost_size=2), name="norm")(
            y, train=train
        )


MODELS = {
    "nnx": lambda: from_nnx(Net),
    "linen": lambda: from_linen(LinenNet(), X),
}


@pytest.mark.full(plain=["nnx"])
@pytest.mark.parametrize("name", MODELS)
def test_they_train_and_their_state_moves(name):
    model = MODELS[name]()
    params, model_state = jax.jit(model.init)(jax.random.key(0))

    def loss(params, state, batch, key):
        y, state = model.apply(params, state, batch, train=True, key=key)
        return jnp.mean((y - 0.1) ** 2), (state, {})

    tx = optax.sgd(0.1)
    step = jax.jit(make_train_step(loss, tx))
    state = init_state(tx, params, jax.random.key(0), model_state=model_state)
    losses = []
    for _ in range(5):
        state, metrics = step(state, X)
        losses.append(float(metrics["loss"]))
    assert losses[-1] < losses[0]
    before, after = (jax.tree.leaves(s) for s in (model_state, state.model_state))
    assert all(np.any(a != b) for a, b in zip(before, after, strict=True))
    evaluate = jax.jit(
        lambda x: model.apply(state.params, state.model_state, x, train=False)[0]
    )
    again, first = evaluate(X), evaluate(X[:1])
    np.testing.assert_allclose(again[:1], first, rtol=1e-5)


@pytest.mark.full
def test_the_mode_and_the_mask_of_a_call():
    norm = GhostBatchNorm(4, ghost_size=4, rngs=nnx.Rngs(0))
    mean = norm.mean.get_value()
    norm(X, use_running_average=True)
    np.testing.assert_array_equal(norm.mean.get_value(), mean)
    y = norm(X, mask=jnp.arange(8) < 4)
    assert not np.any(y[4:]) and np.any(norm.mean.get_value() != mean)
    norm.eval()
    mean = norm.mean.get_value()
    norm(X)
    np.testing.assert_array_equal(norm.mean.get_value(), mean)


def test_an_axis_of_devices_in_a_shard_map():
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    one = from_nnx(lambda rngs: GhostBatchNorm(4, ghost_size=4, rngs=rngs))
    divided = from_nnx(
        lambda rngs: GhostBatchNorm(4, ghost_size=4, rngs=rngs, axis_name="data")
    )
    params, state = jax.jit(one.init)(jax.random.key(0))
    run = jax.shard_map(
        lambda x: divided.apply(params, state, x, train=True),
        mesh=mesh,
        in_specs=P("data"),
        out_specs=(P("data"), P()),
    )
    plain = jax.jit(lambda x: one.apply(params, state, x, train=True))
    got, expected = jax.jit(run)(X), plain(X)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), got, expected
    )


def modules():
    found = [
        value
        for name in layers.__all__
        if inspect.isclass(value := getattr(layers, name))
    ]
    return [c for c in found if issubclass(c, BatchedLayer) and c is not BatchedLayer]


def test_the_docstring_of_a_module_has_the_arguments_of_its_factory():
    assert len(modules()) > 50
    for module in modules():
        made = inspect.signature(module.make).parameters
        texts = documented(module)
        assert set(texts) == {*made, "rngs", "axis_name"}, module
        assert texts.items() >= (documented(module.make).items() - {("", "")}), module
        assert inspect.getdoc(module).index("Args:") < inspect.getdoc(module).index(
            ">>>"
        )


def test_a_module_may_tell_an_argument_in_words_of_its_own():
    class Halves(BatchedLayer):
        """Ghosts of two examples.

        Args:
          rngs: not used.

        >>> 1
        1
        """

        make = staticmethod(ghost_batch_norm)

    assert Halves.__doc__.startswith(
        "Ghosts of two examples.\n\nArgs:\n  features: size"
    )
    assert "\n  rngs: not used.\n" in Halves.__doc__
    assert Halves.__doc__.endswith("\n\n>>> 1\n1")
