"""Sharpness along training and its limit."""

import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.plotting.sharpness_curve import sharpness_curve

STEPS = [0, 10, 20]


def by_label(figure):
    return {line.get_label(): line for line in figure.axes[0].lines}


def test_the_limit_is_two_over_the_step_size():
    lines = by_label(sharpness_curve(STEPS, {"top": [1.0, 30.0, 41.0]}, 0.05))
    np.testing.assert_array_equal(lines["2 / learning rate"].get_ydata(), [40.0] * 3)
    np.testing.assert_array_equal(lines["top"].get_ydata(), [1.0, 30.0, 41.0])
    along = sharpness_curve(STEPS, {"top": [1.0, 30.0, 41.0]}, [0.1, 0.05, 0.0])
    limit = by_label(along)["2 / learning rate"].get_ydata()
    np.testing.assert_array_equal(limit, [20.0, 40.0, np.nan])


def test_seeds_and_measures():
    values = np.array([[1.0, 3.0], [4.0, 6.0], [7.0, np.nan]])
    figure = sharpness_curve(
        STEPS, {"top": values, "batch": [1.0, 2.0, 3.0]}, log=False
    )
    lines = by_label(figure)
    mean = lines["top, mean of 2 seeds"]
    np.testing.assert_array_equal(mean.get_ydata(), [2.0, 5.0, np.nan])
    assert len(figure.axes[0].lines) == 4
    assert lines["batch"].get_linestyle() != mean.get_linestyle()
    assert figure.axes[0].get_yscale() == "linear"


@pytest.mark.parametrize(
    ("measures", "rate", "words"),
    [
        ({}, None, "no measures to draw"),
        ({"top": [1.0, 2.0]}, None, r"top must have .* 3 steps; got shape \(2,\)"),
        ({"top": [1.0, 2.0, 3.0]}, [0.1, 0.2], "one for each of the 3 steps; got 2"),
    ],
)
def test_bad_input(measures, rate, words):
    with pytest.raises(InputError, match=words):
        sharpness_curve(STEPS, measures, rate)
