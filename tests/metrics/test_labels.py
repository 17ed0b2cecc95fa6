"""Labels that are no classes, and those of types too narrow for all classes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.metrics import (
    accuracy,
    classwise_calibration_error,
    expected_calibration_error,
    fit_naive_bayes,
)

METRICS = [
    accuracy(),
    expected_calibration_error(),
    classwise_calibration_error(classes=3),
]
LOGITS = np.float32([[2, 1, 0], [0, 1, 2], [1, 0, 0]])


def value(metric, targets, weight=(1.0, 1.0, 1.0)):
    weight = jnp.asarray(weight, jnp.float32)
    batch = {"outputs": LOGITS, "targets": targets, "weight": weight}
    (found,) = metric.compute(metric.update(metric.init(), batch)).values()
    return found


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_that_is_no_class_is_told_unless_it_does_not_count(metric, label):
    targets = np.array([0, label, 1])
    with pytest.raises(InputError, match=f"classes from 0 to 2; got {label}$"):
        value(metric, targets)
    assert value(metric, targets, (1, 0, 1)) == value(
        metric, np.array([0, 2, 1]), (1, 0, 1)
    )


def test_naive_bayes_of_a_label_that_is_no_class():
    data = {"features": LOGITS, "targets": np.array([0, 1, 5])}
    probe = jax.jit(lambda data: fit_naive_bayes(data, classes=2))(data)
    assert np.isnan(probe.kernel).any()


def test_more_classes_than_the_type_of_the_labels_holds():
    logits = np.zeros((2, 300), np.float32)
    logits[0, 256] = logits[1, 7] = 5.0
    batch = {"outputs": logits, "targets": np.array([0, 7], np.uint8)}
    sums = accuracy().update(accuracy().init(), batch)
    assert accuracy().compute(sums)["accuracy"] == 0.5
