"""Lines of the loss, repeats as a band."""

import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.plotting.loss_lines import loss_lines
from jaxopt_lab.plotting.style import round_numbers

AT = np.linspace(-1.0, 1.0, 3)
REPEATS = np.array([[1.0, 2, 3, 4, 5], [2, 2, 2, 2, 2], [9, 5, 6, 7, 8]])


def test_lines_are_medians_and_bands_quartiles():
    figure = loss_lines(
        {"random": {"sgd": (AT, REPEATS)}, "hessian": {"sgd": (AT, REPEATS[:, 0])}},
        xlabels={"random": "step"},
    )
    random, hessian = figure.axes
    np.testing.assert_array_equal(random.lines[0].get_ydata(), [3, 2, 7])
    band = random.collections[0].get_paths()[0].vertices
    assert {2.0, 4.0, 6.0, 8.0} <= set(band[:, 1].tolist())
    np.testing.assert_array_equal(hessian.lines[0].get_ydata(), REPEATS[:, 0])
    assert not hessian.collections
    assert (random.get_xlabel(), hessian.get_xlabel()) == ("step", "coordinate")
    assert random.get_yscale() == "log" and random.get_ylim() == hessian.get_ylim()


@pytest.mark.parametrize(
    ("panels", "words"),
    [
        ({}, "no lines to draw"),
        ({"a": {}}, "no lines to draw"),
        ({"a": {"sgd": (AT, REPEATS.T)}}, r"got shapes \(3,\) and \(5, 3\)"),
    ],
)
def test_bad_input(panels, words):
    with pytest.raises(InputError, match=words):
        loss_lines(panels)


def test_round_numbers():
    assert round_numbers(0.03, 4) == [0.05, 0.1, 0.2, 0.5, 1.0, 2.0]
    assert round_numbers(1e-6, 3e3) == [10.0**p for p in range(-6, 4)]
    assert round_numbers(2.1, 2.2) == [2.1, 2.2]
