"""``writers=``: the records of a run, for others."""

import csv

import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import run_files, runs, writers
from jaxopt_lab.lab.command_line import parse
from jaxopt_lab.runtime import read_metrics

TINY = ["task=digits", "model=mlp", "model.width=4", "model.depth=1", "method=sgd"]


@pytest.mark.full
def test_a_table_holds_the_records_and_is_the_labs_own(tmp_path):
    folder = tmp_path / "run"
    words = [*TINY, "log_every=1", "eval_every=2", "writers=csv", f"out={folder}"]
    runs.train(parse([*words, "steps=2"]))
    runs.train(parse([*words, "steps=4", "existing=continue"]))
    records = [r for r in read_metrics(folder / "metrics.jsonl") if r["kind"] == "test"]
    with (folder / "csv" / "test.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(r["step"]) for r in rows] == [2, 4]
    for row, record in zip(rows, records, strict=True):
        assert float(row["accuracy"]) == record["accuracy"]
    assert run_files.foreign(folder) == []


def test_names_are_checked_and_missing_packages_told(monkeypatch, tmp_path):
    with pytest.raises(InputError, match="unknown writer 'cvs'; perhaps you mean"):
        parse(["writers=cvs"])
    assert writers.chosen(parse(["writers=wandb,csv", "tensorboard=true"]).run) == [
        "csv",
        "tensorboard",
        "wandb",
    ]
    monkeypatch.setattr(writers, "_installed", lambda package: package != "wandb")
    words = [*TINY, "writers=csv,wandb", f"out={tmp_path}/run"]
    with pytest.raises(InputError) as refused:
        runs.train(parse(words))
    said = "writers=wandb needs wandb: pip install 'jaxopt_lab[wandb]'"
    assert str(refused.value) == said
    assert not (tmp_path / "run").exists()
