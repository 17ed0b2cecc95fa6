"""The harness of studies on a toy, and the commands of all studies."""

import dataclasses
import importlib
import json
import pathlib

import numpy as np
import pytest

import experiments.studies
from experiments.harness.report import Report, Table
from experiments.harness.verdicts import FEWEST, Claim
from experiments.studies.study import QUICK, STANDARD, Settings, Study

FOLDER = pathlib.Path(experiments.studies.__file__).parent
NAMES = sorted(p.parent.name for p in FOLDER.glob("*/__main__.py"))


def study_of(name):
    return importlib.import_module(f"experiments.studies.{name}.__main__").STUDY


@dataclasses.dataclass(frozen=True, kw_only=True)
class ToySettings(Settings):
    shift: float = 1.0


def measure(settings, store, shift=None):
    rng = np.random.default_rng(settings.first_seed)
    drawn = rng.normal(settings.shift if shift is None else shift, 0.1, settings.seeds)
    return store.group("toy").measured("gains", lambda: {"values": drawn})["values"]


def report(measured, settings):
    from matplotlib.figure import Figure

    arrays = {"gains": {"values": measured}}
    table = Table("gains", ("seed", "gain"), [("0", "1")])
    return Report({"gains": measured}, [table], {"gains": Figure()}, arrays)


TOY = Study(
    name="toy",
    purpose="a toy",
    sizes={QUICK: ToySettings(seeds=2), STANDARD: ToySettings(seeds=6)},
    measure=measure,
    claims=lambda measured, settings: [Claim("a gain", "toy", measured)],
    report=report,
    options={"shift": "a number"},
    prepare=lambda settings, shift="1": (settings, {"shift": float(shift)}),
)


def test_a_standard_run_leaves_its_files_and_verdicts(tmp_path, capsys):
    assert TOY.main(["standard", f"out={tmp_path}", "shift=2"]) == 0
    record = json.loads((tmp_path / "results.json").read_text())
    (verdict,) = record["verdicts"]
    assert verdict["word"] == "shown" and verdict["n"] == 6
    assert record["settings"]["seeds"] == 6 and len(record["gains"]) == 6
    assert (tmp_path / "gains.png").read_bytes().startswith(b"\x89PNG")
    with np.load(tmp_path / "gains.npz") as arrays:
        np.testing.assert_array_equal(arrays["values"], record["gains"])
    shown = capsys.readouterr().out
    assert "a gain" in shown and "shown" in shown and "could have shown" in shown


def test_a_quick_run_gives_no_verdict_and_takes_nothing_over(tmp_path, capsys):
    for shift in ("1", "9"):
        assert TOY.main([f"out={tmp_path}", f"shift={shift}"]) == 0
    record = json.loads((tmp_path / "results.json").read_text())
    assert record["verdicts"] == [] and min(record["gains"]) > 5
    assert "gives no verdicts" in capsys.readouterr().out


@pytest.mark.parametrize("name", NAMES)
def test_every_study_has_two_sizes_and_its_files(name):
    study = study_of(name)
    assert study.name == name and list(study.sizes) == [QUICK, STANDARD]
    assert study.sizes[STANDARD].seeds >= FEWEST
    files = {path.stem for path in (FOLDER / name).glob("*.py")}
    assert files >= {"config", "measure", "claims"}


@pytest.mark.parametrize("name", NAMES)
def test_every_study_refuses_bad_words_and_has_a_help(name, capsys):
    study = study_of(name)
    assert study.main(["huge"]) == 2
    assert study.main(["quick", "where=here"]) == 2
    assert "accepted: " in capsys.readouterr().err
    assert study.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert f"usage: python -m experiments.studies.{name} [quick|standard]" in shown
