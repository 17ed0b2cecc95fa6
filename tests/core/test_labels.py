"""Labels of narrow integer types, and labels that are no classes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.labels import is_class, is_largest
from jaxopt_lab.core.mixing import probabilities

# 256 classes fit into uint8: class 256 must not be taken for class 0.
CLASSES = 300
NARROW = np.array([0, 44, 255], np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.int64])
def test_one_class_a_label(dtype):
    found = np.asarray(is_class(jnp.asarray(NARROW.astype(dtype)), CLASSES))
    assert found.sum(axis=1).tolist() == [1, 1, 1]
    assert found.argmax(axis=1).tolist() == [0, 44, 255]


def test_the_largest_output_of_another_class_is_wrong():
    outputs = np.eye(CLASSES, dtype=np.float32)[[256, 44, 299]]
    assert is_largest(outputs, NARROW).tolist() == [False, True, False]


@pytest.mark.parametrize("shape", [(3, 1), (4,), (1,), ()])
def test_labels_of_another_shape_are_not_spread_over_the_outputs(shape):
    with pytest.raises(InputError, match=r"^outputs of shape \(3, 2\) do not fit"):
        is_largest(jnp.zeros((3, 2)), np.zeros(shape, int))


def test_labels_of_any_number_of_axes():
    assert is_class(jnp.int8(1), 3).tolist() == [False, True, False]
    assert is_class(jnp.zeros((2, 4), int), 3).shape == (2, 4, 3)
    assert not is_class(jnp.array([-1, 3, 300]), 3).any()


def test_narrow_labels_to_mix():
    found = np.asarray(probabilities(NARROW, CLASSES, 3, jnp.float32))
    np.testing.assert_array_equal(found, np.eye(CLASSES)[NARROW.astype(int)])


def test_a_label_to_mix_that_is_no_class():
    labels = np.array([0, 3])
    with pytest.raises(InputError, match="^labels to mix must be .* 0 to 2; got 3"):
        probabilities(labels, 3, 2, jnp.float32)
    found = jax.jit(lambda y: probabilities(y, 3, 2, jnp.float32))(labels)
    assert found[0].tolist() == [1, 0, 0] and np.isnan(found[1]).all()
