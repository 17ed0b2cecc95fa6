"""Surfaces: the right way round, one scale, the trained point marked."""

import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.plotting.surfaces import loss_contours, loss_surface

X = np.linspace(-1.0, 1.0, 5)
Y = np.linspace(-2.0, 2.0, 7)
# It rises along the first direction only.
SLOPE = 1.0 + (X[:, None] + 1.0) * np.ones((1, 7))


def stars(axes):
    return [line for line in axes.lines if line.get_marker() == "*"]


def test_the_first_direction_is_horizontal():
    axes = loss_contours({"one": (X, Y, SLOPE)}, log=False).axes[0]
    assert axes.get_xlim() == (-1.0, 1.0) and axes.get_ylim() == (-2.0, 2.0)
    lines = axes.collections[1]
    for level, path in zip(lines.levels, lines.get_paths(), strict=True):
        if len(path.vertices):
            np.testing.assert_allclose(path.vertices[:, 0], level - 2.0, atol=1e-12)


def test_panels_share_one_scale_of_colours():
    figure = loss_contours({"low": (X, Y, SLOPE), "high": (X, Y, 50 * SLOPE)})
    *panels, bar = figure.axes
    limits = {axes.collections[0].get_clim() for axes in panels}
    assert limits == {(1.0, 150.0)}
    assert [axes.get_title() for axes in panels] == ["low", "high"]
    assert bar.get_ylabel() == "loss (nats)"
    assert [len(stars(axes)) for axes in panels] == [1, 1]
    cut = loss_contours({"low": (X, Y, SLOPE), "high": (X, Y, 50 * SLOPE)}, highest=9)
    assert cut.axes[0].collections[0].get_clim() == (1.0, 9.0)


def test_labels_stand_at_the_outer_panels_only():
    panels = {str(i): (X, Y, SLOPE) for i in range(3)}
    figure = loss_contours(panels, columns=2, xlabel="along", ylabel="across")
    texts = [(axes.get_xlabel(), axes.get_ylabel()) for axes in figure.axes[:3]]
    assert texts == [("", "across"), ("along", ""), ("along", "across")]
    named = {name: f"along {name}" for name in panels}
    figure = loss_contours(panels, columns=1, xlabel=named)
    assert [axes.get_xlabel() for axes in figure.axes[:3]] == list(named.values())


def test_the_point_is_not_marked_where_it_is_outside():
    axes = loss_contours({"one": (X + 2, Y, SLOPE)}).axes[0]
    assert not stars(axes)


def test_a_run_is_drawn_and_faults_stay_visible():
    z = SLOPE.copy()
    z[0, 0], z[1, 1] = np.nan, np.inf
    path = np.array([[0.8, 1.0], [0.2, 0.1], [0.0, 0.0]])
    axes = loss_contours({"one": (X, Y, z)}, paths={"one": path}).axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), path)
    assert axes.collections[0].get_clim() == (1.0, 3.0)
    assert axes.get_facecolor()[:3] == (0.8, 0.8, 0.8)


def test_a_plain_is_drawn():
    assert loss_contours({"one": (X, Y, np.ones((5, 7)))}).axes


def test_the_surface_has_the_heights_and_marks_the_point():
    axes = loss_surface(X, Y, SLOPE).axes[0]
    assert axes.get_zlabel() == "log10 of loss (nats)"
    on_surface, below = stars(axes)
    x, y, z = on_surface.get_data_3d()
    assert (x[0], y[0]) == (0, 0) and z[0] == pytest.approx(np.log10(2.0))
    assert below.get_data_3d()[2][0] < 0
    cut = loss_surface(X, Y, SLOPE, log=False, highest=1.5).axes[0]
    assert cut.get_zlim()[1] == pytest.approx(1.5) and cut.get_zlabel() == "loss (nats)"


@pytest.mark.parametrize(
    ("panels", "words"),
    [
        ({}, "no surfaces to draw"),
        ({"a": (X, Y, SLOPE.T)}, r"got shapes \(5,\), \(7,\), \(7, 5\)"),
        ({"a": (X, Y, np.nan * SLOPE)}, "must be finite somewhere"),
        ({"a": (X, Y, SLOPE - 1)}, "above 0 on a logarithmic scale; the lowest is 0"),
    ],
)
def test_bad_input(panels, words):
    with pytest.raises(InputError, match=words):
        loss_contours(panels)
