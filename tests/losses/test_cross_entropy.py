"""Labels of the cross-entropy that do not count."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.losses import cross_entropy

LOGITS = np.random.default_rng(0).normal(size=(4, 3))
LABELS = np.array([0, 1, 2, 1])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_dropped_label_has_neither_loss_nor_gradient(smoothing):
    where = np.array([1, 0, 1, 1])
    bad = LOGITS.copy()
    bad[1] = np.nan
    total = lambda z: jnp.sum(cross_entropy(z, LABELS, smoothing, where=where))
    losses = jax.jit(lambda z: cross_entropy(z, LABELS, smoothing, where=where))(bad)
    plain = jax.jit(lambda z: cross_entropy(z, LABELS, smoothing))(LOGITS)
    expected = np.where(where, plain, 0)
    np.testing.assert_allclose(losses, expected, rtol=1e-12)
    slope = jax.jit(jax.grad(total))(bad)
    assert np.all(np.isfinite(slope)) and not np.any(slope[1])


def test_what_it_refuses():
    with pytest.raises(InputError, match=r"label_smoothing must lie in \[0, 1\)"):
        cross_entropy(LOGITS, LABELS, 1.0)
    with pytest.raises(InputError, match=r"where must have the shape of the labels"):
        cross_entropy(LOGITS, LABELS, where=jnp.ones(3))
