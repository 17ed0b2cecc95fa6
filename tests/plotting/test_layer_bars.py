"""Bars of the layers."""

import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.plotting.layer_bars import layer_bars

NAMES = ["first", "middle", "last"]


def test_bars_are_the_values_from_top_to_bottom():
    axes = layer_bars(NAMES, [3.0, 1.0, 2.0], xlabel="alpha").axes[0]
    assert [bar.get_width() for bar in axes.patches] == [3.0, 1.0, 2.0]
    low, high = axes.get_ylim()
    assert low > high and axes.get_xlabel() == "alpha"
    assert [t.get_text() for t in axes.get_yticklabels()] == NAMES


def test_errors_reference_and_values_that_are_missing():
    figure = layer_bars(
        NAMES,
        [3.0, np.nan, 2.0],
        [0.5, 9.0, 0.25],
        xlabel="alpha",
        reference=2.5,
        reference_label="random",
    )
    axes = figure.axes[0]
    assert [bar.get_width() for bar in axes.patches] == [3.0, 2.0]
    (segments,) = [c.get_segments() for c in axes.collections]
    ends = [np.asarray(s)[:, 0].tolist() for s in segments]
    assert ends == [[2.5, 3.5], [1.75, 2.25]]
    assert [t.get_text() for t in axes.texts] == ["not finite"]
    assert axes.texts[0].get_position()[1] == 1
    (legend,) = figure.legends
    assert [t.get_text() for t in legend.get_texts()] == ["random"]


def test_the_figure_grows_with_the_layers():
    heights = [
        layer_bars([str(i) for i in range(n)], np.ones(n), xlabel="x").get_figheight()
        for n in (3, 30)
    ]
    assert heights[1] > 3 * heights[0]


@pytest.mark.parametrize(
    ("names", "values", "options", "words"),
    [
        ([], [], {}, "no layers to draw"),
        (NAMES, [1.0], {}, "values must be one for each of the 3 layers; got 1"),
        (NAMES, [1.0, 2, 3], {"errors": [1.0]}, "errors must be one for each"),
        (NAMES, [1.0, 0, 3], {"log": True}, "above 0 on a logarithmic axis; got 0"),
    ],
)
def test_bad_input(names, values, options, words):
    with pytest.raises(InputError, match=words):
        layer_bars(names, values, xlabel="x", **options)
