"""The report on a trained network, from the command."""

import json

import numpy as np
import pytest

from jaxopt_lab.lab.commands.inspect import main
from jaxopt_lab.lab.commands.train import main as train
from jaxopt_lab.runtime import read_metrics

WORDS = ["task=digits", "model=mlp", "model.width=6", "steps=4", "eval_every=2"]
SMALL = ["examples=16", "k=2", "num_steps=6", "num_probes=2", "points=3"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two seeds whose curvature was measured along the way."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    words = [*WORDS, "seeds=2", "curvature=top", "curvature_examples=16"]
    assert train([*words, f"out={folder}"]) == 0
    return folder


@pytest.fixture(scope="module")
def report(run):
    """Folder of the report on its second seed."""
    out = run.parent / "report"
    assert main([f"run={run}", "seed_index=1", f"out={out}", *SMALL]) == 0
    return out


@pytest.mark.full
def test_files(report):
    names = {path.name for path in report.iterdir()}
    assert names >= {
        "report.html",
        "results.jsonl",
        "arrays.npz",
        "spectrum.png",
        "layers.png",
        "alphas.png",
        "contours.png",
        "surface.png",
        "line.png",
        "curves.png",
        "along.png",
    }
    text = (report / "report.html").read_text()
    assert "http" not in text and text.count("data:image/png") == 10


@pytest.mark.full
def test_report_and_run_measured_the_same(run, report):
    record = json.loads((report / "results.jsonl").read_text())
    last = [r for r in read_metrics(run / "metrics.jsonl") if "curvature/top_1" in r][
        -1
    ]
    # The same examples, key and weights: the hook stops at its tolerance.
    np.testing.assert_allclose(record["top_1"], last["curvature/top_1"][1], rtol=2e-2)
    assert record["step"] == 4
    with np.load(report / "arrays.npz") as arrays:
        assert arrays["filters_losses"].shape == (3, 3)
        middle = arrays["filters_losses"][1, 1]
        np.testing.assert_allclose(arrays["line_losses"][1], middle, rtol=1e-5)


@pytest.mark.full
def test_the_run_logs_both_seeds_at_every_test(run):
    probed = [r for r in read_metrics(run / "metrics.jsonl") if "curvature/top_1" in r]
    assert [r["step"] for r in probed] == [2, 4]
    assert np.shape(probed[0]["curvature/top_1"]) == (2,)
    assert (np.array(probed[0]["curvature/top_1"]) > 0).all()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "run= is missing"),
        (["run=nowhere"], "nowhere holds no run"),
        (["rn=x"], "unknown option 'rn'"),
        (["run=x", "points=4"], "points=4 is even"),
        (["run=x", "points=1"], "points=1 is out of range"),
        (["run=x", "reach=0"], "reach=0"),
        (["run=x", "reach=inf"], "reach=inf is out of range; accepted: (0, inf)"),
        (["run=x", "k=0"], "k=0 is out of range"),
    ],
)
def test_bad_words(words, message, capsys):
    assert main(words) == 2
    shown = capsys.readouterr().err
    assert message in shown and shown.startswith("error: ")


@pytest.mark.full
def test_what_the_run_does_not_have(run, capsys):
    assert main([f"run={run}", "seed_index=2"]) == 2
    assert "the run has 2 seed(s)" in capsys.readouterr().err
    assert main([f"run={run}", "step=3"]) == 2
    assert "no checkpoint of step 3" in capsys.readouterr().err


def test_help(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    assert "num_probes" in capsys.readouterr().out
