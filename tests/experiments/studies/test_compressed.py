"""The study on compressed optimizer state, at a tiny size."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.studies.compressed import figures, measure, methods, panels
from experiments.studies.compressed.__main__ import STUDY
from experiments.studies.compressed.config import SIZES
from jaxopt_lab.lab import program_bytes

TINY = dataclasses.replace(
    SIZES["quick"],
    steps=3,
    tuned_steps=2,
    rates=(1e-3, 1e-2),
    seeds=1,
    width=8,
    depth=1,
    context=4,
    batch_size=2,
    channels=(2,),
    pairs=1,
    without=(),
)


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("To be, or not to be, that is The question. " * 60)
    return path


def test_peak_is_what_is_alive():
    x = jax.ShapeDtypeStruct((1000,), jnp.float32)
    plain = jax.jit(lambda x: x + 1).lower(x).compile()
    given = jax.jit(lambda x: x + 1, donate_argnums=0).lower(x).compile()
    assert program_bytes.peak_bytes(plain) >= 8000
    assert program_bytes.peak_bytes(plain) - program_bytes.peak_bytes(given) == 4000


def test_the_second_text_swaps_the_case(text):
    scratch, tuning = panels.language(TINY, text)
    count = len(next(iter(scratch.train.values())))
    assert (scratch.steps, tuning.steps) == (3, 2)
    for name, x in scratch.train.items():
        assert x.shape == tuning.train[name].shape and len(x) == count
        # A character that has no other case stays, another comes back if swapped twice.
        moved = {
            (int(a), int(b))
            for a, b in zip(x.flat, tuning.train[name].flat, strict=True)
        }
        table = dict(moved)
        assert len(table) == len(moved)
        assert any(a != b for a, b in moved)
        assert all(table.get(b, a) == a for a, b in moved)


@pytest.mark.full
def test_a_run_is_that_of_the_optimizer():
    """The compiled step with its schedule against a loop by hand."""
    panel = panels.images(TINY)
    made = measure.stepper(methods.ADAMW, panel, TINY)
    state, losses = measure.follow(made, panel, 1e-2, 5, TINY, None)
    assert losses.shape == (3,)

    shape = optax.warmup_cosine_decay_schedule(0.0, 1.0, 1, 3, 0.1)
    tx = methods.ADAMW.make(lambda count: 1e-2 * shape(count + 1))
    start = made.init(5, None)
    params, opt_state = start.params, tx.init(start.params)

    @jax.jit
    def gradient(params, batch):
        loss = lambda p: panel.loss_fn(p, start.model_state, batch, start.key)[0]
        return jax.grad(loss)(params)

    for step in range(3):
        grads = gradient(params, panel.batch(5, step, TINY.batch_size))
        updates, opt_state = tx.update(grads, opt_state, params)
        params = optax.apply_updates(params, updates)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), params, state.params
    )


def test_what_diverged_is_named_and_not_drawn():
    names, losses = ["a", "b", "c"], [1.0, float("inf"), 217.0]
    around = [(0.9 * x, 1.1 * x) for x in losses]
    axes = figures.price("here", names, [8.0, 2.0, 1.0], losses, around).axes[0]
    assert "b (diverged), c (217)" in axes.get_title()
    assert axes.get_legend_handles_labels()[1] == ["a"] and axes.get_ylim()[1] < 2


def test_a_method_that_diverges_does_not_flatten_the_curves():
    t = np.arange(60.0)
    found = {"sound": 2.0 - t[None] / 60, "wild": 2.0 * 1.2 ** t[None]}
    low, high = figures.curves("here", found).axes[0].get_ylim()
    assert 0.8 < low < 1.1 and 2.0 < high < 2.2


def test_a_missing_text_ends_the_run_at_once(tmp_path, capsys):
    out = tmp_path / "new"
    assert STUDY.main(["quick", f"out={out}", f"text={tmp_path / 'none.txt'}"]) == 2
    assert "none.txt" in capsys.readouterr().err and not out.exists()


@pytest.mark.full
def test_runs_and_leaves_its_files(text, tmp_path, capsys, monkeypatch):
    few = (methods.ADAMW, methods.EIGHT, methods.LDADAM_8)
    monkeypatch.setattr(methods, "ALL", few)
    outcome = STUDY.run(TINY, tmp_path / "new", text=str(text))
    folder = tmp_path / "new"
    record = json.loads((folder / "results.json").read_text())
    rows = record["rows"]
    assert [r["method"] for r in rows] == 3 * [m.name for m in few]
    assert len(record["verdicts"]) == len(outcome.verdicts) == 6
    state = {r["method"]: r["state_bytes"] for r in rows if r["panel"] == "convnet"}
    assert state["AdamW"] == pytest.approx(8, abs=0.5)
    assert all(np.isfinite(r["loss"]) for r in rows)
    for panel in ("convnet", "transformer", "fine-tuning"):
        for what in ("loss", "bytes"):
            data = (folder / f"{panel}-{what}.png").read_bytes()
            assert data.startswith(b"\x89PNG")
    assert "AdamW better than LDAdam 8" in capsys.readouterr().out
