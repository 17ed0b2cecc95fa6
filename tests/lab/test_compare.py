"""Comparisons from the command: equal budgets, interruptions, refusals."""

import json
import shutil
import signal
from typing import Any

import jax
import numpy as np
import pytest
from support import counted_loss, tiny_lab

from jaxopt_lab import lab
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab.commands.compare import main
from jaxopt_lab.lab.comparison import budgets, entries, finished, page, trainings
from jaxopt_lab.lab.comparison.options import parse
from jaxopt_lab.lab.comparison.study import StudyFolder
from jaxopt_lab.runtime import run as training

SEEDS, BUDGET = 2, 7
TINY = [*tiny_lab.WORDS, "loss=support.counted_loss:loss", "progress=off"]
WORDS = [
    *TINY,
    "methods=sgd,sam",
    f"seeds={SEEDS}",
    f"budget=gradients:{BUDGET}",
    "sharpness_examples=0",
    "noise=none",
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A comparison taken to its end, and the gradients that its program evaluated."""
    folder = tmp_path_factory.mktemp("compare") / "whole"
    before = counted_loss.evaluated[0]
    assert main([*WORDS, f"out={folder}"]) == 0
    jax.effects_barrier()
    return folder, counted_loss.evaluated[0] - before


def results(folder):
    return json.loads((folder / "results.json").read_text())


def test_equal_budgets_are_equal_in_the_program_and_in_the_record(whole):
    folder, evaluated = whole
    last = {m["label"]: m["curve"][-1] for m in results(folder)["methods"]}
    assert (last["sgd"]["step"], last["sam"]["step"]) == (BUDGET, BUDGET // 2)
    spent = [point["gradients"] for point in last.values()]
    assert all(BUDGET - 2 < n <= BUDGET for n in spent)
    assert evaluated == SEEDS * sum(spent)


def test_what_a_comparison_leaves(whole):
    folder, _ = whole
    found = results(folder)
    assert {p.name for p in folder.iterdir()} == {
        *("study.json", "plans", "runs", "measures"),
        *("results.json", "times.json", "report.html"),
    }
    text = (folder / "report.html").read_text()
    assert "http" not in text and len(text) < 2e6
    assert text.count("data:image/svg+xml") == 2
    for m in found["methods"]:
        assert len(m["scores"]) == SEEDS and m["examples_interval"] is None
        assert m["sharpness"] is None and m["noise"] == []
        assert m["curve"][-1]["scores"] == m["scores"]
        assert m["mean"] == pytest.approx(np.mean(m["scores"]))
    (pair,) = found["pairs"]
    assert pair["better"] is None and pair["smallest"] is None and pair["interval"]
    assert "2 seeds give intervals and no verdict" in page.conclusions(found)[0]
    for path in (folder / "results.json").read_text(), json.dumps(found):
        assert str(folder) not in path and "seconds" not in path


def without_the_second(whole, place):
    """A copy that has lost what is made after the training of its first method."""
    shutil.copytree(whole, place)
    for name in ("results.json", "times.json", "report.html", "measures/sam.json"):
        (place / name).unlink()
    return place, [*WORDS, f"out={place}"]


def test_results_that_are_made_again_are_the_same_to_the_bit(whole, tmp_path):
    folder, _ = whole
    again, words = without_the_second(folder, tmp_path / "again")
    trained = (again / "runs" / "sam" / "metrics.jsonl").read_bytes()
    assert main(words) == 0
    assert (again / "runs" / "sam" / "metrics.jsonl").read_bytes() == trained
    for name in ("results.json", "measures/sam.json"):
        assert (again / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.full
def test_interrupted_and_resumed_it_is_the_same_to_the_bit(
    whole, tmp_path, monkeypatch, capsys
):
    folder, _ = whole
    again, words = without_the_second(folder, tmp_path / "again")
    shutil.rmtree(again / "runs" / "sam")
    take_step, taken = training.Run.take_step, []

    def stopped(self, step):
        take_step(self, step)
        taken.append(step)
        if len(taken) == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(training.Run, "take_step", stopped)
    assert main(words) == 130
    told = capsys.readouterr().err
    assert "SIGINT: what is trained is kept; go on with: " in told
    assert f"out={again}" in told and "budget=gradients:7" in told
    assert not (again / "results.json").exists()
    assert main(words) == 0
    assert len(taken) == BUDGET // 2
    assert (again / "results.json").read_bytes() == (
        folder / "results.json"
    ).read_bytes()


def test_another_comparison_is_not_mixed_in(whole, capsys):
    folder, _ = whole
    words = [w for w in WORDS if not w.startswith("budget")]
    assert main([*words, "budget=steps:4", f"out={folder}"]) == 2
    told = capsys.readouterr().err
    assert "holds another comparison: budget was " in told and told.count("\n") == 1
    assert main([*WORDS, f"out={folder / 'runs' / 'sgd'}"]) == 2
    assert "holds a run, no comparison" in capsys.readouterr().err
    with pytest.raises(InputError, match="no comparison"):
        StudyFolder(folder / "runs", {})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["methods=sgd,smm"], "unknown method 'smm'; perhaps you meant"),
        (["methods=sgd"], "methods=sgd is no comparison"),
        (["methods=sgd,sgd"], "names sgd twice"),
        (["methods=sgd,sam", "budget=gradients:1"], "less than a step of sam"),
        (["budget=gradient:9"], "perhaps you meant 'gradients'"),
        (["budget=9"], "accepted: UNIT:AMOUNT"),
        (["budget=steps:1.5"], "whole number above 0"),
        (["steps=9"], "the length is budget=steps:N"),
        (["method=sam"], "method=sam is for vary="),
        (["vary=norm"], "vary=norm needs values="),
        (["vary=task", "values=a,b"], "vary=task cannot be compared"),
        (["vary=loss", "values=a,b", "loss=c"], "vary=loss beside loss=c"),
        (["vary=norm", "values=none,bach", "model=convnet"], "unknown norm 'bach'"),
        (
            ["vary=norm", "values=none,group", "model=convnet", "model.channels=4"],
            "group: groups must divide the features, 4",
        ),
        (["vary=regulariser", "values=a,b"], "unknown option of a run 'regulariser'"),
        (["methods=sgd,sam", "roh=0.1"], "unknown option 'roh'; perhaps you meant"),
        (["methods=sgd,adam", "base=sgd"], "base=sgd would change nothing"),
        (["methods=sgd,adam", "adam.rho=1"], "unknown option of adam 'rho'"),
        (["methods=sgd,sam", "runs=a,b"], "are two comparisons"),
        (["runs=nowhere,none"], "nowhere holds no run"),
        (["runs=none*"], "names 0 run(s)"),
        (["runs=a,b", "seeds=3"], "seeds=3 would do nothing beside runs="),
        (["noise=-1"], "noise=-1; accepted"),
        (["seeds=0"], "seeds=0 is out of range"),
        (["budget=examples:10"], "less than a step of sgd, which takes 64 examples"),
    ],
)
def test_bad_input_is_one_line(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1
    assert not [p for p in tmp_path.rglob("*") if p.name in ("results.json", "runs")]


def test_options_hold_for_the_methods_that_have_them():
    asked = parse(["methods=sgd,sam,adam", "rho=0.2", "base=adam", "adam.b1=0.8"])
    sgd, sam, adam = (e.configuration(40) for e in entries.entries(asked))
    assert sam.method["rho"] == 0.2 and sam.flat()["base"] == "adam"
    assert adam.method["b1"] == 0.8 and sgd.rows.base is None
    assert {c.run.model for c in (sgd, sam, adam)} == {"mlp"}
    assert sgd.run.eval_every == 4 and sgd.run.on_nonfinite == "skip"
    other = parse(["methods=sgd,sam", "model=auto", "eval_every=7", "val=0.1"])
    first = entries.entries(other)[0].configuration(40).run
    assert (first.model, first.eval_every, first.val) == ("convnet", 7, 0.1)


def test_parts_of_other_kinds():
    values = "values=none,group,evonorm_s0"
    words = ["vary=norm", values, "method=adam", "model=convnet"]
    none, group, evonorm = entries.entries(parse(words))
    assert none.first.model.norm == "none" and group.label == "group"
    assert group.first.model.norm == "group_norm"
    assert evonorm.first.model.norm == "evonorm_s0"
    words = ["vary=loss", "values=cross_entropy,emo", "method=sgd", "emo.loss.share=1"]
    _, emo = (e.first for e in entries.entries(parse(words)))
    assert emo.flat()["loss.share"] == 1 and emo.run.method == "sgd"
    words = ["vary=learning_rate", "values=0.1,0.3", "method=sgd", "config=none.json"]
    with pytest.raises(InputError, match="cannot read none.json"):
        entries.entries(parse(words))


_ONE_SEED = ["seeds=1", "budget=examples:640", "micro_batches=2"]
KINDS = {
    "norm": ["values=none,group", "model=convnet"],
    "activation": ["values=relu,selu"],
    "loss": ["values=cross_entropy,emo"],
    "regularizer": ["values=none,shade", "shade.regularizer.weight=0.1"],
    "augment": ["values=none,crop,mixup"],
    "recipe": ["values=none,ensemble,decoupled", "ensemble.recipe.members=2"],
    "controller": ["values=none,norm_test", "norm_test.controller.eta=9", *_ONE_SEED],
}


@pytest.mark.parametrize("kind", KINDS)
def test_parts_of_every_kind_that_a_run_takes(kind):
    asked = parse([f"vary={kind}", "method=adam", *KINDS[kind]])
    found = entries.entries(asked)
    names = asked.options.values.split(",")
    assert [entry.label for entry in found] == names
    for entry in found[1:]:
        flat = entry.first.flat()
        own = kind if kind in flat else f"model.{kind}"
        assert flat[own] == entry.label or flat[own] == f"{entry.label}_norm"
    budget = budgets.parse(asked.options.budget)
    assert budgets.of_steps(budget, {e.label: e.first for e in found})


@pytest.mark.parametrize(
    "words, said",
    [
        (
            ["vary=recipe", "values=none,gan"],
            "compare takes no recipe=gan: it trains a",
        ),
        (
            ["vary=recipe", "values=none,podnet"],
            "compare takes no recipe=podnet: it sh",
        ),
        (["vary=recipe", "values=none,ghost"], "in Python: jaxopt_lab.recipes.make_g"),
        (
            ["vary=controller", "values=none,norm_test", *_ONE_SEED[::2]],
            "goes with seeds=1 alone; got 5",
        ),
        (
            ["vary=controller", "values=none,norm_test", _ONE_SEED[0], _ONE_SEED[2]],
            "equal gradients are not equal work; accepted: budget=examples:N",
        ),
    ],
)
def test_parts_that_cannot_be_compared_say_so(words, said, capsys):
    words = [w for w in words if said.find("seeds=1 alone") < 0 or "seeds" not in w]
    assert main([*words, "method=adam", "task=digits", "progress=off"]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


@pytest.mark.full
@pytest.mark.parametrize("kind", ["recipe", "controller"])
def test_recipes_and_controllers_are_compared(kind, tmp_path):
    few = {
        "recipe": ["values=none,ensemble", "ensemble.recipe.members=2", *WORDS[-4:]],
        "controller": [*KINDS["controller"], *WORDS[-2:]],
    }[kind]
    words = [*tiny_lab.WORDS, "method=adam", f"vary={kind}", *few, "progress=off"]
    if kind == "controller":
        words.append("norm_test.controller.max_batch=64")
    assert main([*words, f"out={tmp_path / 'all'}"]) == 0
    found = results(tmp_path / "all")["methods"]
    last = [m["curve"][-1] for m in found]
    if kind == "controller":
        assert 640 <= last[1]["examples"] < 640 + 64 and last[0]["examples"] == 640
    else:
        assert [p["gradients"] for p in last] == [7, 6]
    assert (tmp_path / "all" / "report.html").exists()


def test_budgets():
    averages = budgets.Budget("gradients", 11.0)
    assert budgets.steps(averages, 1.1, "looksam") == 10
    budgets.check_spent(averages, {"gradients": 10.8, "step": 10}, 1.2, "a")
    for spent in (9.0, 11.5):
        with pytest.raises(AssertionError, match="a has spent"):
            budgets.check_spent(averages, {"gradients": spent}, 1.2, "a")
    asked = parse(["methods=sgd,sam", "batch_size=16"])
    sgd, sam = (e.first for e in entries.entries(asked))
    assert budgets.per_step(budgets.parse("examples:160"), sgd) == 16
    assert budgets.per_step(averages, sam) == 2


def test_seconds_and_tuned_options_are_kept(tmp_path, monkeypatch):
    from jaxopt_lab.lab import tuning

    asked = parse(["methods=sgd,sam", "tune=3", "budget=seconds:2", "seed=4"])
    sgd, _ = entries.entries(asked)
    times, given = iter([0.01, 0.5]), []
    monkeypatch.setattr(budgets, "seconds_a_step", lambda _: next(times))

    def best(configuration, **options):
        given.append((configuration.run.steps, options["trials"], [*options["seeds"]]))
        return {"learning_rate": 0.25}

    monkeypatch.setattr(tuning, "best_settings", best)
    with StudyFolder(tmp_path / "a", asked.settings()) as folder:
        budget = budgets.parse(asked.options.budget)
        plans = [
            trainings.plan(sgd, budget, None, asked, folder, "sgd", lambda _: None)
            for _ in range(2)
        ]
    assert plans[0] == plans[1] == {"steps": 200, "tuned": {"learning_rate": 0.25}}
    assert given == [(200, 3, [4, 5, 6, 7, 8])]
    configuration = sgd.configuration(200, plans[0]["tuned"])
    assert configuration.method["learning_rate"] == 0.25


def copied_run(whole, place, **changed):
    shutil.copytree(whole / "runs" / "sgd", place)
    path = place / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    (place / "history.jsonl").unlink()
    return place


def test_runs_that_exist(whole, tmp_path):
    folder, _ = whole
    asked = parse([f"runs={folder}/runs/*", "noise=none", "sharpness_examples=0"])
    chosen = finished.finished(asked, lambda _: None)
    assert chosen.about["seeds"] == [0, 1] and chosen.about["budget"] == "not the same"
    with StudyFolder(tmp_path / "a", asked.settings()) as study:
        runs = chosen.measured(study)
    before = {m["label"]: m["scores"] for m in results(folder)["methods"]}
    assert {run.label: run.record["scores"] for run in runs} == before


def test_runs_that_cannot_be_compared(whole, tmp_path):
    folder, _ = whole
    sam = folder / "runs" / "sam"
    cases = {
        "val=0.0": copied_run(folder, tmp_path / "val", val=0.5),
        "no seed in common": copied_run(folder, tmp_path / "seed", seed=5),
        "task=support.tiny_lab:data": copied_run(
            folder, tmp_path / "task", task="digits", model="mlp", loss="cross_entropy"
        ),
        "is not complete": copied_run(folder, tmp_path / "part"),
    }
    (cases["is not complete"] / "summary.json").write_text('{"steps": 3}')
    for message, other in cases.items():
        asked = parse([f"runs={sam},{other}"])
        with pytest.raises(InputError, match=message):
            finished.finished(asked, lambda _: None)
    with pytest.raises(InputError, match="twice"):
        finished.folders(f"{sam},{folder}/runs/sam")
    few = copied_run(folder, tmp_path / "few", seeds=1)
    asked = parse([f"runs={sam},{few}"])
    assert finished.finished(asked, lambda _: None).about["seeds"] == [0]


def test_the_command_that_resumes_it():
    asked = parse(["methods=sgd,sam", "rho=0.1", "progress=on", "noise=none"])
    line = asked.command("a b")
    assert line.endswith("methods=sgd,sam noise=none rho=0.1 progress=on 'out=a b'")
    assert "progress" not in asked.settings()


@pytest.mark.full
def test_what_is_measured_on_runs_that_exist(whole, tmp_path):
    folder, _ = whole
    out = tmp_path / "runs"
    words = ["noise=0.1,0.01", "sharpness_examples=8", f"out={out}"]
    assert main([f"runs={folder}/runs/sgd,{folder}/runs/sam", *words]) == 0
    first = results(out)
    for m in first["methods"]:
        assert np.shape(m["noise"]) == (2, SEEDS) and min(m["sharpness"]) > 0
    text = (out / "report.html").read_text()
    assert text.count("data:image/svg+xml") == 4 and len(text) < 2e6
    before = (out / "results.json").read_bytes()
    shutil.rmtree(out / "measures")
    assert main([f"runs={folder}/runs/sgd,{folder}/runs/sam", *words]) == 0
    assert (out / "results.json").read_bytes() == before


@pytest.mark.full
def test_in_python(tmp_path):
    words = [*TINY, "budget=steps:2", "noise=none"]
    given: dict[str, Any] = dict(word.split("=") for word in words)
    given |= {"sharpness_examples": 0, "seeds": 1, "out": tmp_path / "a"}
    found = lab.compare(["sgd", "adam"], **given)
    assert [m["label"] for m in found.results["methods"]] == ["sgd", "adam"]
    assert found.report.exists() and found.results["pairs"][0]["interval"] is None
    assert "One seed: there is no interval" in page.conclusions(found.results)[0]
