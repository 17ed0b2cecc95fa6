"""Infilling: rows of each objective, and the smoke test."""

import dataclasses

import numpy as np
import pytest

from experiments.applications.infilling.__main__ import APPLICATION
from experiments.applications.infilling.rows import (
    SPECIAL,
    Config,
    infill_rows,
    row_length,
)
from jaxopt_lab.data import restore_spans

TEXT = np.random.default_rng(0).integers(0, 90, (3, 64)).astype(np.int32)


@pytest.mark.full
def test_smoke(smoke):
    tiny = {"steps": 2, "test": 4, "modules": 4, "width": 8, "context": 32}
    settings = dataclasses.replace(APPLICATION.sizes["quick"], seeds=1, **tiny)
    record = smoke(APPLICATION, settings)
    for values in record["measured"].values():
        assert np.all(np.isfinite([v[0] for v in values.values()]))


def test_the_middle_is_masked_and_stands_behind_the_separator():
    config = Config(seeds=1)
    rows, place = infill_rows(TEXT, config)
    assert rows.shape == (3, row_length(config)) and place.sum() == 16
    assert np.array_equal(rows[:, place], TEXT[:, 24:40])
    for row, text in zip(rows, TEXT, strict=True):
        assert restore_spans(row, special=SPECIAL).tolist() == text.tolist()
