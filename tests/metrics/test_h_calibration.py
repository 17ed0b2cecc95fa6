"""h-calibration: recorded losses, a loop over events, the monotone map, bad labels."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.metrics import (
    HCalibrator,
    apply_h_calibration,
    fit_h_calibration,
    h_calibration_loss,
)

FOLDER = pathlib.Path(__file__).parents[1] / "vectors" / "hcalibration"
RNG = np.random.default_rng(0)
TARGETS = RNG.integers(0, 3, 40)
LOGITS = 4 * (RNG.normal(size=(40, 3)) + np.eye(3)[TARGETS])


@pytest.mark.full(plain=["case1"])
@pytest.mark.parametrize("case", ["case1", "case2"])
def test_vectors(case):
    with np.load(FOLDER / f"{case}.npz") as file:
        arrays = {n: file[n] for n in file.files}
    meta = json.loads(str(arrays["meta"]))
    labels = arrays["batch/0/labels"]
    shared = {"reach": meta["veclen"] // 2, "tolerance": meta["epsilon"]}
    kinds = [("unweighted", "events"), ("aceweighted", "bins")]
    outs = [("leave_class_out", True), ("all", False)]

    @jax.jit
    def losses(logits):
        return {
            f"out/loss/{name}/{out}": h_calibration_loss(
                logits, labels, parts=parts, leave_class_out=leave, **shared
            )
            for name, parts in kinds
            for out, leave in outs
        }

    for name, value in losses(arrays["out/mapped_logits"].astype(float)).items():
        np.testing.assert_allclose(value, arrays[name], rtol=2e-6, err_msg=name)
    if case == "case2":
        # All logits lie in the second recorded segment: the map is a multiplication.
        slope = jnp.float64(arrays["init/slopes"][1])
        logits = arrays["batch/0/logits"].astype(float)
        slopes = jax.jit(jax.jacrev(lambda s: losses(s * logits)))(slope)
        for name, value in slopes.items():
            wanted = arrays[name.replace("loss", "grad_slopes")][1]
            np.testing.assert_allclose(value, wanted, rtol=2e-4, err_msg=name)


def test_clusters_are_those_of_a_loop():
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
    means = []
    for left in range(3):
        kept = left != TARGETS
        q = p[kept].reshape(-1)
        r = q - np.eye(3)[TARGETS[kept]].reshape(-1)
        q, r = np.sort(q), r[np.argsort(q)]
        gaps = np.abs(np.convolve(r, np.ones(7), "same")) / 7
        centres = q[np.int64((np.arange(4) + 0.5) / 4 * len(q))]
        for _ in range(10):
            nearest = np.argmin(np.abs(q[:, None] - centres), axis=1)
            centres = np.array([q[nearest == k].mean() for k in range(4)])
        nearest = np.argmin(np.abs(q[:, None] - centres), axis=1)
        means.append(np.mean([gaps[nearest == k].mean() for k in range(4)]))
    run = jax.jit(lambda z: h_calibration_loss(z, TARGETS, reach=3, count=4))
    np.testing.assert_allclose(run(LOGITS), np.mean(means), rtol=1e-11)


def test_weights_are_repeated_and_dropped_examples():
    z, y = LOGITS[:9], TARGETS[:9]
    weight = np.ones(9)
    weight[0], weight[1] = 2, 0
    rows = np.array([0, 0, *range(2, 9)])
    bad = np.where(np.arange(9)[:, None] == 1, np.nan, z)

    @jax.jit
    def both(bad, z):
        run = lambda z, y, **w: h_calibration_loss(z, y, reach=2, count=3, **w)
        return run(bad, y, where=weight), run(z[rows], y[rows])

    np.testing.assert_allclose(*both(bad, z), rtol=1e-12)


def test_equal_probabilities_stand_in_no_order_of_the_examples():
    z = np.repeat(LOGITS[:2], 6, axis=0)
    run = jax.jit(lambda y: h_calibration_loss(z, y, reach=1, count=2))
    y = TARGETS[:12]
    assert len(set(y[:6])) > 1
    other = np.concatenate([y[:6][::-1], y[6:][::-1]])
    assert run(y) == run(other)


@pytest.mark.full
def test_the_fit_lowers_the_loss_and_keeps_the_classes():
    @jax.jit
    def run(z):
        data = {"outputs": z, "targets": TARGETS}
        short = {"reach": 5, "leave_class_out": False}
        fitted = fit_h_calibration(data, clusters=3, steps=20, **short)
        mapped = apply_h_calibration(fitted, z)
        before, after = (
            h_calibration_loss(x, TARGETS, count=3, **short) for x in (z, mapped)
        )
        return fitted.loss, mapped, before, after

    loss, mapped, before, after = run(LOGITS)
    assert after < 0.99 * before
    np.testing.assert_allclose(after, loss, rtol=1e-10)
    np.testing.assert_array_equal(np.argsort(mapped), np.argsort(LOGITS))


def test_the_map_is_continuous_at_the_ends_of_segments():
    fitted = HCalibrator(jnp.array([0.5, 2.0, 1.0]), jnp.zeros(()), jnp.array(3.0))
    x = np.array([-1e-9, -3 + 1e-9, -3 - 1e-9, -6 + 1e-9, -6 - 1e-9, -20.0])
    pairs = np.stack([np.log1p(-np.exp(x)), x], axis=1)
    first, last = np.asarray(jax.jit(apply_h_calibration)(fitted, pairs)).T
    f = lambda x: -(0.5 * min(-x, 3) + 2 * np.clip(-x - 3, 0, 3) + max(-x - 6, 0))
    wanted = [f(b) - f(a) for a, b in pairs]
    np.testing.assert_allclose(last - first, wanted, atol=1e-7)


def test_labels_that_are_no_classes():
    data = {"outputs": LOGITS, "targets": np.where(np.arange(40) == 3, 3, TARGETS)}
    with pytest.raises(InputError, match="classes from 0 to 2; got 3"):
        fit_h_calibration(data)
    run = jax.jit(lambda y: h_calibration_loss(LOGITS, y, reach=2))
    assert np.isnan(run(data["targets"])) and np.isfinite(run(TARGETS))
