"""Drawings of graphs."""

import sys

import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.plotting import graph_drawing

PLACES = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])


def test_nodes_and_edges_are_where_they_are_said_to_be():
    figure = graph_drawing(
        [0, 1], [1, 2], 3, positions=PLACES, values=[0, 1, 1], labels="abc", title="t"
    )
    (axes,) = figure.axes
    lines, points = axes.collections
    np.testing.assert_array_equal(points.get_offsets(), PLACES)
    np.testing.assert_array_equal(lines.get_segments(), PLACES[[[0, 1], [1, 2]]])
    assert [text.get_text() for text in axes.texts] == ["a", "b", "c"]


def test_arrows_and_no_edges():
    drawn = graph_drawing([0], [1], 3, positions=PLACES, arrows=True)
    assert len(drawn.axes[0].texts) == 1
    assert graph_drawing([], [], 3, positions=PLACES).axes[0].collections


def test_bad_input(monkeypatch):
    with pytest.raises(InputError, match="name nodes from 0 to 2; got 0 to 3"):
        graph_drawing([0], [3], 3)
    with pytest.raises(InputError, match="values must be one for each of 3"):
        graph_drawing([0], [1], 3, values=[1])
    with pytest.raises(InputError, match=r"positions must be \(3, 2\)"):
        graph_drawing([0], [1], 3, positions=[[0, 0]])
    monkeypatch.setitem(sys.modules, "networkx", None)
    with pytest.raises(InputError, match="the layout of a graph needs .*graphs"):
        graph_drawing([0], [1], 3)


def test_the_layout_is_always_the_same():
    pytest.importorskip("networkx")
    drawn = [graph_drawing([0, 1], [1, 2], 3) for _ in range(2)]
    one, two = (d.axes[0].collections[1].get_offsets() for d in drawn)
    np.testing.assert_array_equal(one, two)
