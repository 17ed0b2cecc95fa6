"""Splits of a set, the order of its batches, and Fashion-MNIST at half the size."""

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.studies import fashion, samples
from jaxopt_lab.core.errors import InputError

LABELS = jnp.arange(1797, dtype=jnp.int32) % 10
SIZES = samples.Sizes(400, 400, 2000, 32)


def draw(sizes=SIZES, labels=LABELS, **options):
    return samples.draw(labels, range(2), sizes, **{"steps": 3, **options})


@pytest.mark.full
def test_samples_are_disjoint_and_only_labels_differ_between_the_panels():
    right, wrong = draw(), draw(flipped=0.4)
    for name in ("train", "validation", "test", "order"):
        np.testing.assert_array_equal(getattr(right, name), getattr(wrong, name))
    assert right.test.shape == (2, 997) and right.order.shape == (2, 3, 32)
    for parts in zip(right.train, right.validation, right.test, strict=True):
        assert set(np.concatenate(parts).tolist()) == set(range(1797))
    np.testing.assert_array_equal(right.labels, LABELS[right.train])
    changed = np.sum(np.asarray(right.labels != wrong.labels), axis=1)
    np.testing.assert_array_equal(changed, [160, 160])
    assert set(np.unique(wrong.labels)) <= set(range(10))
    assert not np.array_equal(right.train[0], right.train[1])
    few = draw(SIZES._replace(test=5))
    np.testing.assert_array_equal(few.test, right.test[:, :5])
    every = draw(SIZES._replace(test=None))
    np.testing.assert_array_equal(every.test, right.test)


def test_a_set_without_an_example_for_the_test_is_refused():
    with pytest.raises(InputError, match="= 800; accepted: less than the 800"):
        draw(labels=LABELS[:800])


def test_pooling_takes_means_of_two_by_two_pixels():
    image = jnp.array([[0, 255], [255, 255]], jnp.uint8).reshape(1, 2, 2, 1)
    np.testing.assert_allclose(fashion.pooled(image), np.full((1, 1, 1, 1), 0.75))
