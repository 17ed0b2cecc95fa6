"""ShrinkMatch against recorded losses and gradients, and a loop over examples."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.losses import confident_cross_entropy, shrinkmatch
from jaxopt_lab.losses.shrinkmatch import shrunk_cross_entropy

FOLDER = pathlib.Path(__file__).parents[1] / "vectors" / "shrinkmatch"
CLOSE = {"rtol": 1e-9, "atol": 1e-12}
RNG = np.random.default_rng(0)
Z, AUXILIARY = RNG.normal(size=(2, 5, 4))
WEAK = np.array(
    [
        [0.97, 0.01, 0.01, 0.01],
        [0.02, 0.6, 0.36, 0.02],
        [0.25, 0.25, 0.25, 0.25],
        [0.3, 0.05, 0.6, 0.05],
        [0.0, 0.0, 0.04, 0.96],
    ]
)


def _arrays(name):
    with np.load(FOLDER / f"{name}.npz") as file:
        return {n: file[n] for n in file.files}


def graded(logits, weak, threshold):
    total = lambda z: jnp.sum(shrunk_cross_entropy(z, weak=weak, threshold=threshold))
    return jax.jit(jax.value_and_grad(total))(logits)


@pytest.mark.parametrize("case", ["case1", "case2_all_certain", "case3_flat"])
def test_vectors(case):
    a = _arrays(case)
    threshold = json.loads(str(a["meta"]))["threshold"]
    weak = a["batch/0/pseudo_probs"]
    mean = lambda z: jnp.mean(
        confident_cross_entropy(z, weak=weak, threshold=threshold)
    )
    value, slope = jax.jit(jax.value_and_grad(mean))(a["batch/0/logits_strong"])
    np.testing.assert_allclose(value, a["out/fixmatch_loss"], **CLOSE)
    np.testing.assert_allclose(slope, a["out/grad_logits"], **CLOSE)
    value, slope = graded(a["batch/0/logits_strong_aux"], weak, threshold)
    np.testing.assert_allclose(value, a["out/shrink_sum"], **CLOSE)
    np.testing.assert_allclose(slope, a["out/shrink_grad_aux"], **CLOSE)


@pytest.mark.full(plain=["1"])
@pytest.mark.parametrize("case", [0, 1, 2])
def test_vectors_of_the_shrunk_loss(case):
    a = _arrays("losses")
    threshold = json.loads(str(a["meta"]))["results"][case]["threshold"]
    found = graded(a[f"strong_logits/{case}"], a[f"pseudo/{case}"], threshold)
    np.testing.assert_allclose(found[0], a[f"loss_sum/{case}"], **CLOSE)
    np.testing.assert_allclose(found[1], a[f"grad/{case}"], **CLOSE)


def test_the_running_share_scales_the_uncertain_examples_alone():
    loss = shrinkmatch(threshold=0.9, decay=0.8)
    step = jax.jit(
        lambda s, w: loss.apply(s, Z, weak=WEAK, auxiliary=AUXILIARY, where=w)
    )
    losses, state = step(loss.init(Z), np.ones(5))
    assert float(state.certain) == 0.4 and int(state.seen) == 1
    plain = confident_cross_entropy(Z, weak=WEAK, threshold=0.9)
    shrunk = shrunk_cross_entropy(jnp.asarray(AUXILIARY), weak=WEAK, threshold=0.9)
    np.testing.assert_allclose(losses, plain + 0.4 * shrunk, rtol=1e-12)
    assert shrunk[1] > 0 and shrunk[0] == shrunk[4] == 0
    losses, after = step(state, np.array([1.0, 1, 1, 1, 0]))
    np.testing.assert_allclose(after.certain, 0.8 * 0.4 + 0.2 * 0.25, rtol=1e-12)
    assert losses[4] == 0
    _, same = step(after, np.zeros(5))
    jax.tree.map(np.testing.assert_array_equal, same, after)


def test_alignment_divides_by_the_mean_of_the_last_batches():
    loss = shrinkmatch(threshold=0.9, window=2)
    step = jax.jit(lambda s, q: loss.apply(s, Z, weak=q, auxiliary=AUXILIARY))
    batches = [WEAK, np.roll(WEAK, 1, axis=1), np.roll(WEAK, 2, axis=1)]
    state = loss.init(Z)
    for i, weak in enumerate(batches):
        losses, state = step(state, weak)
        mean = np.mean([b.mean(axis=0) for b in batches[max(i - 1, 0) : i + 1]], axis=0)
        q = weak / mean
        q /= q.sum(axis=1, keepdims=True)
        certain = q.max(axis=1) >= 0.9
        np.testing.assert_allclose(
            np.asarray(losses)[certain],
            np.asarray(confident_cross_entropy(Z, weak=q, threshold=0.9))[certain],
            rtol=1e-12,
        )


def test_a_nan_of_the_weak_view_is_seen():
    weak = WEAK.copy()
    weak[2, 1] = np.nan
    losses = jax.jit(lambda q: confident_cross_entropy(Z, weak=q))(weak)
    assert np.isnan(losses[2]) and np.all(np.isfinite(np.delete(losses, 2)))


def test_two_classes_and_no_certain_example_teach_nothing():
    two = np.array([[0.6, 0.4], [0.5, 0.5]])
    assert not np.any(shrunk_cross_entropy(jnp.ones((2, 2)), weak=two, threshold=0.9))
    loss = shrinkmatch()
    flat = np.full((5, 4), 0.25)
    losses, state = loss.apply(loss.init(Z), Z, weak=flat, auxiliary=AUXILIARY)
    assert not np.any(losses) and float(state.certain) == 0


@pytest.mark.parametrize(
    "change, words",
    [
        ({"weak": 2 * WEAK}, "weak must be probabilities.*; got one with the sum 2"),
        ({"weak": WEAK[:3]}, r"weak must have shape \(5, 4\); got \(3, 4\)"),
        ({"auxiliary": AUXILIARY[:, :2]}, r"auxiliary must have shape \(5, 4\)"),
        ({"where": np.ones(4)}, r"where must have shape \(5,\); got \(4,\)"),
    ],
)
def test_what_it_refuses(change, words):
    loss = shrinkmatch()
    given = {"weak": WEAK, "auxiliary": AUXILIARY, **change}
    with pytest.raises(InputError, match=words):
        loss.apply(loss.init(Z), Z, **given)
    with pytest.raises(InputError, match=r"threshold must lie in \[0, 1\]; got 1.5"):
        shrinkmatch(threshold=1.5)
    with pytest.raises(InputError, match="do not fit a state of 3 classes"):
        loss.apply(loss.init(Z[:, :3]), Z, weak=WEAK, auxiliary=AUXILIARY)
