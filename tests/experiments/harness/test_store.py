"""Rows on disk."""

import time

import numpy as np
import pytest

from experiments.harness.store import Store
from jaxopt_lab.core.errors import InputError


def test_rows_are_measured_once(tmp_path):
    calls = []

    def compute():
        calls.append(1)
        return {"x": np.array([1.0, np.nan]), "hit": np.array([True, False])}

    for about, expected in (((1, 2), 1), ((1, 2), 1), ((1, 3), 2)):
        rows = Store(tmp_path, {"seeds": 2}).group("panel")
        found = rows.measured("sgd", compute, about)
        assert len(calls) == expected
        np.testing.assert_array_equal(found["x"], [1.0, np.nan])
        assert found["hit"].dtype == bool and rows.get("sam") is None
    again = Store(tmp_path, {"seeds": 2}, resume=False).group("panel")
    assert again.get("sgd", (1, 3)) is None


def test_processor_time_of_rows_of_an_earlier_run_is_kept(tmp_path, monkeypatch):
    clock = iter([1.0, 4.5])
    monkeypatch.setattr(time, "process_time", lambda: next(clock))
    first = Store(tmp_path, {})
    for _ in range(2):
        first.group("panel").measured("sgd", lambda: {"x": np.ones(2)})
    assert first.taken_over() == 0
    second = Store(tmp_path, {})
    rows = second.group("panel")
    for _ in range(2):
        rows.measured("sgd", dict)
    assert second.taken_over() == 3.5


def test_a_file_of_other_settings_or_damaged_is_refused(tmp_path):
    Store(tmp_path, {"seeds": 2}).group("panel").add("sgd", {"x": np.ones(2)})
    with pytest.raises(InputError, match="other settings"):
        Store(tmp_path, {"seeds": 3}).group("panel")
    (tmp_path / "panel.json").write_text("{")
    with pytest.raises(InputError, match="cannot read"):
        Store(tmp_path, {"seeds": 2}).group("panel")
