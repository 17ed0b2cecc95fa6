"""A controller on the command line: refusals, its neutral element, pauses, devices."""

import json
import shutil
from typing import Any

import jax
import numpy as np
import pytest

from jaxopt_lab.controllers import rate_by_examples
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import controlled, load, runs
from jaxopt_lab.lab.command_line import parse
from jaxopt_lab.runtime import WALL_CLOCK, read_metrics

WORDS = ["method=adam", "task=digits", "model=mlp", "model.width=8", "model.depth=1"]
BATCH = ["batch_size=16", "micro_batches=2"]
NORM = ["controller=norm_test", "controller.eta=1", "controller.max_batch=256"]


@pytest.mark.parametrize(
    "words, said",
    [
        ([*NORM, "micro_batches=1"], "variance between micro-batches"),
        ([*NORM, *BATCH, "method=sam"], "one gradient of each micro-batch; sam asks"),
        ([*NORM, *BATCH, "seeds=2"], "goes with seeds=1 alone; got 2"),
        ([*NORM, *BATCH, "on_nonfinite=skip"], "goes with on_nonfinite=stop alone"),
        ([*NORM, *BATCH, "batch_size=512"], "start_batch is batch_size"),
        (
            [*NORM, *BATCH, "controller.start_batch=3"],
            "unknown option 'controller.start",
        ),
        ([*NORM, *BATCH, "weight_decay=0.1"], "weight_decay_type=l2"),
        (
            [*BATCH, "controller=rate_by_examples"],
            "is the same rule, and goes by examples",
        ),
        ([*BATCH, "controller=augmented_test"], "go through every micro-batch twice"),
        ([*BATCH, "controller=spectral_rates"], "measure the spectrum between two"),
        ([*BATCH, "controller=activation_stopping"], "a target set, which no task has"),
        (
            [*BATCH, "controller=spectral_rates"],
            "in Python: jaxopt_lab.controllers.spectral_rates",
        ),
        ([*BATCH, "controller=norm"], "unknown controller 'norm'"),
    ],
)
def test_what_does_not_go_with_it_is_refused(words, said):
    given = {word.split("=")[0]: word for word in [*WORDS, *words]}
    with pytest.raises(InputError, match=said):
        parse(list(given.values()))


def test_the_schedule_goes_by_examples():
    words = [*NORM, *BATCH, "steps=100", "learning_rate=0.5", "schedule=linear"]
    made = controlled.prepare(parse([*WORDS, *words]))
    assert made is not None and made.examples == 1600
    assert made.first == {"accumulation": 2, "learning_rate": 0.5}
    state = made.controller.init()
    stats = {"variance": 80.0, "grad_norm_sq": 1.0, "batch": 16.0}
    decision, state = made.controller.decide(stats, state)
    assert decision == {"accumulation": 10, "learning_rate": pytest.approx(0.495)}
    decision, state = made.controller.decide({**stats, "batch": 784.0}, state)
    assert decision["learning_rate"] == pytest.approx(0.25)
    assert json.loads(json.dumps(state)) == state


def test_rate_by_examples_is_the_schedule_of_a_run():
    words = [*NORM, *BATCH, "steps=100", "learning_rate=0.5", "schedule=cosine"]
    made = controlled.prepare(parse([*WORDS, *words, "warmup=0.1", "end_rate=0.1"]))
    assert made is not None
    rule = rate_by_examples(0.5, total_examples=1600, warmup=0.1, last=0.1)
    ours, state, own = made.controller.init(), rule.init(), []
    stats = {"variance": 0.0, "grad_norm_sq": 1.0}
    for batch in (16.0, 16.0, 64.0, 64.0, 256.0, 800.0):
        decision, ours = made.controller.decide({**stats, "batch": batch}, ours)
        wanted, state = rule.decide({"batch": batch}, state)
        own.append((decision["learning_rate"], wanted["learning_rate"]))
    np.testing.assert_allclose(*zip(*own, strict=True), rtol=1e-5)


def trained(folder, *words) -> Any:
    out = [f"out={folder}", "log_every=1", "eval_every=0", "report=off"]
    return runs.train(parse([*WORDS, *BATCH, *words, *out]))


def lines(folder):
    records = read_metrics(folder / "metrics.jsonl")
    return [{k: v for k, v in r.items() if k not in WALL_CLOCK} for r in records]


@pytest.mark.full
def test_without_a_limit_of_noise_it_is_the_plain_run(tmp_path):
    neutral = ["controller=norm_test", "controller.eta=inf", "steps=6"]
    one = trained(tmp_path / "one", *neutral, "ema=0.5").fitted.state
    two = trained(tmp_path / "two", "steps=6", "ema=0.5").fitted.state
    for a, b in zip(jax.tree.leaves(one[:3]), jax.tree.leaves(two[:3]), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)
    first, second = lines(tmp_path / "one"), lines(tmp_path / "two")
    for a, b in zip(first, second, strict=True):
        shared = ("step", "examples", "gradients")
        assert [a[n] for n in shared] == [b[n] for n in shared]
        if a["kind"] == "train":
            np.testing.assert_allclose(a["learning_rate"], b["learning_rate"], 1e-5)
            np.testing.assert_allclose(a["grad_norm"], b["grad_norm"], rtol=1e-4)


@pytest.mark.full
def test_it_grows_and_resumes_to_the_bit(tmp_path):
    words = [*NORM, "steps=60"]
    whole = trained(tmp_path / "whole", *words, "save_every=2")
    records = lines(tmp_path / "whole")
    sizes = [r["batch"] for r in records if r["kind"] == "train"]
    assert sizes == sorted(sizes) and sizes[-1] > sizes[0] == 16
    assert records[-1]["examples"] == sum(sizes) >= 960
    assert whole.summary["complete"] and whole.summary["examples"] == sum(sizes)
    # The same run from its second step on.
    kept = tmp_path / "whole" / "checkpoints"
    for folder in kept.iterdir():
        if folder.name.isdecimal() and int(folder.name) != 2:
            shutil.rmtree(folder)
    again = trained(tmp_path / "whole", *words, "save_every=2")
    assert lines(tmp_path / "whole") == records
    a, b = again.fitted.state, whole.fitted.state
    jax.tree.map(np.testing.assert_array_equal, a[:4], b[:4])
    assert trained(tmp_path / "whole", *words, "save_every=2").fitted is None
    assert load(tmp_path / "whole").evaluate()["accuracy"] > 0


@pytest.mark.full
def test_one_device_is_eight(tmp_path):
    words = [*NORM, "steps=12"]
    one = trained(tmp_path / "one", *words, "mesh=data:1", "ema=0.5")
    many = trained(tmp_path / "many", *words, "mesh=data:8", "ema=0.5")
    first, second = lines(tmp_path / "one"), lines(tmp_path / "many")
    assert [r["examples"] for r in first] == [r["examples"] for r in second]
    for a, b in zip(
        jax.tree.leaves(one.fitted.state.params),
        jax.tree.leaves(many.fitted.state.params),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.full
def test_the_noisiest_entry_lets_the_batch_grow(tmp_path):
    words = [*WORDS, *BATCH, "controller=coordinate_test", "controller.max_batch=64"]
    records = []
    for eta in (1e6, 1e-3):
        out = tmp_path / str(eta)
        more = [f"controller.eta={eta}", "steps=12", f"out={out}", "log_every=1"]
        runs.train(parse([*words, *more, "eval_every=0", "report=off"]))
        found = read_metrics(out / "metrics.jsonl")
        records.append([r for r in found if r["kind"] == "train"])
    for batches, largest in zip(records, (16, 64), strict=True):
        assert max(r["batch"] for r in batches) == largest
    assert all(np.isfinite(r["coordinate_ratio"]) for r in records[1])
