"""Whole runs of recipes that are more than one model."""

import shutil
from typing import Any

import jax
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import load, runs
from jaxopt_lab.lab.command_line import parse
from jaxopt_lab.lab.commands import evaluate, predict, quantize
from jaxopt_lab.lab.run_page import write
from jaxopt_lab.runtime import WALL_CLOCK, read_metrics

WORDS = ["method=adam", "learning_rate=0.01", "task=digits", "mesh=data:1"]
WORDS += ["batch_size=16", "log_every=1", "report=off", "schedule=constant"]
MLP = ["model=mlp", "model.width=6", "model.depth=1"]
RUNS = {
    "flow_matching": [*MLP, "recipe.epsilon=5", "recipe.sample_steps=2", "ema=0.5"],
    "gan": [*MLP, "recipe.discriminators=2", "recipe.drop=0.5", "seeds=2"],
    "podnet": ["model=convnet", "model.channels=2", "model.dense=4", "recipe.tasks=2"],
    "decoupled": [*MLP, "recipe.labels=true", "model.depth=2"],
}


def trained(folder, name, *words) -> Any:
    given = {w.split("=")[0]: w for w in [*WORDS, *RUNS.get(name, MLP), *words]}
    recipe = [f"recipe={name}"] if name in RUNS else []
    return runs.train(parse([*given.values(), *recipe, f"out={folder}"]))


def lines(folder):
    records = read_metrics(folder / "metrics.jsonl")
    return [{k: v for k, v in r.items() if k not in WALL_CLOCK} for r in records]


@pytest.mark.full
@pytest.mark.parametrize("name", RUNS)
def test_a_pause_changes_nothing(tmp_path, name):
    words = ["steps=4", "save_every=1", "eval_every=2"]
    whole = trained(tmp_path, name, *words).fitted.state
    records = lines(tmp_path)
    for folder in (tmp_path / "checkpoints").iterdir():
        if folder.name.isdecimal() and int(folder.name) != 3:
            shutil.rmtree(folder)
    again = trained(tmp_path, name, *words).fitted.state
    assert lines(tmp_path) == records
    jax.tree.map(np.testing.assert_array_equal, again[:4], whole[:4])
    tested = load(tmp_path).evaluate()
    last = [r for r in records if r["kind"] == "test"][-1]
    for score, value in tested.items():
        np.testing.assert_allclose(value, last[score], rtol=1e-5, atol=1e-6)


@pytest.mark.full
def test_a_generator_makes_samples_and_a_page_but_no_classes(tmp_path, capsys):
    trained(tmp_path, "flow_matching", "steps=2", "eval_every=0")
    run = load(tmp_path)
    made = run.samples(3)
    assert made.shape == (3, 8, 8, 1) and np.isfinite(made).all()
    np.testing.assert_array_equal(made, run.samples(3))
    assert not np.array_equal(made, run.samples(3, seed=1))
    with pytest.raises(InputError, match="predict needs a classifier; .* was trained"):
        run.predict(np.zeros((1, 8, 8, 1)))
    for command in (predict, quantize):
        np.save(tmp_path / "x.npy", np.zeros((1, 8, 8, 1), np.float32))
        words = [f"run={tmp_path}"]
        words += [f"input={tmp_path / 'x.npy'}"] if command is predict else []
        capsys.readouterr()
        assert command.main(words) == 2
        said = capsys.readouterr().err
        assert "needs a classifier" in said and said.count("\n") == 1
    assert evaluate.main([f"run={tmp_path}"]) == 0
    assert "coverage" in capsys.readouterr().out
    page = write.write(run)
    assert page is not None
    text = page.read_text()
    assert "Samples and test examples" in text and "fuzzy_topology_impact" in text


@pytest.mark.full
def test_with_true_gradients_the_layers_are_the_plain_perceptron(tmp_path):
    words = ["steps=3", "eval_every=0", "model.depth=2"]
    plain = trained(tmp_path / "plain", "", *words)
    apart = trained(tmp_path / "apart", "decoupled", *words, "recipe.weight=0")
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    view = apart.program.view(apart.fitted.state)
    jax.tree.map(close, view.params, plain.fitted.state.params)
    x = np.ones((2, 8, 8, 1), np.float32)
    close(load(tmp_path / "apart").apply(x), load(tmp_path / "plain").apply(x))


@pytest.mark.full
def test_classes_come_in_groups(tmp_path):
    outcome = trained(tmp_path, "podnet", "steps=40", "eval_every=20")
    tests = [r for r in lines(tmp_path) if r["kind"] == "test"]
    first, last = tests
    assert first["task_2_accuracy"] == 0 < last["task_2_accuracy"]
    assert first["seen_accuracy"] > first["accuracy"] > 0
    assert last["seen_accuracy"] == last["accuracy"]
    rows = outcome.summary["task_accuracies"]
    assert rows == [[t[f"task_{g}_accuracy"] for g in (1, 2)] for t in tests]
    assert outcome.summary["forgetting"] == [pytest.approx(rows[0][0] - rows[1][0])]
    state: Any = outcome.fitted.state
    assert int(state.model_state["model"]["seen"]) == 10
    # The frozen network is the model as it was when the second task began.
    assert int(state.model_state["old"]["seen"]) == 10
    kept = np.asarray(state.model_state["memory"].examples["label"])
    assert {*kept.tolist()} == {*range(10)}


@pytest.mark.full
def test_without_its_terms_a_single_group_needs_no_frozen_network(tmp_path):
    words = ["steps=2", "eval_every=0", "recipe.tasks=1", "recipe.weight=0"]
    words += ["recipe.spatial=0", "recipe.flat=0"]
    trained(tmp_path, "podnet", *words)
    assert "spatial" not in lines(tmp_path)[0]
    with pytest.raises(InputError, match="model mlp has none; accepted of it: recipe"):
        out = [f"out={tmp_path / 'none'}", "recipe=podnet", "recipe.tasks=1"]
        runs.train(parse([*WORDS, *MLP, "steps=1", "eval_every=0", *out]))
