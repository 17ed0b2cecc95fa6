"""Records as tables."""

import csv
import math

import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.runtime.csv_files import CsvFiles


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_kinds_have_files_and_seeds_columns(tmp_path):
    sink = CsvFiles(tmp_path / "csv")
    sink.write(1, {"kind": "train", "loss": np.array([0.5, math.nan]), "note": "a, b"})
    sink.write(1, {"kind": "test", "accuracy": np.float32(0.25)})
    sink.write(2, {"kind": "train", "loss": np.array([0.25, math.inf]), "note": ""})
    sink.write(3, {"kind": "train", "new": 7})
    sink.close()
    rows = table(tmp_path / "csv" / "train.csv")
    assert list(rows[0]) == ["step", "loss/seed0", "loss/seed1", "note", "new"]
    assert list(rows[0].values()) == ["1", "0.5", "nan", "a, b", ""]
    assert list(rows[1].values()) == ["2", "0.25", "inf", "", ""]
    assert list(rows[2].values()) == ["3", "", "", "", "7.0"]
    assert table(tmp_path / "csv" / "test.csv") == [{"step": "1", "accuracy": "0.25"}]


def test_a_resumed_run_takes_later_rows_back(tmp_path):
    whole, pieces = CsvFiles(tmp_path / "a"), CsvFiles(tmp_path / "b")
    for step in (1, 2, 3):
        whole.write(step, {"kind": "train", "loss": step / 8})
    for step in (1, 2):
        pieces.write(step, {"kind": "train", "loss": step / 8})
    path = tmp_path / "b" / "train.csv"
    with path.open("a") as file:
        file.write("3,0.")  # killed within a row
    again = CsvFiles(tmp_path / "b", resume_at=1)
    for step in (2, 3):
        again.write(step, {"kind": "train", "loss": step / 8})
    assert path.read_bytes() == (tmp_path / "a" / "train.csv").read_bytes()


def test_a_file_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine.csv").write_text("name,value\na,1\n")
    with pytest.raises(InputError, match="mine.csv is no table of a run"):
        CsvFiles(tmp_path)
    assert (tmp_path / "mine.csv").read_text() == "name,value\na,1\n"
