"""The command tune, on a network that compiles in a moment."""

import json

import pytest
from support.tiny_lab import WORDS

from jaxopt_lab.lab import command_line
from jaxopt_lab.lab.commands.tune import main
from jaxopt_lab.lab.tuning import axes, grid_search, store

SAM = [*WORDS, "method=sam", "seeds=2", "steps=12"]
GRID = ["rho=0.05,0.2", "learning_rate=1e-3,0.1"]


@pytest.fixture(scope="module")
def shared():
    """Programs by configuration, so that each is compiled once in these tests.

    With ``at_once=1`` it serves any number of settings.
    """
    made = {}

    def program(configuration, names, *numbers):
        key = (repr(configuration.flat()), tuple(names), *numbers)
        if key not in made:
            made[key] = grid_search.SettingsProgram(configuration, names, *numbers)
        return made[key]

    return program


def tuned(folder, shared, stop=10**9, save_every=5):
    """A search that is asked to stop after some steps, and its scores."""
    given = command_line.words([*SAM, *GRID, "val=0.2"])
    grid = axes.read(given)
    options = grid_search.Options(halving=4, at_once=1, save_every=save_every)
    asked = iter(range(1, 10**9))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grid_search._GroupRun, "_make", staticmethod(shared))
        return grid_search.grid_search(
            grid,
            options,
            store.Store(folder, {"of": "tests"}),
            stopping=lambda: next(asked) >= stop,
        )


def test_an_interrupted_tuning_ends_as_a_whole_one(tmp_path, shared):
    whole = tuned(tmp_path / "a", shared)
    assert sorted({s.step for s in whole}) == [3, 12]
    assert [s.setting for s in whole] == list(range(4))
    assert sum(s.step == 12 for s in whole) == 1
    # In the first rung, and in the second after a save of its own.
    for stop in (2, 6):
        with pytest.raises(grid_search.Stopped):
            tuned(tmp_path / "b", shared, stop)
    assert tuned(tmp_path / "b", shared) == whole
    assert tuned(tmp_path / "b", shared) == whole  # nothing left to train


def test_a_tuning_leaves_its_results(tmp_path, shared, monkeypatch, capsys):
    monkeypatch.setattr(grid_search._GroupRun, "_make", staticmethod(shared))
    folder = tmp_path / "tuning"
    words = [*SAM, *GRID, "halving=4", "at_once=1", f"out={folder}"]
    assert main(words) == 0
    said = capsys.readouterr().out
    first = (folder / "results.json").read_bytes()
    found = json.loads(first)
    assert len(found["settings"]) == 4 and found["seeds"] == 2
    best = found["best"]
    assert best["steps"] == 12 and best in found["settings"]
    assert (folder / "grid.png").read_bytes().startswith(b"\x89PNG")
    for axis in found["edge"]:
        assert axis["value"] == best["setting"][axis["option"]]
        assert f"warning: the best {axis['option']}=" in said
    assert (f"a wider grid: {found['wider']}" in said) == bool(found["edge"])
    assert "95 %" in said and f"config={folder}/best.json" in said
    # The best setting as a run, on the whole training set.
    again = command_line.parse([f"config={folder}/best.json"])
    assert again.method["rho"] == float(best["setting"]["rho"])
    assert again.base["learning_rate"] == float(best["setting"]["learning_rate"])
    assert again.run.val == 0.0 and again.run.steps == 12
    assert main(words) == 0
    assert (folder / "results.json").read_bytes() == first
    capsys.readouterr()
    for changed, line in (
        ("steps=13", "holds another tuning: steps was 12, now 13"),
        ("rho=0.05,0.3", 'grid of rho was ["0.05", "0.2"]'),
    ):
        name = changed.split("=")[0]
        others = [w for w in words if not w.startswith(f"{name}=")]
        assert main([*others, changed]) == 2
        refused(capsys, line)


def refused(capsys, line):
    error = capsys.readouterr().err
    assert line in error and error.startswith("error: ") and error.count("\n") == 1


@pytest.mark.parametrize(
    "more, line",
    [
        ([], "an empty grid"),
        (["rho=0.1,0.2", "halvin=3"], "unknown option 'halvin'; perhaps you meant 'ha"),
        (["rho=0.1,0.2", "halving=3"], "halving=3; accepted: 0 for none, or from 2"),
        (["rho=0.1,0.2", "patience=3"], "patience=3 would do nothing in a tuning"),
        (["rho=0.1,0.2", "val=0"], "val=0.0: settings are chosen on a part of the tra"),
        (["rho=0.1,0.2", "val=1"], "val=1.0 is out of range"),
        (["momentun=0.1,0.2"], "unknown option 'momentun'; perhaps you meant 'moment"),
    ],
)
def test_what_cannot_be_tuned_is_refused_in_one_line(more, line, capsys, tmp_path):
    assert main([*SAM, *more, f"out={tmp_path}/new"]) == 2
    refused(capsys, line)
    assert not (tmp_path / "new").exists()


def test_a_folder_of_other_files_is_refused(capsys, tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    assert main([*SAM, *GRID, f"out={tmp_path}"]) == 2
    refused(capsys, "holds files that are no tuning (thesis.tex)")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.full
def test_values_that_are_no_numbers_have_their_own_programs(capsys, tmp_path):
    words = [*WORDS, "method=sam", "steps=4", "norm_over=all,perturbed"]
    assert main([*words, f"out={tmp_path}/t"]) == 0
    said = capsys.readouterr().out
    assert "one seed: no interval" in said
    found = json.loads((tmp_path / "t" / "results.json").read_text())
    names = ["all", "perturbed"]
    assert [s["setting"]["norm_over"] for s in found["settings"]] == names
    # Without masked parameters both are the same method.
    assert found["settings"][0]["loss"] == found["settings"][1]["loss"]
    assert found["edge"] == [] and found["wider"] is None
