"""Distillation from several sources: limits of the weights, sums of gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.losses import (
    cross_entropy,
    multi_source_distillation,
    source_weights,
)

RNG = np.random.default_rng(0)
Z, LABELS = RNG.normal(size=(4, 3)), np.array([0, 2, 1, 1], np.int32)
HEADS = (RNG.normal(size=(4, 5)), RNG.normal(size=(4, 2)))
TEACHERS = tuple(
    np.exp(t) / np.exp(t).sum(axis=1, keepdims=True)
    for t in (RNG.normal(size=(4, 5)), RNG.normal(size=(4, 2)))
)
WEIGHTS = np.array([0.7, 0.3])
GIVEN = {"heads": HEADS, "teachers": TEACHERS, "weights": WEIGHTS}


def test_weights_go_from_alike_to_the_best_alone():
    scores = np.array([2.0, 40.0, -3.0, 39.0])
    third = 1 / 3
    alike = source_weights(scores, power=0.0)
    np.testing.assert_allclose(alike, [third, third, 0, third])
    for power in (2000.0, float("inf")):
        near = source_weights(scores, power=power)
        np.testing.assert_allclose(near, [0, 1, 0, 0], atol=1e-12)
    expected = np.maximum(scores, 0) ** 9
    np.testing.assert_allclose(source_weights(scores), expected / expected.sum())
    np.testing.assert_allclose(source_weights(-np.ones(2)), [0.5, 0.5])
    large = source_weights(jnp.array([1e30, 1e30], jnp.float32))
    np.testing.assert_allclose(large, 0.5)


def test_the_gradient_is_the_weighted_sum_of_single_sources():
    def total(heads, weights, task_weight):
        given = {**GIVEN, "heads": heads, "weights": weights}
        return jnp.sum(
            multi_source_distillation(Z, LABELS, task_weight=task_weight, **given)
        )

    graded = jax.jit(jax.grad(total), static_argnums=2)
    both = graded(HEADS, WEIGHTS, 0.5)
    for s in range(2):
        alone = graded(HEADS, np.eye(2)[s], 0.5)
        np.testing.assert_allclose(both[s], WEIGHTS[s] * alone[s], rtol=1e-12)
        assert not np.any(alone[1 - s])


def test_unlabelled_and_dropped_examples():
    labels = LABELS.copy()
    labels[1] = -1
    labelled, where = np.array([1, 0, 1, 1]), np.array([1, 1, 1, 0])
    z = Z.copy()
    z[3] = np.nan
    loss = jax.jit(multi_source_distillation, static_argnames="task_weight")
    found = loss(z, labels, labelled=labelled, where=where, **GIVEN)
    plain = loss(Z, LABELS, **GIVEN)
    taught = loss(Z, LABELS, task_weight=0.0, **GIVEN)
    np.testing.assert_allclose(
        np.asarray(found)[[0, 2]], np.asarray(plain)[[0, 2]], rtol=1e-12
    )
    np.testing.assert_allclose(found[1], 0.2 * taught[1], rtol=1e-9)
    assert found[3] == 0
    np.testing.assert_allclose(
        loss(Z, LABELS, task_weight=1.0, **GIVEN), cross_entropy(Z, LABELS)
    )


@pytest.mark.parametrize(
    "change, words",
    [
        ({"labels": LABELS + 1}, "label 3 is out of range"),
        ({"teachers": TEACHERS[:1]}, "one for each of the 2 heads; got 1"),
        ({"weights": np.ones(3)}, r"weights must have shape \(2,\); got \(3,\)"),
        ({"teachers": (2 * TEACHERS[0], TEACHERS[1])}, r"teachers\[0\] must be prob"),
        ({"labelled": np.ones(2)}, r"labelled must have shape \(4,\)"),
        ({"task_weight": 2.0}, r"task_weight must lie in \[0, 1\]"),
    ],
)
def test_what_it_refuses(change, words):
    given = {"logits": Z, "labels": LABELS, **GIVEN, **change}
    with pytest.raises(InputError, match=words):
        multi_source_distillation(**given)
    with pytest.raises(InputError, match="power must be at least 0"):
        source_weights(np.ones(2), power=-1.0)
