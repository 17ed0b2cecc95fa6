"""Diversity of ensembles against recorded values and its identities."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.losses import cross_entropy, ensemble_cross_entropy, ensemble_diversity
from jaxopt_lab.losses.ensembles import mean_prediction_cross_entropy

FOLDER = pathlib.Path(__file__).parents[1] / "vectors" / "ensemble_diversity"
RNG = np.random.default_rng(0)
Z, LABELS = RNG.normal(size=(6, 3, 4)), np.array([0, 1, 2, 3, 0, 1], np.int32)
KINDS = ("jensen", "variance", "js", "kl")
diversities = jax.jit(
    lambda z, y: [ensemble_diversity(z, y, kind=kind) for kind in KINDS]
)
loss = jax.jit(ensemble_cross_entropy, static_argnames=("diversity",))


@pytest.mark.parametrize("case", ["case1", "case2"])
def test_vectors(case):
    with np.load(FOLDER / f"{case}.npz") as file:
        a = {n: file[n] for n in file.files}
    z, labels = a["batch/logits"].swapaxes(0, 1), a["batch/labels"]
    found = dict(zip(KINDS, diversities(z, labels), strict=True))
    for name, key in (("jensen", "jensen_gap"), ("variance", "variance"), ("js", "js")):
        np.testing.assert_allclose(found[name], a[f"out/{key}"], rtol=1e-10, atol=1e-14)
    for gamma in ("-0.5", "0", "1"):
        value = np.mean(loss(z, labels, gamma=float(gamma)))
        np.testing.assert_allclose(value, a[f"out/loss_gamma_{gamma}"], rtol=1e-10)


def test_identities():
    jensen, variance, js, kl = (np.asarray(d) for d in diversities(Z, LABELS))
    assert all(np.all(d > 0) for d in (jensen, variance, js, kl))
    members = [cross_entropy(Z[:, m], LABELS) for m in range(3)]
    joint = mean_prediction_cross_entropy(Z, LABELS)
    np.testing.assert_allclose(np.mean(members, axis=0) - jensen, joint, rtol=1e-12)
    np.testing.assert_allclose(loss(Z, LABELS, gamma=1.0), joint, rtol=1e-12)
    p = np.exp(Z) / np.exp(Z).sum(axis=-1, keepdims=True)
    # The mutual information of member and label, of their table.
    table, mean = p / 3, p.mean(axis=1, keepdims=True) / 3
    information = np.sum(table * np.log(table / mean), axis=(1, 2))
    np.testing.assert_allclose(js, information, rtol=1e-10)
    for one, other in zip(
        diversities(Z[:, ::-1], LABELS), diversities(Z, LABELS), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-10)


def test_members_that_agree_have_no_diversity_and_no_gradient_of_it():
    same = np.repeat(Z[:, :1], 3, axis=1)
    total = lambda z: sum(jnp.sum(d) for d in diversities(z, LABELS))
    value, slope = jax.jit(jax.value_and_grad(total))(same)
    np.testing.assert_allclose(value, 0, atol=1e-13)
    np.testing.assert_allclose(slope, 0, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_certain_members_are_finite(kind):
    z = jnp.asarray(1e30 * np.eye(4)[[[0, 1], [2, 2]]], jnp.float32)
    total = lambda z: jnp.sum(ensemble_diversity(z, jnp.array([3, 2]), kind=kind))
    value, slope = jax.jit(jax.value_and_grad(total))(z)
    assert np.isfinite(value) and np.all(np.isfinite(slope))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: ensemble_diversity(Z), "'jensen' needs labels"),
        (lambda: ensemble_diversity(Z, LABELS, kind="mse"), "unknown kind 'mse'"),
        (lambda: ensemble_diversity(Z[0], kind="js"), "with 3 axes"),
        (lambda: ensemble_cross_entropy(Z, LABELS + 2), "label 4 is out of range"),
        (lambda: ensemble_cross_entropy(Z, LABELS[:3]), "do not fit labels"),
        (
            lambda: ensemble_diversity(Z, kind="js", where=jnp.ones(3)),
            r"where must have shape \(6,\); got \(3,\)",
        ),
    ],
)
def test_what_it_refuses(call, words):
    with pytest.raises(InputError, match=words):
        call()
