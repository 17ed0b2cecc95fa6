"""Figures of a run's page: panels of records, confusion, images, rates."""

import numpy as np
import pytest

from jaxopt_lab import plotting
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.plotting import Line, Panel

RECORDS = [
    {"kind": "train", "step": 1, "loss": [1.0, 3.0], "rate": 0.1, "norm": [0.1, 0.1]},
    {"kind": "train", "step": 2, "loss": [0.5, 0.0], "rate": 0.1, "norm": 0.2},
    {"kind": "test", "step": 2, "loss": [0.7, None]},
]


def data(line):
    return np.asarray(line.get_ydata(), float)


def test_panels_have_means_over_seeds_and_gaps():
    panels = [
        Panel("loss", [Line("train", "loss", "train"), Line("test", "loss")], log=True),
        Panel("nothing", [Line("test", "rate")]),
        Panel("rate (%)", [Line("train", "rate")], scale=100),
        Panel("norm", [Line("train", "norm")]),
    ]
    figure = plotting.record_panels(RECORDS, panels)
    loss, rate, norm = figure.axes
    assert loss.get_yscale() == "log" and rate.get_ylabel() == "rate (%)"
    mean = next(line for line in loss.lines if line.get_label() == "train")
    np.testing.assert_array_equal(data(mean), [2.0, np.nan])
    np.testing.assert_allclose(data(rate.lines[0]), [10, 10])
    # One number for two seeds beside two of them: their mean.
    np.testing.assert_allclose(data(norm.lines[-1]), [0.1, 0.2])
    with pytest.raises(InputError, match="no metrics to draw"):
        plotting.record_panels(RECORDS, panels[1:2])


def test_quantities_of_training_in_one_panel_look_different():
    records = [
        {"step": s, "kind": "train", **dict.fromkeys("abcde", s)} for s in (1, 2)
    ]
    panel = Panel("losses", [Line("train", name, name) for name in "abcde"])
    (axes,) = plotting.record_panels(records, [panel]).axes
    looks = [(line.get_color(), str(line._dash_pattern)) for line in axes.lines]
    assert len({*looks[:4]}) == 4 and len({dash for _, dash in looks[:4]}) == 4
    assert looks[4] == looks[0]


def test_a_confusion_matrix_of_many_classes_has_no_numbers():
    assert not plotting.confusion_matrix(np.ones((30, 30), int)).axes[0].texts
    named = plotting.confusion_matrix([[1, 2], [0, 4]], ["cat", "a dog"])
    assert [t.get_text() for t in named.axes[0].get_xticklabels()] == ["cat", "a dog"]
    with pytest.raises(InputError, match="square matrix"):
        plotting.confusion_matrix([1, 2])
    with pytest.raises(InputError, match="2 classes have 1 names"):
        plotting.confusion_matrix(np.eye(2), ["a"])


def test_images_of_any_scale_are_drawn():
    images = [np.full((2, 2, 1), 7), np.zeros((2, 2, 3)), np.arange(4).reshape(2, 2)]
    figure = plotting.image_grid(images, ["a", "b", "c"], columns=2)
    drawn = np.asarray(figure.axes[2].images[0].get_array())
    assert drawn.min() == 0 and drawn.max() == 1 and len(figure.axes) == 3
    with pytest.raises(InputError, match="cannot draw an image"):
        plotting.image_grid([np.zeros((2, 2, 2))], ["a"])
    with pytest.raises(InputError, match="1 images have 0 captions"):
        plotting.image_grid(images[:1], [])


def test_rates_out_of_the_range_are_not_drawn():
    rates, losses = np.array([0.1, 1.0, 10.0]), np.array([2.0, 1.0, np.inf])
    figure = plotting.rate_curve(rates, losses, losses, {"in": 1.0, "out": 99.0})
    labels = [line.get_label() for line in figure.axes[0].lines]
    assert "in: 1" in labels and len(labels) == 3
    with pytest.raises(InputError, match="of one length"):
        plotting.rate_curve(rates, losses[:2], losses, {})
    with pytest.raises(InputError, match="no finite loss"):
        plotting.rate_curve(rates, losses * np.nan, losses, {})
