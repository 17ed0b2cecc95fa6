"""Accuracy with ties, several answers and logits that are no numbers."""

import jax
import numpy as np
import pytest
from battery.metric.references import accuracy as reference

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.metrics import accuracy


def value_of(outputs, targets, top=1):
    metric = accuracy(top=top)
    batch = {"outputs": np.asarray(outputs), "targets": np.asarray(targets)}
    run = jax.jit(lambda b: metric.compute(metric.update(metric.init(), b)))
    return float(run(batch)["accuracy"])


@pytest.mark.parametrize("top", [1, 2, 4, 9])
def test_it_is_the_loop_over_examples(top):
    rng = np.random.default_rng(0)
    outputs, targets = rng.normal(size=(30, 4)), rng.integers(0, 4, 30)
    wanted = reference(outputs, targets, top=top)["accuracy"]
    assert abs(value_of(outputs, targets, top) - wanted) < 1e-6
    assert top < 4 or wanted == 1


def test_ties_go_to_the_lower_class():
    outputs = np.zeros((3, 3))
    assert value_of(outputs, [0, 1, 2]) == pytest.approx(1 / 3)
    assert value_of(outputs, [0, 1, 2], top=2) == pytest.approx(2 / 3)


def test_logits_that_are_nan_and_labels_out_of_range():
    assert np.isnan(value_of([[0.0, np.nan]], [0]))
    assert value_of([[0.0, 1.0]], [7]) == 0


def test_top_is_a_number():
    with pytest.raises(InputError, match="top must be a whole number of at least 1"):
        accuracy(top=0)
