"""Figures that compare methods: scores along an axis, and end points."""

import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.plotting import end_points, score_bands
from jaxopt_lab.plotting.style import looks

AT = np.arange(1, 5)
SCORES = np.array([[10.0, 20.0], [60.0, 64.0], [70.0, 70.0], [71.0, 75.0]])


def curves():
    return {"sgd": (AT, SCORES), "sam": (2 * AT, SCORES + 5)}


def test_the_line_is_the_mean_and_the_band_the_seeds():
    figure = score_bands({"gradients": curves()}, ylabel="accuracy (%)")
    (axes,) = figure.axes
    line = axes.lines[0]
    np.testing.assert_allclose(line.get_ydata(), SCORES.mean(axis=1))
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (SCORES.min(), SCORES.max())
    assert line.get_color() == looks(["sgd"])["sgd"].color
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["sgd", "sam"]


def test_a_given_width_and_one_seed():
    one = {"sgd": (AT, SCORES[:, 0])}
    figure = score_bands({"step": one}, ylabel="y")
    assert not figure.axes[0].collections
    figure = score_bands({"step": curves()}, ylabel="y", widths={"sgd": np.ones(4)})
    band = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (14.0, 74.0)


def test_the_axis_shows_what_is_settled():
    figure = score_bands({"a": curves(), "b": curves()}, ylabel="y", settled=0.5)
    low, high = figure.axes[0].get_ylim()
    assert 60 < low < 70 and 78 < high < 82
    assert len(figure.axes) == 2


def test_end_points_mark_mean_seeds_and_interval():
    values = {"sgd": [1.0, 4.0], "sam": [2.0, np.nan]}
    figure = end_points(values, {"sgd": (0.5, 5.0)}, xlabel="x", log=True)
    (axes,) = figure.axes
    assert axes.lines[0].get_xdata().tolist() == [0.5, 5.0]
    assert axes.lines[2].get_xdata()[0] == pytest.approx(2.0)
    assert "1 of 2 seeds" in axes.texts[0].get_text()
    plain = end_points(values, xlabel="x")
    assert plain.axes[0].lines[1].get_xdata()[0] == pytest.approx(2.5)


def test_nothing_to_draw_is_said():
    for panels in ({}, {"a": {}}):
        with pytest.raises(InputError, match="no scores"):
            score_bands(panels, ylabel="y")
    with pytest.raises(InputError, match="curve 'a' must be"):
        score_bands({"p": {"a": ([1, 2], [1.0])}}, ylabel="y")
    with pytest.raises(InputError, match="no methods"):
        end_points({}, xlabel="x")
