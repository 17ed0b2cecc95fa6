"""State that is made in the backward pass, through gradients and train steps."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import PartitionSpec as P

import jaxopt_lab
from jaxopt_lab.core.backward_state import (
    BackwardState,
    first_state,
    taken,
    with_backward_state,
)
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.layers import NnxLayer
from jaxopt_lab.training import init_state, make_train_step
from jaxopt_lab.training.adapters import from_nnx
from jaxopt_lab.training.flax_loops import nnx_value_and_grad

X = np.random.default_rng(0).normal(1.0, 1.0, (8, 3))
W = np.array([0.5, -1.0, 2.0])


@dataclasses.dataclass(frozen=True)
class Leaky:
    """Inputs times weights; the state follows the slopes of the outputs."""

    axis_name: str | None = None

    def forward(self, args, state):
        x, w = args
        return x * w[None], (x, w, state)

    def backward(self, kept, slope):
        x, w, state = kept
        mean = jnp.mean(slope * x, axis=0)
        if self.axis_name is not None:
            mean = jax.lax.pmean(mean, self.axis_name)
        new = {"slope": 0.9 * state["slope"] + mean, "count": state["count"] + 1}
        return (slope * w[None], jnp.sum(slope * x, axis=0)), new


def apply(w, state, x, uses=1, rule=None) -> Any:
    for _ in range(uses):
        x = with_backward_state(rule or Leaky(), (x, w), state["leaky"])
    return x, state


def first():
    return {"leaky": first_state({"slope": np.full(3, 0.3), "count": np.zeros(())})}


def loss(w, state, batch, key=None, **options):
    y, state = apply(w, state, batch, **options)
    return jnp.mean(jnp.square(y)), (state, {})


def after(w, state, x):
    """The state after a pass, by hand."""
    old = state["leaky"].value
    slope = 2 * x * w / x.size
    new = {
        "slope": 0.9 * old["slope"] + np.mean(slope * x, axis=0),
        "count": old["count"] + 1,
    }
    return {"leaky": BackwardState(new, state["leaky"].uses)}


def close(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-12), a, b)


def stepped(tx=None, x=X, loss=loss, **options):
    tx = optax.sgd(0.1) if tx is None else tx
    state = init_state(tx, jnp.asarray(W), jax.random.key(0), model_state=first())
    return jax.jit(make_train_step(loss, tx, **options))(state, x)[0]


@pytest.mark.parametrize("links", [(), (jaxopt_lab.sam(0.5),)], ids=["sgd", "sam"])
def test_a_step_moves_the_state_once_by_its_first_pass(links):
    found = stepped(optax.chain(*links, optax.clip_by_global_norm(1e-3)))
    close(found.model_state, after(W, first(), X))


@pytest.mark.parametrize("loop", ["unroll", "scan"])
def test_micro_batches_are_passes_in_sequence(loop):
    found = stepped(micro_batches=4, micro_loop=loop)
    expected = first()
    for i in range(0, 8, 2):
        expected = after(W, expected, X[i : i + 2])
    close(found.model_state, expected)
    np.testing.assert_allclose(found.params, stepped().params, rtol=1e-12)


def test_weights_of_examples_do_not_weigh_the_state():
    batch = {"x": X, "w": np.array([1.0, 0, 0, 0, 2, 2, 2, 2])}
    tx = optax.sgd(0.1)
    state = init_state(tx, jnp.asarray(W), jax.random.key(0), model_state=first())
    step = make_train_step(
        lambda w, s, batch, key: loss(w, s, batch["x"]),
        tx,
        micro_batches=2,
        weights="w",
    )
    expected = after(W, after(W, first(), X[:4]), X[4:])
    close(jax.jit(step)(state, batch)[0].model_state, expected)


def test_devices_of_a_shard_map_have_the_state_of_one():
    mesh = jax.make_mesh((2,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    tx = optax.sgd(0.1)
    state = init_state(tx, jnp.asarray(W), jax.random.key(0), model_state=first())
    told = lambda *args: loss(*args, rule=Leaky("d"))
    step = make_train_step(told, tx, axis_name="d")
    run = jax.shard_map(step, mesh=mesh, in_specs=(P(), P("d")), out_specs=P())
    with pytest.raises(InputError, match="is used by 2 calls"):
        twice = lambda *args: loss(*args, uses=2, rule=Leaky("d"))
        step = make_train_step(twice, tx, axis_name="d")
        divided = jax.shard_map(step, mesh=mesh, in_specs=(P(), P("d")), out_specs=P())
        jax.eval_shape(divided, state, X)
    # The slopes of a mean over half of the examples are twice as large.
    half = [after(W, first(), x)["leaky"].value["slope"] for x in (X[:4], X[4:])]
    got = jax.jit(run)(state, X)[0].model_state["leaky"].value
    np.testing.assert_allclose(got["slope"], np.mean(half, axis=0), rtol=1e-12)
    assert got["count"] == 1


def in_a_scan(w, state, x, key=None):
    body = lambda c, _: (jax.jit(apply)(w, state, c)[0], None)
    return jnp.mean(jax.lax.scan(body, x, None, length=3)[0]), (state, {})


def test_a_state_that_is_used_twice_is_refused():
    words = r"shapes \[\(\), \(3,\)\], is used by 2 calls of one pass"
    with pytest.raises(InputError, match=words):
        stepped(loss=lambda *args: loss(*args, uses=2))
    with pytest.raises(InputError, match="is used by 3 calls"):
        stepped(loss=in_a_scan)
    # Without our gradient function it is not a number at least.
    old = first()["leaky"]
    twice = BackwardState(old.value, jnp.full((), 2.0))
    assert np.isnan(taken([old], [twice])[0].value["count"])


def test_a_state_without_a_use_stays():
    unused = lambda w, state, x, key: (jnp.sum(jnp.square(w)), (state, {}))
    close(stepped(loss=unused).model_state, first())


class Net(nnx.Module):
    inner: Any

    def __init__(self, rngs):
        core = Functional(
            lambda key=None: ({"w": jnp.asarray(W)}, first()),
            lambda p, s, x, **options: apply(p["w"], s, x),
        )
        self.inner = NnxLayer(core, rngs=rngs)

    def __call__(self, x):
        return self.inner(x)


def test_it_is_a_variable_of_a_module():
    model = from_nnx(lambda rngs: Net(rngs))
    params, state = model.init(jax.random.key(0))
    expected = after(W, first(), X)
    close(state, {"inner": first()})

    def of_model(params, state, x, key):
        y, state = model.apply(params, state, x, train=True)
        return jnp.mean(jnp.square(y)), (state, {})

    tx = optax.sgd(0.1)
    train = init_state(tx, params, jax.random.key(0), model_state=state)
    train, _ = jax.jit(make_train_step(of_model, tx))(train, X)
    close(train.model_state, {"inner": expected})
    net = Net(nnx.Rngs(0))
    nnx_value_and_grad(net, lambda net, x: jnp.mean(jnp.square(net(x))), X)
    kept = net.inner.leaky.get_value()
    close(kept, expected["leaky"])
