"""A controller in ``fit``: one program, counts, saved state, rates by examples."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.runtime import Checkpoints, fit
from jaxopt_lab.training import (
    init_state,
    make_accumulation,
    make_mesh,
    make_train_step,
    state_shardings,
)
from jaxopt_lab.training.accumulate import on_mesh
from jaxopt_lab.training.hyperparams import with_hyperparams

MICRO = 8
TX = optax.inject_hyperparams(optax.adam)(0.1)
START = {"w": np.full(3, 0.5), "b": np.zeros(())}


def loss_fn(params, model_state, batch, key):
    x = batch["x"] + 0.01 * jax.random.normal(key, batch["x"].shape)
    error = x @ params["w"] + params["b"] - batch["y"]
    return jnp.mean(error**2), ({"seen": model_state["seen"] + 1}, {})


class Doubling:
    """Twice as many micro-batches in every step, and a rate by examples."""

    def __init__(self, most=512):
        self.most = most

    def init(self):
        return {"accumulation": 1, "examples": 0}

    def decide(self, stats, state):
        assert {"variance", "grad_norm_sq", "batch", "loss"} <= set(stats)
        number = min(self.most, 2 * state["accumulation"])
        seen = state["examples"] + int(stats["batch"])
        decision = {"accumulation": number, "learning_rate": 0.1 / (1 + seen / 100)}
        return decision, {"accumulation": number, "examples": seen}


class Batches:
    """Micro-batches that can be had again."""

    def __init__(self):
        self.at = 0

    def next(self):
        rng = np.random.default_rng(self.at)
        self.at += 1
        x = rng.normal(size=(MICRO, 3))
        return {"x": x, "y": x @ [1.0, -1.0, 2.0]}

    def get_state(self):
        return {"at": self.at}

    def set_state(self, state):
        self.at = state["at"]


class Records(list):
    """A sink that keeps the records."""

    def write(self, step, record):
        self.append({"step": step, **record})

    def close(self):
        """Nothing to close."""


def start():
    return init_state(TX, START, jax.random.key(0), {"seen": np.zeros((), np.int32)})


@pytest.fixture(scope="module")
def parts():
    return make_accumulation(loss_fn, TX, micro_batch=MICRO)


def run(parts, folder=None, *, steps, resume=None, state=None, batches=None, **options):
    records = Records()
    options = {"log_every": 1, "progress": False, "controller": Doubling()} | options
    with Checkpoints(folder or "unused", read_only=folder is None) as saved:
        found = fit(
            parts,
            start() if state is None else state,
            batches or Batches(),
            steps=steps,
            sinks=[records],
            checkpoints=saved if folder else None,
            resume=resume,
            counts={"examples": MICRO, "gradients": 1},
            **options,
        )
    return found, records


@pytest.fixture
def programs():
    """Names of the programs that are compiled, as they are."""
    found = []

    def heard(event, duration_secs, **kwargs):
        if event == "/jax/core/compile/backend_compile_duration":
            found.append(kwargs.get("fun_name"))

    jax.monitoring.register_event_duration_secs_listener(heard)
    yield found
    jax.monitoring.unregister_event_duration_listener(heard)


def test_from_8_to_4096_in_one_compilation_and_resumed_to_the_bit(
    parts, tmp_path, programs
):
    whole, records = run(parts, steps=10)
    sizes = [r["batch"] for r in records]
    assert sizes == [8 * 2**i for i in range(10)] and sizes[-1] == 4096
    for part in ("add", "apply"):
        assert sum(part in str(name) for name in programs) == 1
    assert [r["examples"] for r in records] == np.cumsum(sizes).tolist()
    assert [r["gradients"] for r in records] == list(range(1, 11))
    assert whole.state.model_state["seen"] * MICRO == sum(sizes)
    # The rate of a step is that of the examples before it.
    before = np.cumsum([0, *sizes[:-1]])
    rates = [r["learning_rate"] for r in records]
    np.testing.assert_allclose(rates, 0.1 / (1 + before / 100), rtol=1e-12)

    run(parts, tmp_path, steps=4)
    with Checkpoints(tmp_path, read_only=True) as saved:
        restored = saved.restore(start())
    json.dumps(restored.data["controller"])
    assert restored.data["controller"]["decision"]["accumulation"] == 16
    batches = Batches()
    batches.set_state(restored.data["batches"])
    more = {"state": restored.state, "resume": restored.data, "batches": batches}
    again, rest = run(parts, steps=10, **more)
    for one, other in zip(again.state[:4], whole.state[:4], strict=True):
        jax.tree.map(np.testing.assert_array_equal, one, other)
    kept = [n for n in records[-1] if n not in ("time", "steps_per_second")]
    assert [[r[n] for n in kept] for r in rest] == [
        [r[n] for n in kept] for r in records[4:]
    ]


def test_a_run_ends_by_examples(parts):
    found, records = run(parts, steps=100, examples=50)
    assert int(found.state.step) == 3 and records[-1]["examples"] == 56
    assert found.stopped is None and not found.early


@pytest.mark.full
def test_eight_devices_are_one(parts):
    from jaxopt_lab.data import MeshBatches

    def still(params, model_state, batch, key):
        return loss_fn(params, model_state, batch, jax.random.key(0))

    # The noise of ``loss_fn`` is drawn for the whole micro-batch.
    one = make_accumulation(still, TX, micro_batch=MICRO)
    expected, alone = run(one, steps=4)
    mesh = make_mesh("data:8")
    shardings = state_shardings(jax.eval_shape(start), (), mesh)
    placed = jax.device_put(start(), shardings)
    options = {"state": placed, "batches": MeshBatches(Batches(), mesh)}
    got, many = run(on_mesh(one, shardings), steps=4, **options)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9),
        got.state.params,
        expected.state.params,
    )
    for a, b in zip(alone, many, strict=True):
        # Of one micro-batch it is 0.
        np.testing.assert_allclose(a["variance"], b["variance"], rtol=1e-9, atol=1e-12)
        assert a["examples"] == b["examples"]


def test_what_does_not_fit_is_refused(parts):
    with pytest.raises(InputError, match="make_accumulation needs controller="):
        run(parts, steps=1, controller=None)
    step = make_train_step(loss_fn, TX)
    with pytest.raises(InputError, match="needs a step from make_accumulation"):
        run(step, steps=1)
    with pytest.raises(InputError, match="is not for steps with a controller"):
        run(parts, steps=1, on_nonfinite="skip")
    state = TX.init(START)
    with pytest.raises(InputError, match="has no hyper-parameter rho; it has"):
        with_hyperparams(state, {"rho": 1.0})
