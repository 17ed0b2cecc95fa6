"""Looks of methods and legends, as every figure has them."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from jaxopt_lab.plotting.loss_lines import loss_lines
from jaxopt_lab.plotting.method_order import METHODS as KNOWN
from jaxopt_lab.plotting.style import (
    DASHES,
    MARKERS,
    PALETTE,
    legend_below,
    legend_right,
    looks,
)

METHODS = [f"method_{i}" for i in range(43)]


def test_a_method_has_one_look_in_every_figure_and_no_other_has_it():
    every = looks(METHODS, METHODS)
    assert len(set(every.values())) == len(METHODS)
    for some in (METHODS[3:5], METHODS[40:] + METHODS[:2]):
        assert looks(some, METHODS) == {name: every[name] for name in some}
    assert len(PALETTE) * len(MARKERS) * len(DASHES) > len(METHODS) + len(KNOWN)


def test_rows_that_are_no_methods_get_looks_of_their_own():
    names = [f"row {i}" for i in range(12)]
    found = looks([*names, "method_1"], METHODS)
    assert len(set(found.values())) == 13
    assert looks(["row 7"], METHODS)["row 7"] == looks(["row 7"])["row 7"]


def test_known_methods_have_their_own_look_whatever_the_figure_and_its_order():
    names = ["sgd", "adam", "sam", "lookbehind", "adam_cm", "momentum", "muon"]
    found = looks(names)
    assert len({look.color for look in found.values()}) == 7
    assert len({look.marker for look in found.values()}) == 7
    assert looks(["muon", "new"], ["new", "muon", "sam"])["muon"] == found["muon"]
    assert len(set(looks(KNOWN).values())) == len(set(KNOWN))


def test_looks_are_told_apart_without_colours():
    without = [(look.marker, look.dash) for look in looks(METHODS, METHODS).values()]
    assert len(set(without)) == len(MARKERS) * len(DASHES)
    grey = sorted(float(np.dot(to_rgb(c), (0.299, 0.587, 0.114))) for c in PALETTE)
    assert grey[-1] < 0.72  # dark enough on white


def on_the_page(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    page, renderer = figure.bbox, canvas.get_renderer()
    boxes = [legend.get_window_extent(renderer) for legend in figure.legends]
    assert boxes
    return all(
        page.x0 <= b.x0 and b.x1 <= page.x1 and page.y0 <= b.y0 and b.y1 <= page.y1
        for b in boxes
    )


@pytest.mark.full(plain=["2-"])
@pytest.mark.parametrize("count, long", [(2, ""), (14, " with a long name of it")])
def test_legends_stay_on_the_page(count, long):
    lines = {f"{m}{long}": ([0, 1, 2], [1, 2, 1]) for m in METHODS[:count]}
    assert on_the_page(loss_lines({"panel": lines}))
    for legend in (legend_below, legend_right):
        figure = Figure(figsize=(5.0, 3.0), layout="constrained")
        axes = figure.subplots()
        for name in lines:
            axes.plot([0, 1], label=name)
        legend(figure, axes)
        assert on_the_page(figure)
