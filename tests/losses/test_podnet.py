"""PODNet's losses and its classifier against recorded values, and exact cases."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.vectors import VECTORS

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import local_similarity
from jaxopt_lab.losses import (
    cosine_distillation,
    cross_entropy,
    margin_nca,
    pooled_distillation,
)

CASES = ("case1", "case2", "case3_cosine_k1")


def load(name):
    with np.load(VECTORS / "podnet" / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    return json.loads(str(arrays.pop("meta"))), arrays


def nhwc(x):
    return np.moveaxis(x, 1, -1)


@pytest.mark.full(plain=["case2"])
@pytest.mark.parametrize("case", CASES)
def test_maps_and_features_are_the_recorded_ones(case):
    meta, arrays = load(case)
    count = sum(key.startswith("batch/0/new_maps") for key in arrays)
    new, old = (
        [nhwc(arrays[f"batch/0/{side}_maps_nchw/{i}"]) for i in range(count)]
        for side in ("new", "old")
    )
    pair = arrays["batch/0/features"], arrays["batch/0/old_features"]
    collapse = meta["collapse"]

    @jax.jit
    @jax.value_and_grad
    def pod(maps):
        return jnp.mean(pooled_distillation(maps, teacher=old, collapse=collapse))

    value, grads = pod(new)
    np.testing.assert_allclose(value, arrays["out/pod"], rtol=1e-9)
    for i, grad in enumerate(grads):
        wanted = nhwc(arrays[f"out/pod_grad/{i}"])
        np.testing.assert_allclose(grad, wanted, rtol=1e-8, atol=1e-12)

    flat = lambda x: jnp.mean(cosine_distillation(x, teacher=pair[1]))
    value, grad = jax.jit(jax.value_and_grad(flat))(pair[0])
    np.testing.assert_allclose(value, arrays["out/flat"], rtol=1e-9)
    wanted = arrays["out/flat_grad_features"]
    np.testing.assert_allclose(grad, wanted, rtol=1e-8, atol=1e-12)


@pytest.mark.full(plain=["case2"])
@pytest.mark.parametrize("case", CASES)
def test_classifier_and_its_losses_are_the_recorded_ones(case):
    meta, arrays = load(case)
    kind = "cosine" if meta["similarity"] == "cosine" else "euclidean"
    proxies = arrays["init/proxies"]
    proxies = proxies.reshape(-1, meta["proxies_per_class"], proxies.shape[-1])
    labels = arrays["batch/0/labels"]

    @jax.jit
    def found(features, proxies):
        similar = functools.partial(
            local_similarity, similarity=kind, gamma=meta["gamma"]
        )

        def loss(form, features, proxies):
            logits = similar(features, proxies)
            hinge = form == "paper" or meta["hinge_reference"]
            options = {"scale": meta["eta"], "margin": meta["margin"]}
            return jnp.mean(
                margin_nca(logits, labels, form=form, hinge=hinge, **options)
            )

        each = {
            form: jax.value_and_grad(lambda *a, f=form: loss(f, *a), (0, 1))(
                features, proxies
            )
            for form in ("reference", "paper")
        }
        return similar(features, proxies), each

    logits, each = found(arrays["batch/0/features"], proxies)
    np.testing.assert_allclose(logits, arrays["out/logits"], rtol=1e-9, atol=1e-12)
    for form, (value, (features, weights)) in each.items():
        name = f"out/nca_{form}"
        np.testing.assert_allclose(value, arrays[name], rtol=1e-9)
        near = {"rtol": 1e-8, "atol": 1e-11}
        np.testing.assert_allclose(features, arrays[f"{name}_grad_features"], **near)
        weights = weights.reshape(-1, weights.shape[-1])
        np.testing.assert_allclose(weights, arrays[f"{name}_grad_proxies"], **near)


def test_forms_of_the_margin():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(5, 4)), rng.integers(0, 4, 5)

    @jax.jit
    def values(logits, margin):
        run = lambda form: margin_nca(logits, labels, margin=margin, form=form)
        return {form: run(form) for form in ("paper", "softmax", "reference")}

    none, some = values(logits, 0.0), values(logits, 0.6)
    plain = cross_entropy(jnp.asarray(logits), jnp.asarray(labels))
    np.testing.assert_allclose(none["softmax"], plain, rtol=1e-12)
    # The released program's margin has no effect, the published one's has.
    np.testing.assert_array_equal(none["reference"], some["reference"])
    assert np.all(np.asarray(some["paper"]) >= np.asarray(none["paper"]))
    assert np.any(np.asarray(some["paper"]) > np.asarray(none["paper"]) + 0.5)


def test_bad_input_is_one_line():
    maps = np.ones((2, 3, 3, 1))
    for call, words in (
        (lambda: margin_nca(jnp.ones((2, 1)), jnp.zeros(2, int)), "two classes"),
        (lambda: margin_nca(jnp.ones((2, 2)), jnp.full(2, 2)), "label 2 is out of"),
        (lambda: pooled_distillation(maps, teacher=[]), "has 0 maps"),
        (lambda: pooled_distillation(maps, teacher=maps[:, :2]), "teacher must"),
        (lambda: pooled_distillation(maps, teacher=maps, collapse="x"), "collapse"),
        (lambda: local_similarity(jnp.ones((2, 3)), jnp.ones((2, 3))), "proxies must"),
    ):
        with pytest.raises(InputError, match=words) as raised:
            call()
        assert "\n" not in str(raised.value)
