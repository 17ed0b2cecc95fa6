"""AGVM against recorded steps; equalities; halves of a batch; bad input."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec as P
from support import vectors

import jaxopt_lab
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.training import init_state, make_train_step
from jaxopt_lab.transforms.batching.agvm import SecondMoment, agvm


def recorded(name):
    """``(meta, start, halves, parameters)``, stacked over the steps."""
    with np.load(vectors.VECTORS / "agvm" / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    meta = json.loads(str(arrays.pop("meta")))
    names = [key.removeprefix("init/") for key in arrays if key.startswith("init/")]

    def nested(flat):
        # In the recorded order of the modules: the first one is the anchor.
        found = {module: {} for module in meta["modules"]}
        for key, value in flat.items():
            module, leaf = key.split("/")
            found[module][leaf] = value
        return found

    stack = lambda kind: nested(
        {
            n: np.stack([arrays[f"{kind}/{t}/{n}"] for t in range(meta["steps"])])
            for n in names
        }
    )
    start = nested({n: arrays[f"init/{n}"] for n in names})
    return meta, start, (stack("grads_a"), stack("grads_b")), stack("params")


def optimizer(meta):
    options = dict(meta["optimizer_args"])
    rate = options.pop("lr")
    if meta["optimizer"] == "sgd":
        decay = optax.add_decayed_weights(options.get("weight_decay", 0.0))
        return optax.chain(decay, optax.sgd(rate, options["momentum"])), None
    b1, b2 = options["betas"]
    eps = options["eps"]
    tx = optax.adamw(rate, b1, b2, eps, weight_decay=options["weight_decay"])
    return tx, SecondMoment(b2, eps)


@pytest.mark.full(plain=["sgd", "adamw"])
@pytest.mark.parametrize("name", ["sgd", "sgd_late_start", "adamw"])
def test_vectors(name):
    meta, start, halves, params = recorded(name)
    hyper = meta["hyperparameters"]
    inner, moment = optimizer(hyper)
    tx = agvm(
        inner,
        anchor=hyper["anchor"],
        interval=hyper["interval"],
        start=hyper["start"],
        stop=None if hyper["stop"] < 0 else hyper["stop"],
        momentum=hyper["scale_momentum"],
        lowest=hyper["clamp"][0],
        highest=hyper["clamp"][1],
        eps=hyper["eps"],
        second_moment=moment,
    )

    def body(carry, halves):
        params, state = carry
        mean = jax.tree.map(lambda a, b: (a + b) / 2, *halves)
        u, state = tx.update(mean, state, params, grad_halves=halves)
        params = optax.apply_updates(params, u)
        return (params, state), (params, state.scales)

    run = jax.jit(lambda p, h: jax.lax.scan(body, (p, tx.init(p)), h)[1])
    found, scales = run(start, halves)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, 1e-10, 1e-12), found, params
    )
    # Dicts are sorted: the labels come in the order of their names.
    order = [meta["modules"].index(module) for module in sorted(meta["modules"])]
    expected = np.array([step["scale"] for step in meta["log"]])[:, order]
    np.testing.assert_allclose(scales, expected, rtol=1e-10)


X = np.random.default_rng(0).normal(size=(8, 3))
W = {"body": np.ones((3, 2)), "head": np.ones(2)}


def loss(params, batch):
    return jnp.mean(jnp.tanh(jnp.tanh(batch @ params["body"]) @ params["head"]))


@pytest.mark.full
def test_a_batch_gives_its_halves():
    tx = agvm(optax.sgd(0.1), momentum=0.5)
    halves = tuple(jax.grad(loss)(W, part) for part in (X[:4], X[4:]))
    mean = jax.tree.map(lambda a, b: (a + b) / 2, *halves)
    given, _ = tx.update(mean, tx.init(W), W, grad_halves=halves)
    grad_fn = jaxopt_lab.batch_grad(loss, X)
    asked, state = jax.jit(lambda w, s: tx.update(mean, s, w, grad_fn=grad_fn))(
        W, tx.init(W)
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), given, asked
    )
    assert state.scales[0] == 1 and abs(state.scales[1] - 1) > 1e-3


@pytest.mark.parametrize("devices", [2, 3])
def test_the_first_and_the_other_devices_are_the_halves(devices):
    """An odd number of devices takes the halves of each device's batch."""
    tx = agvm(optax.sgd(0.1), momentum=0.5)
    x = np.concatenate([X] * 3)[: 8 * devices]
    parts = x.reshape(devices, -1, 3)
    halves = (parts[:1], parts[1:])
    if devices % 2:
        halves = (parts[:, :4], parts[:, 4:])
    halves = [jax.grad(loss)(W, half.reshape(-1, 3)) for half in halves]
    mean = jax.grad(loss)(W, x)
    given, state = tx.update(mean, tx.init(W), W, grad_halves=tuple(halves))
    mesh = jax.make_mesh(
        (devices,), ("data",), axis_types=(jax.sharding.AxisType.Auto,)
    )

    def loss_fn(params, model_state, batch, key):
        return loss(params, batch), (model_state, {})

    step = jax.shard_map(
        make_train_step(loss_fn, tx, axis_name="data"),
        mesh=mesh,
        in_specs=(P(), P("data")),
        out_specs=P(),
    )
    start = init_state(tx, W, jax.random.key(0))
    after = jax.jit(step)(start, x)[0]
    np.testing.assert_allclose(after.opt_state.scales, state.scales, rtol=1e-10)
    expected = optax.apply_updates(W, given)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12),
        after.params,
        expected,
    )


def test_one_module_is_the_optimizer_inside():
    tx, inner = (
        agvm(optax.sgd(0.1), {"body": "all", "head": "all"}),
        optax.sgd(0.1),
    )
    halves = (W, jax.tree.map(lambda w: -w, W))
    u, _ = tx.update(W, tx.init(W), W, grad_halves=halves)
    expected, _ = inner.update(W, inner.init(W), W)
    jax.tree.map(np.testing.assert_array_equal, u, expected)


@pytest.mark.parametrize(
    "call, line",
    [
        (
            lambda: agvm(optax.sgd(0.1), {"body": "a"}).init(W),
            r"modules must label every parameter, .*; got labels of body$",
        ),
        (
            lambda: agvm(optax.sgd(0.1), anchor="neck").init(W),
            "anchor='neck' is no mod",
        ),
        (lambda: agvm(optax.sgd(0.1), interval=0), "interval must"),
        (
            lambda: agvm(optax.sgd(0.1), second_moment=SecondMoment()).init(W),
            "has no field 'nu'",
        ),
        (
            lambda: agvm(optax.sgd(0.1)).update(W, agvm(optax.sgd(0.1)).init(W), W),
            "needs the gradients of the two halves",
        ),
    ],
)
def test_bad_input(call, line):
    with pytest.raises(InputError, match=line):
        call()
