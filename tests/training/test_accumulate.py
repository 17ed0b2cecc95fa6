"""A batch that grows: one program, the same bits after a pause, one device as many."""

import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec as P

from jaxopt_lab.controllers import coordinate_ratio, norm_test
from jaxopt_lab.training import init_state, make_accumulation

MICRO = 4
TX = optax.adam(0.1)
START = {"w": np.full(3, 0.5), "b": np.zeros(())}


def loss_fn(params, model_state, batch, key):
    x = batch["x"] + 0.01 * jax.random.normal(key, batch["x"].shape)
    error = x @ params["w"] + params["b"] - batch["y"]
    return jnp.mean(error**2), ({"seen": model_state["seen"] + 1}, {})


def micro_batches():
    rng = np.random.default_rng(0)
    while True:
        x = rng.normal(size=(MICRO, 3))
        yield {"x": x, "y": x @ [1.0, -1.0, 2.0] + rng.normal(size=MICRO)}


class Run:
    """A run with a controller; its programs are counted."""

    def __init__(self, traces):
        self.traces = traces
        parts = make_accumulation(loss_fn, TX, micro_batch=MICRO)
        self.init = parts.init
        self.add, self.apply = (self._counted(f) for f in (parts.add, parts.apply))
        self.control = norm_test(
            0.15, micro_batch=MICRO, start_batch=2 * MICRO, max_batch=4096
        )
        self.state = init_state(
            TX, START, jax.random.key(0), {"seen": np.zeros((), np.int32)}
        )
        self.decided = self.control.init()
        self.batches = micro_batches()

    def _counted(self, function):
        def counted(*args):
            self.traces.append(function.__name__)
            return function(*args)

        return jax.jit(counted)

    def step(self):
        sums = self.init(self.state.params)
        for _ in range(self.decided["accumulation"]):
            self.state, sums = self.add(self.state, sums, next(self.batches))
        self.state, metrics = self.apply(self.state, sums)
        metrics = {name: float(x) for name, x in metrics.items()}
        _, self.decided = self.control.decide(metrics, self.decided)
        return metrics


def test_a_run_grows_to_the_limit_in_one_program_and_resumes():
    run, sizes = Run([]), []
    for _ in range(40):
        sizes.append(run.step()["batch"])
        if sizes[-1] == 4096:
            break
        if len(sizes) == 16:
            text = json.dumps(run.decided)
            kept = run.state
    assert (
        len(sizes) > 3
        and sizes[0] == 8
        and sizes[-1] == 4096
        and sizes == sorted(sizes)
    )
    assert sorted(run.traces) == ["add", "apply"]
    assert run.state.model_state["seen"] * MICRO == run.decided["examples"]

    again = Run([])
    again.add, again.apply = run.add, run.apply
    again.state, again.decided = kept, json.loads(text)
    for _ in range(again.decided["examples"] // MICRO):
        next(again.batches)
    for size in sizes[16:]:
        assert again.step()["batch"] == size
    jax.tree.map(np.testing.assert_array_equal, again.state[1:4], run.state[1:4])
    assert again.decided == run.decided


@pytest.mark.full
def test_eight_devices_are_one():
    def plain(params, model_state, batch, key):
        error = batch["x"] @ params["w"] + params["b"] - batch["y"]
        return jnp.mean(error**2), (model_state, {})

    batch = jax.tree.map(
        lambda *x: np.concatenate(x), *itertools.islice(micro_batches(), 2)
    )
    one = make_accumulation(plain, TX)
    many = make_accumulation(plain, TX, axis_name="data")
    state = init_state(TX, START, jax.random.key(0))

    def run(parts, state, batches):
        sums = parts.init(state.params)
        for each in batches:
            state, sums = parts.add(state, sums, each)
        state, metrics = parts.apply(state, sums)
        return state.params, metrics

    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    divided = jax.shard_map(
        lambda s, b: run(many, s, [b]),
        mesh=mesh,
        in_specs=(P(), P("data")),
        out_specs=P(),
    )
    examples = [jax.tree.map(lambda x, i=i: x[i : i + 1], batch) for i in range(8)]
    expected = jax.jit(lambda s: run(one, s, examples))(state)
    got = jax.jit(divided)(state, batch)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10), got, expected
    )


@pytest.mark.parametrize("count", [1, 3])
def test_the_variance_is_the_unbiased_one_of_the_gradients(count):
    def plain(params, model_state, batch, key):
        return jnp.vdot(params, batch), (model_state, {})

    gradients = np.random.default_rng(1).normal(size=(count, 5))
    parts = make_accumulation(plain, optax.sgd(0.1), micro_batch=MICRO)
    state = init_state(optax.sgd(0.1), jnp.zeros(5), jax.random.key(0))

    @jax.jit
    def run(state, gradients):
        sums = parts.init(state.params)
        for each in gradients:
            state, sums = parts.add(state, sums, each)
        return parts.apply(state, sums)[1]

    metrics = run(state, gradients)
    spread = np.sum((gradients - gradients.mean(0)) ** 2)
    expected = MICRO * spread / max(count - 1, 1)
    np.testing.assert_allclose(metrics["variance"], expected, rtol=1e-10, atol=1e-14)
    square = np.sum(gradients.mean(0) ** 2)
    np.testing.assert_allclose(metrics["grad_norm_sq"], square, rtol=1e-12)
    assert metrics["batch"] == MICRO * count


def test_the_ratio_of_the_entries_is_that_of_stored_gradients():
    def plain(params, model_state, batch, key):
        error = batch["x"] @ params["w"] + params["b"] - batch["y"]
        return jnp.mean(error**2), (model_state, {})

    def ratio(means, squares, count, size):
        return {"ratio": coordinate_ratio(means, squares, count, size=size)}

    parts = make_accumulation(plain, TX, micro_batch=MICRO, of_entries=ratio)
    state = init_state(TX, START, jax.random.key(0))
    batches = list(itertools.islice(micro_batches(), 3))

    @jax.jit
    def run(state, batches):
        sums, stored = parts.init(state.params), []
        for batch in batches:
            grad = jax.grad(lambda p, b=batch: plain(p, {}, b, None)[0])
            stored.append(grad(state.params))
            state, sums = parts.add(state, sums, batch)
        return parts.apply(state, sums)[1]["ratio"], stored

    got, stored = run(state, batches)
    whole = np.array([np.append(g["w"], g["b"]) for g in stored])
    wanted = MICRO * whole.var(0, ddof=1) / whole.mean(0) ** 2
    np.testing.assert_allclose(got, wanted.max(), rtol=1e-10)


def test_a_chain_that_asks_for_the_value_gets_the_mean_loss():
    def update(updates, state, params=None, *, value, **extra):
        return updates, value

    kept = optax.GradientTransformationExtraArgs(lambda params: np.zeros(()), update)
    parts = make_accumulation(loss_fn, kept, micro_batch=MICRO)
    seen = {"seen": np.zeros((), np.int32)}
    state = init_state(kept, START, jax.random.key(0), seen)
    sums, losses = parts.init(state.params), []
    for batch in itertools.islice(micro_batches(), 3):
        before = sums.loss
        state, sums = parts.add(state, sums, batch)
        losses.append(float(sums.loss - before))
    state, metrics = parts.apply(state, sums)
    np.testing.assert_allclose(state.opt_state, np.mean(losses), rtol=1e-12)
    np.testing.assert_allclose(metrics["loss"], np.mean(losses), rtol=1e-12)
