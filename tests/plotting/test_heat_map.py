"""Heat maps: their cells, the best one, the edge, and shades of grey."""

import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.plotting import heat_map

VALUES = np.array([[10.0, 50.0, 90.0], [20.0, np.nan, 95.0]])
ROWS, COLUMNS = ["a", "b"], ["1", "2", "3"]


def drawn(**more):
    return heat_map(VALUES, ROWS, COLUMNS, xlabel="x", ylabel="y", **more)


def test_every_cell_has_its_number_and_the_best_is_marked():
    early = np.array([[True, False, False], [False, False, False]])
    axes = drawn(best=(1, 2), ended=early, edge=("last", "last")).axes[0]
    texts = {t.get_position(): t for t in axes.texts}
    assert texts[0, 0].get_text() == "(10)" and texts[2, 1].get_text() == "95"
    assert (1, 1) not in texts  # hatched
    assert texts[2, 1].get_fontweight() == "bold"
    frames = [p for p in axes.patches if p.get_linewidth() == 3]
    assert [p.get_xy() for p in frames] == [(1.5, 0.5)]
    ends = [line.get_xydata().tolist() for line in axes.lines]
    assert ends == [[[-0.5, 1.5], [2.5, 1.5]], [[2.5, -0.5], [2.5, 1.5]]]


def test_brighter_is_better_also_in_grey():
    def grey(figure):
        image = figure.axes[0].images[0]
        colors = image.cmap(image.norm(np.array([10.0, 50.0, 95.0])))[:, :3]
        return colors @ [0.3, 0.59, 0.11]

    assert np.all(np.diff(grey(drawn())) > 0.2)
    assert np.all(np.diff(grey(drawn(lower_is_better=True))) < -0.2)


@pytest.mark.parametrize(
    "values, said",
    [
        (VALUES.T, r"values must have the shape \(2, 3\)"),
        (np.full((2, 3), np.nan), "no value is finite"),
    ],
)
def test_what_cannot_be_drawn_is_refused(values, said):
    with pytest.raises(InputError, match=said):
        heat_map(values, ROWS, COLUMNS, xlabel="x")
