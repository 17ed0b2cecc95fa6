"""The densities that are drawn are those that were given."""

import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.plotting.spectrum import spectrum

AT = np.linspace(-1.0, 4.0, 6)
DENSITY = np.array([0.0, 2.0, 0.5, 1e-12, 0.25, 0.0])


def test_curves_are_the_densities_down_to_the_floor():
    axes = spectrum({"sgd": (AT, DENSITY)}, floor=1e-4).axes[0]
    low, high = axes.get_ylim()
    assert axes.get_yscale() == "log" and low == pytest.approx(2e-4) and high > 2
    curve = axes.lines[0]
    np.testing.assert_array_equal(curve.get_xdata(), AT)
    drawn = np.asarray(curve.get_ydata())
    np.testing.assert_array_equal(drawn[[1, 2, 4]], DENSITY[[1, 2, 4]])
    assert np.all(drawn[[0, 3, 5]] < low) and np.all(drawn > 0)


def test_known_eigenvalues_are_strokes():
    figure = spectrum(
        {"sgd": (AT, DENSITY), "sam": (AT, DENSITY)}, eigenvalues={"sam": [3.0, 2.0]}
    )
    axes = figure.axes[0]
    strokes = [s[0, 0] for s in axes.collections[0].get_segments()]
    assert strokes == [3.0, 2.0]
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["sgd", "sam"]
    colors = [line.get_color() for line in axes.lines[:2]]
    assert colors[0] != colors[1]


@pytest.mark.parametrize(
    ("densities", "eigenvalues", "words"),
    [
        ({}, None, "no densities to draw"),
        ({"a": (AT, DENSITY[:3])}, None, r"one length; got shapes \(6,\) and \(3,\)"),
        ({"a": (AT, 0 * DENSITY)}, None, "must be above 0 somewhere"),
        ({"a": (AT, DENSITY)}, {"b": [1.0]}, "given for b, which is not among"),
    ],
)
def test_bad_input(densities, eigenvalues, words):
    with pytest.raises(InputError, match=words):
        spectrum(densities, eigenvalues=eigenvalues)
