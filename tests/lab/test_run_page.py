"""``report.html`` of a run: what it shows, and that it never fails one."""

import json
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.functional import Functional
from jaxopt_lab.lab import run, run_files
from jaxopt_lab.lab.commands.train import main
from jaxopt_lab.lab.run_page import curves, sections, write
from jaxopt_lab.lab.run_page.mistakes import confused, examine
from jaxopt_lab.runtime import read_metrics

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 6, 6)).astype(np.float32)
Y = RNG.integers(0, 3, 40)


def batches():
    """Two batches, the second with one example of padding."""
    weight = np.array([1.0, 0.0], np.float32)
    logits = np.array([[4.0, 0, 0], [0, 2.0, 0]], np.float32)
    yield {"image": logits, "label": np.array([0, 2]), "weight": np.ones(2, np.float32)}
    yield {"image": logits[::-1], "label": np.array([1, 1]), "weight": weight}


def test_mistakes_are_counted_without_padding():
    def apply(params, model_state, x, *, train, key=None):
        return x * params, model_state

    model = Functional(lambda key: (jnp.ones(()), {}), apply)
    found = examine(model, jnp.ones(()), {}, batches, shown=2)
    assert found.confusion.tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 0]]
    assert found.correct.tolist() == [1, 0, 1] and found.whole
    assert confused(found.confusion) == [(2, 1, 1)]
    first, second = found.worst
    assert (first.index, first.label, first.predicted) == (1, 2, 1)
    assert first.loss == pytest.approx(np.log(np.exp(2) + 2), rel=1e-6)
    assert second.index == 2 and second.loss < first.loss
    some = examine(model, jnp.ones(()), {}, batches, most=1)
    assert len(some.losses) == 2 and not some.whole


def test_rates_are_those_of_the_nearest_record():
    records = [
        {"kind": "train", "step": s, "sgd/learning_rate": 1 / s} for s in (1, 2, 4)
    ]
    assert curves.rates_at(records, [1, 5]) == [1.0, 0.25]
    assert curves.rates_at([{"kind": "test", "step": 1}], [1]) is None
    assert curves.along(records) is None


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "own"
    data = ((X[:32], Y[:32]), (X[32:], Y[32:]))
    options = {"eval_every": 2, "log_every": 1, "model_options": {"width": 4}}
    found = run(
        "mlp", data, "sgd", steps=4, batch_size=8, seeds=2, out=folder, **options
    )
    return found


@pytest.mark.full
def test_a_run_ends_with_its_page(trained):
    text = (trained.folder / "report.html").read_text()
    for words in ("Outcome", "Training", "Mistakes", "Worst examples", "final test"):
        assert words in text
    assert "http" not in text.replace("http://www.w3.org", "")
    assert text.count("<img") == 3 and "Curvature along the run" not in text
    assert "jaxopt-lab train method=sgd" in text and "jaxlib" in text
    assert run_files.foreign(trained.folder) == []
    train = read_metrics(trained.folder / "metrics.jsonl")[0]
    assert np.shape(train["grad_norm"]) == np.shape(train["update_ratio"]) == (2,)


@pytest.fixture
def ended(tmp_path, monkeypatch):
    """A run without anything to show, and the record of one that took no step."""
    monkeypatch.setattr(write, "title", lambda run: "title")
    monkeypatch.setattr(sections, "sections", lambda run: [])
    found: Any = SimpleNamespace(folder=tmp_path, config={"report": "on"})
    done: Any = SimpleNamespace(fitted=None)
    return found, done


def test_it_is_written_where_it_is_missing_unless_it_is_off(ended):
    found, done = ended
    found.config["report"] = "off"
    assert write.after(found, done) is None
    found.config["report"] = "on"
    page = write.after(found, done)
    assert page is not None and page.exists()
    assert write.after(found, done) is None
    done.fitted = "steps"
    assert write.after(found, done) == page


def test_what_goes_wrong_is_one_line(ended, monkeypatch, capsys):
    def broken(run):
        raise ZeroDivisionError("of the drawing\nmore")

    monkeypatch.setattr(sections, "sections", broken)
    assert write.write(ended[0]) is None
    said = capsys.readouterr().err
    assert said == "report.html was not written: ZeroDivisionError: of the drawing\n"


@pytest.mark.full
def test_resumed_text_runs_count_on_and_show_bits(tmp_path, capsys):
    text = tmp_path / "text.txt"
    text.write_text("to be or not to be, that is the question. " * 60)
    words = ["task=text", f"data_dir={text}", "batch_size=4", "log_every=2"]
    words += ["model.width=8", "model.depth=1", "model.context=16", "model.heads=2"]
    words += ["schedule=constant", "curvature=top", "curvature_examples=8"]
    words += [f"out={tmp_path}/run", "eval_every=3", "method=sam"]
    assert main([*words, "steps=3"]) == 0
    page = tmp_path / "run" / "report.html"
    assert page.exists() and "report: " in capsys.readouterr().out
    page.unlink()
    assert main([*words, "steps=6", "existing=continue", "report=off"]) == 0
    assert not page.exists()
    records = read_metrics(tmp_path / "run" / "metrics.jsonl")
    train = [r for r in records if r["kind"] == "train"]
    assert [r["examples"] for r in train] == [4 * r["step"] for r in train]
    assert [r["gradients"] for r in train] == [2 * r["step"] for r in train]
    times = [r["time"] for r in records]
    assert times == sorted(times) and train[-1]["step"] == 6
    assert main([*words, "steps=6"]) == 0  # it is written where it is missing
    text = page.read_text()
    for shown in ("bits a character", "final test perplexity", "Curvature along"):
        assert shown in text
    assert "Mistakes" not in text


@pytest.mark.full
def test_inspect_adds_its_sections(tmp_path, capsys):
    from jaxopt_lab.lab.commands import inspect

    folder = tmp_path / "digits"
    words = ["task=digits", "model=mlp", "model.width=4", "steps=2", f"out={folder}"]
    assert main(words) == 0
    small = ["examples=16", "k=2", "num_steps=4", "num_probes=2", "points=3"]
    assert inspect.main([f"run={folder}", *small]) == 0
    assert f"report: {folder / 'report.html'}" in capsys.readouterr().out
    text = (folder / "report.html").read_text()
    for shown in ("Outcome", "Mistakes", "Inspected network", "Landscape"):
        assert shown in text
    assert json.loads((folder / "inspect" / "results.jsonl").read_text())["step"] == 2
    assert run_files.foreign(folder) == []
