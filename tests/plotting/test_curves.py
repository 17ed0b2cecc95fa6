"""The curves show what is in the records."""

import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.plotting import training_curves


def records(seeds):
    out = []
    for step in (10, 20, 30):
        loss = 1 / step if seeds == 1 else [1 / step, 2 / step]
        accuracy = 0.5 if seeds == 1 else [0.4, 0.6]
        out.append({"step": step, "kind": "train", "loss": loss, "accuracy": accuracy})
    out.append({"step": 30, "kind": "test", "loss": 0.5, "accuracy": 0.25})
    return out if seeds == 1 else out[:-1]


def test_lines_are_the_records():
    loss, accuracy = training_curves(records(1)).axes
    (train, test) = loss.lines
    np.testing.assert_array_equal(train.get_xdata(), [10, 20, 30])
    np.testing.assert_allclose(train.get_ydata(), [0.1, 0.05, 1 / 30])
    assert [line.get_label() for line in loss.lines] == ["train", "test"]
    np.testing.assert_allclose(accuracy.lines[1].get_ydata(), [25.0])
    assert test.get_ydata()[0] == 0.5
    assert loss.get_yscale() == "log"


def test_seeds_are_thin_lines_and_their_mean_a_thick_one():
    loss, _ = training_curves(records(2)).axes
    *thin, mean = loss.lines
    assert len(thin) == 2
    np.testing.assert_allclose(mean.get_ydata(), [1.5 / s for s in (10, 20, 30)])
    assert mean.get_linewidth() > thin[0].get_linewidth()
    assert mean.get_label() == "train, mean of 2 seeds"


def test_losses_that_are_not_finite_leave_a_gap():
    rows = records(1)
    rows[1]["loss"] = "nan"
    rows[2]["loss"] = None
    train = training_curves(rows).axes[0].lines[0]
    assert np.isnan(train.get_ydata()[1:]).all()


def test_nothing_to_draw():
    with pytest.raises(InputError, match="no metrics to draw"):
        training_curves([])
