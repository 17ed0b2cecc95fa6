"""The table of what a child inherits."""

import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.search import Ancestor, inherit_weights

START = {
    "conv_0": {"kernel": np.zeros((3, 4)), "bias": np.zeros(4)},
    "conv_1": {"kernel": np.zeros((4, 2))},
    "norm": {"scale": np.zeros(4)},
    "conv_2": {"skip": np.zeros((4, 4)), "kernel": np.zeros(2, np.float32)},
}
OLD = {
    "conv_0": {"kernel": np.ones((3, 4)), "bias": np.ones(5)},
    "conv_1": {"kernel": np.ones((4, 2))},
    "norm": {"scale": np.ones(4)},
    "conv_2": {"skip": np.ones((4, 4)), "kernel": np.ones(2)},
}
SAME = dict.fromkeys(START, ("gat", "relu"))


def taken(functions, ancestors):
    found = inherit_weights(functions, START, ancestors)
    return {
        (layer, name): float(np.max(w))
        for layer, weights in found.items()
        for name, w in weights.items()
    }


def test_shape_dtype_functions_and_kind_decide():
    got = taken(SAME, [Ancestor(SAME, OLD)])
    want = {("conv_0", "kernel"), ("conv_1", "kernel")}
    assert {place for place, value in got.items() if value} == want
    other = {**SAME, "conv_1": ("gat", "tanh")}
    got = taken(other, [Ancestor(SAME, OLD)])
    assert [p for p, value in got.items() if value] == [("conv_0", "kernel")]
    other = dict.fromkeys(START, ("gcn", "relu"))
    assert not any(taken(other, [Ancestor(SAME, OLD)]).values())


def test_the_first_ancestor_that_fits_is_asked():
    two = {"conv_0": {"kernel": np.full((3, 4), 2.0)}}
    three = {"conv_0": {"kernel": np.full((3, 5), 3.0), "bias": np.full(4, 3.0)}}
    got = taken(SAME, [Ancestor(SAME, three), Ancestor(SAME, two), Ancestor(SAME, OLD)])
    assert got["conv_0", "kernel"] == 2 and got["conv_0", "bias"] == 3
    assert got["conv_1", "kernel"] == 1
    assert not any(taken(SAME, []).values())


def test_a_layer_without_functions():
    with pytest.raises(InputError, match="got none for conv_0"):
        inherit_weights({}, START, [])
