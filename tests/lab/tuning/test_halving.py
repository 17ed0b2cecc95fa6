"""Rungs and survivors; the edge of a grid."""

import math

import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import Interval
from jaxopt_lab.lab.tuning.edge import edge
from jaxopt_lab.lab.tuning.halving import Scored, best, rungs, survivors


def scored(setting, accuracy, loss=1.0, step=9):
    return Scored(setting, step, (accuracy, accuracy), (loss, loss))


def test_every_rung_keeps_its_part_and_the_last_has_all_steps():
    for steps, settings, halving in ((900, 27, 3), (7, 100, 2), (1, 9, 3), (50, 5, 5)):
        ends = rungs(steps, settings, halving)
        assert ends == sorted(set(ends)) and ends[-1] == steps and ends[0] >= 1
    for bad in (1, 7):
        with pytest.raises(InputError, match=f"halving={bad}; accepted: 0 for none"):
            rungs(900, 6, bad)


def test_survivors_are_the_best_and_ties_go_to_the_smaller_loss():
    found = [scored(0, 0.9, 2.0), scored(1, 0.9, 1.0), scored(2, 0.5), scored(3, 0.7)]
    assert survivors(found, 2, "accuracy") == [0, 1]
    assert survivors(found, 4, "accuracy") == [1]
    assert survivors(found, 4, "loss") == [1]  # of equal losses, by accuracy
    assert best(found, "accuracy").setting == 1
    # Of the settings that trained longest, whatever those before have.
    assert best([*found, scored(4, 0.1, step=10)], "accuracy").setting == 4


def test_a_loss_that_is_not_finite_is_the_worst():
    bad = [scored(0, 0.99, math.nan), scored(1, 0.98, math.inf), scored(2, 0.1, 3.0)]
    for score in ("accuracy", "loss"):
        assert survivors(bad, 3, score) == [2] and best(bad, score).setting == 2
    with pytest.raises(InputError, match="no setting ended with a finite loss"):
        best(bad[:2], "accuracy")


@pytest.mark.parametrize(
    "values, at, wider",
    [
        ("0.01 0.1 1", 2, "0.1 1 10 100"),
        ("0.01 0.1 1", 0, "0.0001 0.001 0.01 0.1"),
        ("1 0.1 0.01", 0, "0.1 1 10 100"),  # in any order
        ("0.01 0.1 1", 1, None),  # inside
        ("0.1", 0, None),  # no grid
        ("0 0.1 0.2", 2, "0.1 0.2 0.3 0.4"),
        ("0 0.1 0.2", 0, None),  # nothing below is accepted
        ("0.2 0.4 0.6", 2, "0.4 0.6 0.8 1"),  # evenly spaced
        ("1 5", 1, "1 5 25 125"),
        ("1048576 2097152", 1, "1048576 2097152 4194304 8388608"),
        ("1 2 3", 0, "0 1 2"),  # nothing below 0 is accepted
        ("0.5 1", 1, "0.5 1 2 4"),
    ],
)
def test_a_wider_grid_goes_on_beyond_the_best(values, at, wider):
    texts = values.split()
    found = edge("rho", texts, [float(t) for t in texts], at, Interval(0.0))
    assert (found and list(found.wider)) == (wider and wider.split())


def test_the_ends_of_the_accepted_values_are_no_edge():
    found = edge("b1", ["0.5", "0.9"], [0.5, 0.9], 1, Interval(0, 1, open_high=True))
    assert found is None
    found = edge("warmup", ["0.2", "0.6"], [0.2, 0.6], 1)
    assert found is not None and found.side == "largest"
    assert "warmup=0.6 is the largest of the grid" in found.told()
