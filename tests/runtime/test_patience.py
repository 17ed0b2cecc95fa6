"""Early stopping: by tests, to the bit after an interruption."""

import numpy as np
import pytest
from support import tiny_run

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.runtime import Checkpoints, JsonLines, fit

SCORES = [1, 3, 2, 3, 1, 5, 0, 0]
"""Best at the second test, no better in the next three."""


def run(folder, steps=24, patience=3, eval_every=3, act=None, at=0, **options):
    """Scores by test, whatever the weights are."""
    step, state, batches, _ = tiny_run.parts()
    options = {"log_every": 5, "progress": False, "save_every": 2} | options

    def evaluate(state):
        return {"score": np.float64(SCORES[int(state.step) // 3 - 1])}

    with Checkpoints(folder / "checkpoints", best_metric="score") as checkpoints:
        start, resume = 0, None
        if checkpoints.latest() is not None:
            start, state, resume = checkpoints.restore(state)
            batches.set_state(resume["batches"])
        if act is not None:
            batches = tiny_run.Interrupted(batches, act, at - start)
        sink = JsonLines(folder / "metrics.jsonl", resume_at=start)
        try:
            return fit(
                step,
                state,
                batches,
                steps=steps,
                evaluate=evaluate,
                eval_every=eval_every,
                sinks=[sink],
                checkpoints=checkpoints,
                resume=resume,
                patience=patience,
                **options,
            )
        finally:
            sink.close()


@pytest.mark.full
def test_it_ends_after_its_tests_and_an_interrupted_run_there_too(tmp_path):
    whole = run(tmp_path / "whole")
    assert (whole.early, whole.stopped) == (True, None)
    assert int(whole.state.step) == 15
    records = tiny_run.records(tmp_path / "whole")
    assert [(r["kind"], r["step"]) for r in records][-2:] == [
        ("train", 15),
        ("test", 15),
    ]
    piece = run(tmp_path / "pieces", act=tiny_run.terminate, at=11)
    assert (piece.early, piece.stopped) == (False, "SIGTERM")
    pieces = run(tmp_path / "pieces")
    assert pieces.early and tiny_run.bits(pieces.state) == tiny_run.bits(whole.state)
    assert tiny_run.records(tmp_path / "pieces") == records
    # One more start takes no step; more patience goes on.
    again = run(tmp_path / "pieces")
    assert again.early and int(again.state.step) == 15
    more = run(tmp_path / "pieces", patience=4)
    assert not more.early and int(more.state.step) == 24


def test_it_ends_early_with_a_last_record(tmp_path):
    told = []
    early = run(
        tmp_path,
        log_every=100,
        save_every=0,
        counts={"examples": 7, "gradients": 1.5},
        on_step=lambda done, state: told.append(done),
    )
    assert early.early and told == list(range(1, 16))
    last = [r for r in tiny_run.records(tmp_path) if r["kind"] == "train"]
    counted = [(r["step"], r["examples"], r["gradients"]) for r in last]
    assert counted == [(15, 105, 22.5)]


@pytest.mark.full
def test_a_run_that_gets_better_takes_all_steps(tmp_path):
    found = run(tmp_path, steps=10)
    assert not found.early and int(found.state.step) == 10


def test_what_it_needs_is_said(tmp_path):
    step, state, batches, evaluate = tiny_run.parts()
    options = {"steps": 2, "evaluate": evaluate, "progress": False}
    with pytest.raises(InputError, match="patience=2 needs evaluate= and eval_every="):
        fit(step, state, batches, patience=2, **options)
    with pytest.raises(InputError, match="patience=2 needs checkpoints=Checkpoints"):
        fit(step, state, batches, patience=2, eval_every=1, **options)
    with pytest.raises(InputError, match="patience=-1 is out of range"):
        fit(step, state, batches, patience=-1, **options)
