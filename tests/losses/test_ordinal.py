"""Soft labels of ordered levels: their moments, and the limits of the divergence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.losses import cross_entropy, ordinal_cross_entropy
from jaxopt_lab.losses.ordinal import (
    above,
    fidelity_loss,
    gaussian_soft_label,
    level_score,
    soft_label_divergence,
)

PLACES = np.arange(1, 6)
soft = jax.jit(gaussian_soft_label, static_argnames=("levels", "mode"))
RNG = np.random.default_rng(0)
LOGITS, LABELS = RNG.normal(size=(6, 5)), np.array([0, 1, 2, 3, 4, 2], np.int32)


@pytest.mark.parametrize("mode", ["cdf", "pdf"])
def test_the_label_has_the_sum_1_and_the_mean_and_is_mirrored(mode):
    mu = np.linspace(1, 5, 41)
    q = np.asarray(soft(mu, np.full(41, 0.7), mode=mode))
    np.testing.assert_allclose(q.sum(axis=1), 1, rtol=1e-12)
    inside = q.min(axis=1) > 0
    assert inside.sum() >= 9
    np.testing.assert_allclose((q @ PLACES)[inside], mu[inside], atol=1e-6)
    np.testing.assert_allclose(q[::-1, ::-1], q, atol=1e-9)
    near = np.asarray(soft(np.array([2.999, 3.0, 3.001]), np.float64(0.6), mode=mode))
    assert np.max(np.abs(np.diff(near, axis=0))) < 2e-3
    assert near[1].argmax() == 2 and near[1, 2] > 0.5


def test_a_narrow_label_is_one_hot_or_of_two_levels():
    q = soft(np.array([3.0, 2.0, 2.3, 5.0]), np.full(4, 1e-3))
    wanted = np.zeros((4, 5))
    wanted[[0, 1, 3], [2, 1, 4]] = 1
    wanted[2, 1:3] = 0.7, 0.3
    np.testing.assert_allclose(q, wanted, atol=1e-12)


def test_the_divergence_is_0_at_the_label_and_cross_entropy_at_no_deviation():
    far = 9 * np.eye(5)[[0, 2]]

    @jax.jit
    def run(logits, labels):
        narrow = ordinal_cross_entropy(logits, labels, std=1e-4)
        costs = ordinal_cross_entropy(far, np.array([3, 3], np.int32))
        outside = ordinal_cross_entropy(logits, labels + 3)
        return narrow, cross_entropy(logits, labels), costs, outside

    narrow, plain, costs, outside = run(LOGITS, LABELS)
    np.testing.assert_allclose(narrow, plain, rtol=1e-12)
    q = soft(LABELS + 1.0, np.float64(1.0))
    total = lambda z: jnp.sum(ordinal_cross_entropy(z, LABELS, std=1.0))
    logs = np.log(np.maximum(q, 1e-300))
    value, slope = jax.jit(jax.value_and_grad(total))(logs)
    assert abs(value) < 1e-12 and np.max(np.abs(slope)) < 1e-12
    assert costs[0] > costs[1]
    assert np.isnan(outside[4])


def test_fidelity_is_0_where_the_probabilities_agree_and_finite_at_the_ends():
    a, b = np.array([2.0, 4.0]), np.array([3.0, 3.5])
    one = np.ones(2)
    target = above(a, one, b, one)
    loss = jax.jit(fidelity_loss)
    np.testing.assert_allclose(loss(a, one, b, one, target), 0, atol=1e-7)
    np.testing.assert_allclose(
        loss(a, one, b, 2 * one, target),
        loss(b, 2 * one, a, one, 1 - np.asarray(target)),
        rtol=1e-9,
    )
    np.testing.assert_allclose(
        loss(a + 1, one, b + 1, one, np.zeros(2)), loss(a, one, b, one, np.zeros(2))
    )
    certain = lambda m: jnp.sum(loss(m, 0 * one, b, 0 * one, target))
    slope = jax.jit(jax.grad(certain))
    assert np.all(np.isfinite(slope(a))) and np.all(np.isfinite(slope(b)))
    score = level_score(jnp.full(5, 1e30))
    np.testing.assert_allclose([score.mean, score.var], [3, 2])


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: ordinal_cross_entropy(LOGITS, LABELS + 1), "label 5 is out of range"),
        (lambda: ordinal_cross_entropy(LOGITS, LABELS, std=0.0), "std must be"),
        (
            lambda: gaussian_soft_label(3.0, 1.0, levels=1),
            "number of at least 2; got 1",
        ),
        (lambda: gaussian_soft_label(3.0, 1.0, mode="x"), "unknown mode 'x'"),
        (lambda: soft_label_divergence(LOGITS, LOGITS[:2]), "shape of the logits"),
    ],
)
def test_what_they_refuse(call, words):
    with pytest.raises(InputError, match=words):
        call()
