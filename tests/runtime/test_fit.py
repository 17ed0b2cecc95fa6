"""The loop: what is recorded when, what stops it, what it leaves alone."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.tiny_run import TRAIN, bits, loss_fn, parts

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.losses.classification import classification_loss
from jaxopt_lab.runtime import Checkpoints, NonFiniteLossError, fit
from jaxopt_lab.training import init_state, make_train_step


class Collect:
    def __init__(self):
        self.lines = []

    def write(self, step, record):
        self.lines.append({"step": step, **record})

    def close(self):
        raise AssertionError("sinks are closed by their owner")

    def kind(self, kind):
        return [line for line in self.lines if line["kind"] == kind]


def run(steps=12, evaluates=True, made=None, **options):
    step, state, batches, evaluate = made or parts()
    sink = Collect()
    result = fit(
        step,
        state,
        batches,
        steps=steps,
        evaluate=evaluate if evaluates else None,
        sinks=[sink],
        progress=False,
        **options,
    )
    return result, sink


def by_hand(steps):
    step, state, batches, evaluate = parts()
    step = jax.jit(step)
    metrics, tests = [], []
    for _ in range(steps):
        state, values = step(state, batches.next())
        metrics.append(values)
        tests.append(evaluate(state)["loss"])
    return state, metrics, tests


@pytest.mark.full
def test_records_are_means_since_the_last_one_and_the_steps_are_the_steps():
    result, sink = run(steps=12, log_every=5, eval_every=4)
    state, metrics, tests = by_hand(12)
    assert bits(result.state) == bits(state)
    trained = sink.kind("train")
    assert [line["step"] for line in trained] == [5, 10, 12]
    for line, (a, b) in zip(trained, [(0, 5), (5, 10), (10, 12)], strict=True):
        for name in ("loss", "mae"):
            expected = np.stack([np.asarray(m[name]) for m in metrics[a:b]]).mean()
            assert float(line[name]) == expected
    tested = sink.kind("test")
    assert [line["step"] for line in tested] == [4, 8, 12]
    assert [line["loss"] for line in tested] == [tests[i - 1] for i in (4, 8, 12)]


@pytest.mark.full
def test_hyperparameters_are_logged_as_the_last_step_used_them():
    _, sink = run(steps=10, log_every=5)
    rate = [0.05 * (1 + np.cos(np.pi * t / 40)) for t in (4, 9)]
    lines = sink.kind("train")
    np.testing.assert_allclose([x["learning_rate"] for x in lines], rate, rtol=1e-6)
    np.testing.assert_allclose([x["rho"] for x in lines], 0.05, rtol=1e-6)
    assert {"time", "steps_per_second"} < set(lines[0])


@pytest.mark.full
def test_stacked_seeds_log_one_number_where_they_agree():
    _, sink = run(steps=2, made=parts(seeds=3), log_every=2)
    (line,) = sink.kind("train")
    assert np.shape(line["loss"]) == (3,) and np.shape(line["learning_rate"]) == ()
    assert np.shape(sink.kind("test")[0]["loss"]) == (3,)


def test_evaluation_is_at_the_end_unless_asked_for_more():
    _, sink = run(steps=7, log_every=3)
    assert [x["step"] for x in sink.kind("test")] == [7]


def test_hooks_join_the_record_with_and_without_an_evaluator():
    seen = []

    def hook(step, state):
        seen.append((step, int(state.step)))
        return {"norm": float(jnp.linalg.norm(state.params["one"]))}

    for evaluates in (True, False):
        result, sink = run(steps=6, evaluates=evaluates, eval_every=3, hooks=[hook])
        tested = sink.kind("test")
        assert [line["step"] for line in tested] == [3, 6]
        assert ("loss" in tested[0]) == evaluates
        norm = float(jnp.linalg.norm(result.state.params["one"]))
        assert tested[-1]["norm"] == norm
    assert seen == [(3, 3), (6, 6)] * 2


@pytest.mark.parametrize("name", ["loss", "kind", "time"])
def test_a_hook_may_not_replace_what_is_there(name):
    with pytest.raises(InputError, match=f"a hook gave '{name}'"):
        run(steps=2, hooks=[lambda step, state: {name: 0.0}])


def test_the_state_that_was_passed_is_left_alone():
    made = parts()
    before = bits(made[1])
    run(steps=2, made=made)
    assert bits(made[1]) == before


def poisoned(at, seeds=None, **options):
    """Batches that hold a NaN for one step."""
    made = parts(seeds=seeds, **options)
    inner = made[2].next
    count = [0]

    def following():
        batch = inner()
        count[0] += 1
        where = (0,) if seeds is None else (1, 0)
        nan = {**batch, "y": batch["y"].at[where].set(jnp.nan)}
        return nan if count[0] == at else batch

    made[2].next = following  # pyright: ignore
    return made


def test_a_bad_loss_stops_with_the_step_and_without_a_checkpoint():
    message = r"^the loss is nan at step 7; no checkpoint was saved$"
    with pytest.raises(NonFiniteLossError, match=message):
        run(made=poisoned(7), log_every=5)


@pytest.mark.full
def test_a_bad_loss_names_the_last_good_checkpoint_and_the_seed(tmp_path):
    message = r"^the loss of seed 1 is nan at step 7; the last good .* is step 6$"
    with Checkpoints(tmp_path) as kept:
        with pytest.raises(NonFiniteLossError, match=message):
            made = poisoned(7, seeds=2)
            run(made=made, log_every=50, checkpoints=kept, save_every=3)
        assert kept.steps() == [3, 6]
        restored = kept.restore(made[1]).state
    assert all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(restored.params))


@pytest.mark.full
def test_parameters_spoilt_by_the_last_update_are_not_saved(tmp_path):
    step, *rest = parts()

    def spoiling(state, batch):
        state, metrics = step(state, batch)
        bad = jnp.where(state.step == 4, jnp.inf, 1.0)
        params = jax.tree.map(lambda x: x * bad, state.params)
        return state._replace(params=params), metrics

    message = "^the parameters are not finite after step 4; the last good .* step 2$"
    with Checkpoints(tmp_path) as kept:
        with pytest.raises(NonFiniteLossError, match=message):
            run(made=(spoiling, *rest), checkpoints=kept, save_every=2)
        assert kept.steps() == [2]


@pytest.mark.full
def test_skipping_goes_on_without_the_step():
    made = poisoned(3, skip_nonfinite=True)
    result, sink = run(steps=5, made=made, log_every=5, on_nonfinite="skip")
    (line,) = sink.kind("train")
    assert line["skipped"] == 0.2 and np.isfinite(line["loss"])
    assert int(result.state.step) == 5
    # The state is that of a run in which only keys and data went on.
    step, state, batches, _ = parts()
    step = jax.jit(step)
    for i in range(5):
        batch = batches.next()
        if i == 2:
            skipped = jax.random.split(state.key)[0]
            state = state._replace(step=state.step + 1, key=skipped)
        else:
            state, _ = step(state, batch)
    assert bits(result.state) == bits(state)


def test_skipping_needs_a_step_that_can():
    with pytest.raises(InputError, match=r"make_train_step\(\.\.\., skip_nonfinite="):
        run(on_nonfinite="skip")
    with pytest.raises(InputError, match="unknown on_nonfinite 'stpo'; perhaps you"):
        run(on_nonfinite="stpo")


def test_the_best_checkpoint_is_one_that_was_tested_as_it_was_saved(tmp_path):
    options = {"keep": 1, "best_metric": "loss", "best_mode": "min"}
    with Checkpoints(tmp_path, **options) as kept:
        _, sink = run(steps=12, eval_every=4, save_every=2, checkpoints=kept)
        tested = {line["step"]: line["loss"] for line in sink.kind("test")}
        assert kept.best() == min(tested, key=tested.__getitem__)
        assert set(tested) == {4, 8, 12}


@pytest.mark.full
def test_an_old_checkpoint_of_the_last_step_is_replaced(tmp_path):
    with Checkpoints(tmp_path) as kept:
        old = run(steps=4, made=parts(seed=1), checkpoints=kept)[0].state
        new = run(steps=4, checkpoints=kept)[0].state
        restored = kept.restore(new).state
    assert bits(restored) == bits(new) != bits(old)


def test_nothing_left_to_do():
    step, state, *rest = parts()
    state = state._replace(step=jnp.int32(12))
    result, sink = run(steps=12, made=(step, state, *rest))
    assert sink.lines == [] and result.stopped is None
    assert np.isnan(result.step_seconds) and bits(result.state) == bits(state)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"steps": 0}, r"steps=0 is out of range; accepted: \[1, inf\)"),
        ({"log_every": 0}, "log_every=0 is out of range"),
        ({"eval_every": -1}, r"eval_every=-1 is out of range; accepted: \[0, inf\)"),
        ({"save_every": -1}, "save_every=-1 is out of range"),
    ],
)
def test_ranges(options, message):
    with pytest.raises(InputError, match=message):
        run(**options)


def test_a_step_that_changes_types_is_named():
    step, *rest = parts()

    def narrow(state, batch):
        state, metrics = step(state, batch)
        params = {**state.params, "two": state.params["two"].astype(jnp.float32)}
        return state._replace(params=params), metrics

    with pytest.raises(InputError, match=r"params/two: expected float64\[4,3\], got f"):
        run(made=(narrow, *rest))


def test_the_step_is_compiled_once():
    def traces(steps):
        seen = []

        def counted(params, model_state, batch, key):
            seen.append(1)
            return loss_fn(params, model_state, batch, key)

        made = parts(loss_fn=counted)
        run(steps=steps, made=made, evaluates=False, log_every=2)
        return len(seen)

    # The epoch does not end with a full batch, so a short one would show.
    assert len(TRAIN["x"]) % 7
    assert traces(9) == traces(1)


IMPORTS = """
import sys
import jaxopt_lab.training
heavy = "flax orbax rich matplotlib tensorflow_datasets grain tensorboardX tyro chex"
print([name for name in heavy.split() if name in sys.modules])
"""


@pytest.mark.full
def test_importing_loads_nothing_heavy():
    command = [sys.executable, "-c", IMPORTS]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_wrong_kinds_name_what_is_accepted():
    step, state, batches, _ = parts()
    for arguments, said in (
        ((None, state, batches), "step of type NoneType cannot be called; accepted"),
        (
            (step, state.params, batches),
            "state of type dict is no TrainState; accepted",
        ),
        ((step, state, 7), "batches of type int cannot be read; accepted"),
    ):
        with pytest.raises(InputError, match=said):
            fit(*arguments, steps=1)


def test_labels_out_of_range_are_told_as_such():
    def apply(params, state, x, *, train, key=None):
        return x @ params, state

    model = Functional(lambda key: (jnp.zeros((2, 3)), {}), apply)
    tx = optax.sgd(0.1)
    state = init_state(tx, jnp.zeros((2, 3)), jax.random.key(0))
    step = make_train_step(classification_loss(model), tx)
    good = (np.ones((2, 2), np.float32), np.array([0, 2]))
    bad = (good[0], np.array([0, 3]))  # labels from 1 on, say
    said = (
        r"the loss is nan at step 3: label 3 is out of range \(1 of 2 labels\); "
        "accepted: 0 to 2, for the 3 outputs of the model; no checkpoint"
    )
    with pytest.raises(NonFiniteLossError, match=said):
        fit(step, state, [good, good, bad], steps=6, log_every=6)


@pytest.mark.full
def test_the_best_state_is_saved_when_it_is_found(tmp_path):
    step, state, batches, _ = parts()
    values = iter([0.5, 0.7, 0.6, 0.7, 0.4])

    def evaluate(state):
        return {"accuracy": np.float64(next(values))}

    options = {"evaluate": evaluate, "eval_every": 2, "progress": False}
    with Checkpoints(tmp_path, keep=1, best_metric="accuracy") as kept:
        fit(step, state, batches, steps=6, checkpoints=kept, **options)
        kept.wait()
        assert (kept.steps(), kept.best()) == ([4, 6], 4)
        _, state, resume = kept.restore(state)
        batches.set_state(resume["batches"])
        # Equal to the best of before, and worse: neither takes its place.
        more = {"steps": 10, "checkpoints": kept, "resume": resume}
        fit(step, state, batches, **more, **options)
        kept.wait()
        assert (kept.steps(), kept.best()) == ([4, 10], 4)
