"""The kernel calibration error: a double loop, blocks, masks, what is refused."""

import jax
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.metrics import kernel_calibration_error

RNG = np.random.default_rng(0)
TARGETS = RNG.integers(0, 3, 9)
LOGITS = RNG.normal(size=(9, 3))


def by_loops(z, y, width):
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    r, n = np.eye(3)[y] - p, len(y)
    h = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if i != j:
                k = np.exp(-np.sum((p[i] - p[j]) ** 2) / (2 * width**2))
                h[i, j] = k * (r[i] @ r[j])
    off = h[~np.eye(n, dtype=bool)]
    value, pairs = off.mean(), np.mean(off**2) - off.mean() ** 2
    single = max(np.var(h.sum(1) / (n - 1), ddof=1) - pairs / (n - 1), 0)
    return value, np.sqrt((4 * (n - 2) * single + 2 * pairs) / (n * (n - 1)))


def test_a_double_loop_blocks_and_masks():
    padded = np.r_[LOGITS, np.full((2, 3), np.nan)]
    labels = np.r_[TARGETS, 0, 0]
    counted = np.arange(11) < 9

    @jax.jit
    def run(z, padded):
        f = lambda z, **k: kernel_calibration_error(z, TARGETS, bandwidth=0.3, **k)
        masked = kernel_calibration_error(
            padded, labels, where=counted, bandwidth=0.3, block=4
        )
        total = lambda z: sum(f(z, block=4))
        move = lambda by: total(z + by * np.sin(np.arange(27.0)).reshape(9, 3))
        measured = (move(1e-5) - move(-1e-5)) / 2e-5
        slope = np.sum(jax.grad(total)(z) * np.sin(np.arange(27.0)).reshape(9, 3))
        return f(z), f(z, block=4), masked, slope, measured

    whole, blocked, masked, slope, measured = run(LOGITS, padded)
    wanted = by_loops(LOGITS, TARGETS, 0.3)
    for found in (whole, blocked, masked):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(slope, measured, rtol=1e-6)


def test_bad_data_are_refused():
    with pytest.raises(InputError, match="at least 2 examples; got 1"):
        kernel_calibration_error(LOGITS[:1], TARGETS[:1])
    with pytest.raises(InputError, match="classes from 0 to 2; got 3"):
        kernel_calibration_error(LOGITS, TARGETS * 0 + 3)
    with pytest.raises(InputError, match="bandwidth must"):
        kernel_calibration_error(LOGITS, TARGETS, bandwidth=0.0)
