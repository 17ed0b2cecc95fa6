"""EMO against recorded values and its closed forms."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.losses import cross_entropy
from jaxopt_lab.losses import emo as undecorated

PATH = pathlib.Path(__file__).parents[1] / "vectors" / "emo" / "losses.npz"
emo = jax.jit(undecorated, static_argnames=("form", "share"))
FORMS = {
    "plain": "emo",
    "adaptive": "emo1_adaptive",
    "adaptive_distance": "emo2_adaptive",
}
RNG = np.random.default_rng(0)
LOGITS, LABELS = RNG.normal(size=(6, 5)), RNG.integers(0, 5, 6).astype(np.int32)
CLOSE = {"rtol": 1e-9, "atol": 1e-12}


@pytest.mark.full(plain=["plain-0", "adaptive-1", "adaptive_distance-0"])
@pytest.mark.parametrize("case", [0, 1])
@pytest.mark.parametrize("form", FORMS)
def test_vectors(form, case):
    with np.load(PATH) as file:
        arrays = {n: file[n] for n in file.files}
    logits, labels = arrays[f"logits/{case}"], arrays[f"labels/{case}"]
    mask, embedding = arrays[f"mask/{case}"], arrays[f"embedding/{case}"]

    @jax.jit
    def mean(logits):
        losses = emo(logits, labels, embedding=embedding, where=mask, form=form)
        return jnp.sum(losses) / jnp.sum(mask)

    value, slope = jax.value_and_grad(mean)(logits)
    np.testing.assert_allclose(value, arrays[f"{FORMS[form]}_loss/{case}"], **CLOSE)
    np.testing.assert_allclose(slope, arrays[f"{FORMS[form]}_grad/{case}"], **CLOSE)


def distances(logits, embedding):
    """The distance alone: twice the half of it in the third form."""
    return (
        emo(logits, LABELS, embedding=embedding, form="adaptive_distance", share=1.0)
        / 2
    )


def test_with_orthonormal_rows_the_distance_is_one_minus_the_probability():
    rows = np.linalg.qr(RNG.normal(size=(5, 5)))[0]
    # The adaptive distance lacks the label's own probability in its value only.
    np.testing.assert_allclose(distances(LOGITS, rows), 1.0, rtol=1e-12)
    slope = jax.jit(jax.grad(lambda z: jnp.sum(distances(z, rows))))(LOGITS)

    def probabilities(z):
        p = jax.nn.softmax(z)
        return jnp.sum(1 - jnp.take_along_axis(p, LABELS[:, None], axis=1))

    expected = jax.jit(jax.grad(probabilities))(LOGITS)
    np.testing.assert_allclose(slope, expected, atol=1e-13)


def test_the_plain_form_has_the_value_of_the_cross_entropy_and_another_gradient():
    embedding = RNG.normal(size=(5, 3))
    plain = lambda z: jnp.sum(emo(z, LABELS, embedding=embedding))
    entropy = lambda z: jnp.sum(cross_entropy(z, LABELS))
    value, slope = jax.jit(jax.value_and_grad(plain))(LOGITS)
    other, other_slope = jax.jit(jax.value_and_grad(entropy))(LOGITS)
    np.testing.assert_allclose(value, other, rtol=1e-8)
    assert np.max(np.abs(slope - other_slope)) > 0.01


def test_the_embedding_is_constant_and_rows_of_zeros_are_far():
    embedding = RNG.normal(size=(5, 3))
    total = lambda e: jnp.sum(emo(LOGITS, LABELS, embedding=e))
    slope = jax.jit(jax.grad(total))(embedding)
    assert not np.any(slope)
    embedding[LABELS[0]] = 0
    value = distances(LOGITS, embedding)
    np.testing.assert_allclose(value[0], 1.0, rtol=1e-12)


def test_tokens_of_a_sequence_and_narrow_types():
    embedding = RNG.normal(size=(5, 3))
    losses = emo(LOGITS.reshape(2, 3, 5), LABELS.reshape(2, 3), embedding=embedding)
    flat = emo(LOGITS, LABELS, embedding=embedding)
    np.testing.assert_allclose(losses.ravel(), flat, rtol=1e-12)
    narrow = emo(
        jnp.asarray(LOGITS, jnp.bfloat16), LABELS, embedding=jnp.asarray(embedding)
    )
    assert narrow.dtype == jnp.float32
    outside = emo(LOGITS, LABELS + 9, embedding=embedding)
    assert np.all(np.isnan(outside))


@pytest.mark.parametrize(
    "change, words",
    [
        ({"form": "emo1"}, "unknown form 'emo1'"),
        ({"share": 2.0}, r"share must lie in \[0, 1\]; got 2.0"),
        ({"embedding": np.ones((4, 3))}, r"embedding must have shape \(5, D\)"),
        ({"embedding": np.ones(5)}, r"embedding must have shape \(5, D\)"),
        ({"where": np.ones(3)}, r"where must have the shape of the labels, \(6,\)"),
    ],
)
def test_what_it_refuses(change, words):
    with pytest.raises(InputError, match=words):
        undecorated(LOGITS, LABELS, **{"embedding": np.ones((5, 3)), **change})
    with pytest.raises(InputError, match="is out of range .6 of 6 labels."):
        undecorated(LOGITS, LABELS + 9, embedding=np.ones((5, 3)))
