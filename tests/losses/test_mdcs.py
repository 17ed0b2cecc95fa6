"""MDCS against recorded losses and gradients."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.losses import MDCSState, mdcs

FOLDER = pathlib.Path(__file__).parents[1] / "vectors" / "mdcs"
CLOSE = {"rtol": 1e-9, "atol": 1e-12}
RNG = np.random.default_rng(0)
Z, LABELS = RNG.normal(size=(4, 2, 3, 3)), np.array([0, 1, 2, 1], np.int32)
COUNTS = np.array([50.0, 10.0, 2.0])


@pytest.mark.full(plain=["case1"])
@pytest.mark.parametrize("case", ["case1", "case2_after_warmup", "case3_epoch0"])
def test_vectors(case):
    with np.load(FOLDER / f"{case}.npz") as file:
        a = {n: file[n] for n in file.files}
    meta = json.loads(str(a["meta"]))
    experts = [a[f"batch/0/logits/{e}"] for e in range(3)]
    half = len(a["batch/0/labels_two_views"]) // 2
    labels = a["batch/0/labels_two_views"][:half]
    z = np.stack([np.stack([e[:half], e[half:]], axis=1) for e in experts], axis=2)
    loss = mdcs(
        exponents=tuple(meta["exponents"]),
        weight=meta["kd_weight"],
        warmup=meta["warmup"],
    )
    state = MDCSState(np.int32(meta["epoch"]))
    counts = np.asarray(meta["class_counts"], float)
    mean = lambda z: jnp.mean(loss.apply(state, z, labels, class_counts=counts)[0])
    value, slope = jax.jit(jax.value_and_grad(mean))(z)
    np.testing.assert_allclose(value, a["out/loss"], **CLOSE)
    for e in range(3):
        flat = np.concatenate([slope[:, 0, e], slope[:, 1, e]])
        np.testing.assert_allclose(flat, a[f"out/grad/{e}"], **CLOSE)


def test_only_weak_views_that_are_right_teach_and_equal_views_do_not():
    loss = mdcs(warmup=0.0, exponents=(0.0,))
    labels = np.array([0, 1], np.int32)
    weak = np.array([[3.0, 0, 0], [3.0, 0, 0]])
    strong = np.array([[0.0, 1, 2], [0.0, 1, 2]])
    z = np.stack([weak, strong], axis=1)[:, :, None]
    given = {"class_counts": np.ones(3)}
    with_it, state = loss.apply(loss.init(z), z, labels, **given)
    plain = mdcs(weight=0.0, exponents=(0.0,))
    without, _ = plain.apply(state, z, labels, **given)
    more = np.asarray(with_it - without)
    p = np.exp(weak[0]) / np.exp(weak[0]).sum()
    q = np.exp(strong[0]) / np.exp(strong[0]).sum()
    # Of two examples one is right: the mean is over that one.
    np.testing.assert_allclose(more, [0.6 * 2 * np.sum(p * np.log(p / q)), 0])
    same = np.repeat(z[:, :1], 2, axis=1)
    np.testing.assert_allclose(
        loss.apply(state, same, labels, **given)[0],
        plain.apply(state, same, labels, **given)[0],
    )


def test_a_class_without_examples_and_a_dropped_one_are_finite():
    loss = mdcs(warmup=0.0)
    given = {"class_counts": np.array([5.0, 0.0, 1.0]), "where": np.array([1, 1, 0, 1])}
    z = Z.copy()
    z[2] = np.nan
    total = lambda z: jnp.sum(loss.apply(loss.init(z), z, LABELS, **given)[0])
    value, slope = jax.jit(jax.value_and_grad(total))(z)
    assert np.isfinite(value) and np.all(np.isfinite(slope)) and not np.any(slope[2])


@pytest.mark.parametrize(
    "change, words",
    [
        ({"labels": LABELS + 1}, r"label 3 is out of range \(1 of 4 labels\)"),
        ({"class_counts": COUNTS[:2]}, r"class_counts must have shape \(3,\)"),
        ({"class_counts": -COUNTS}, "class_counts must be at least 0; got -50.0"),
        ({"logits": Z[:, :1]}, r"must have shape \(B, 2, 3, C\), two views of 3"),
        ({"where": np.ones(3)}, "where must have the shape of the labels"),
    ],
)
def test_what_it_refuses(change, words):
    given = {"logits": Z, "labels": LABELS, "class_counts": COUNTS, **change}
    with pytest.raises(InputError, match=words):
        mdcs().apply(MDCSState(jnp.int32(0)), **given)
    with pytest.raises(InputError, match="at least one expert"):
        mdcs(exponents=())
