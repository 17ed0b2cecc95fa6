"""RankMixup against recorded losses, and its orders."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.mixing import share
from jaxopt_lab.losses import cross_entropy, mixup_ndcg, mixup_ranking

PATH = pathlib.Path(__file__).parents[1] / "vectors" / "rankmixup" / "losses.npz"
# The recorded code has the logarithms of the ranks and the share of mixtures that count
# in float32.
CLOSE = {"rtol": 1e-7, "atol": 1e-8}
RNG = np.random.default_rng(0)
LOGITS, LABELS = RNG.normal(size=(3, 4)), np.array([0, 1, 3], np.int32)
MIXED = RNG.normal(size=(3, 2, 4))
SOFT = 0.7 * np.eye(4)[LABELS][:, None] + 0.3 * np.eye(4)[[[1, 2], [1, 0], [0, 0]]]
GIVEN = {"mixed": MIXED, "mixed_labels": SOFT}


@pytest.mark.parametrize("case", [0, 1])
def test_vectors(case):
    with np.load(PATH) as file:
        arrays = {n: file[n] for n in file.files}
    options = json.loads(str(arrays["meta"]))["results"][case]
    z, labels = arrays[f"raw_logits/{case}"], arrays[f"labels/{case}"]
    shape = (options["q"], *z.shape)
    mixed, soft = (
        arrays[f"mixup_{name}/{case}"].reshape(shape).swapaxes(0, 1)
        for name in ("logits", "targets")
    )

    @jax.jit
    def both(z, mixed):
        given = {"mixed_labels": soft, "weight": options["alpha"]}
        ndcg = lambda z, m: jnp.mean(mixup_ndcg(z, labels, mixed=m, **given))

        def ranking(z, m):
            # The record multiplies the mean of all hinges by the share that counts.
            first, right = m[:, :1], share(soft[:, :1])
            different = jnp.broadcast_to(
                0.5 * jnp.eye(2, z.shape[1]).sum(0), first.shape
            )
            given = {"margin": options["margin"], "weight": options["alpha"]}
            all_of_them = mixup_ranking(
                z, labels, mixed=first, mixed_labels=different, **given
            )
            plain = cross_entropy(z, labels)
            return jnp.mean(plain) + jnp.mean(all_of_them - plain) * jnp.mean(right < 1)

        graded = lambda f: jax.value_and_grad(f, argnums=(0, 1))(z, mixed)
        return graded(ndcg), graded(ranking)

    for name, (value, (slope, mixed_slope)) in zip(
        ("mndcg", "mrl"), both(z, mixed), strict=True
    ):
        np.testing.assert_allclose(value, arrays[f"{name}_loss/{case}"][0], **CLOSE)
        np.testing.assert_allclose(slope, arrays[f"{name}_grad_raw/{case}"], **CLOSE)
        blocks = 1 if name == "mrl" else options["q"]
        flat = (
            np.asarray(mixed_slope)[:, :blocks].swapaxes(0, 1).reshape(-1, z.shape[1])
        )
        np.testing.assert_allclose(flat, arrays[f"{name}_grad_mixup/{case}"], **CLOSE)


def test_self_mixtures_and_confident_examples_add_nothing():
    call = jax.jit(mixup_ranking, static_argnames="weight")
    own = {**GIVEN, "mixed_labels": np.repeat(np.eye(4)[LABELS][:, None], 2, axis=1)}
    entropy = cross_entropy(LOGITS, LABELS)
    np.testing.assert_array_equal(call(LOGITS, LABELS, weight=1.0, **own), entropy)
    sure = 20 * np.eye(4)[LABELS]
    more = call(sure, LABELS, weight=1.0, **GIVEN) - cross_entropy(sure, LABELS)
    np.testing.assert_array_equal(more, 0)
    assert np.all(call(LOGITS - 9, LABELS, weight=1.0, **GIVEN) > entropy)


def test_the_gain_is_ideal_where_confidences_are_or_fall_as_the_shares():
    soft = np.array([[[0.9, 0.1], [0.6, 0.4]]])
    sure, labels = np.array([[60.0, 0.0]]), np.array([0])
    excess = lambda mixed, ideal: float(
        mixup_ndcg(
            sure, labels, mixed=mixed, mixed_labels=soft, weight=1.0, ideal=ideal
        )[0]
    )
    equal, falling = np.log(soft), 3 * np.log(soft)
    assert abs(excess(equal, "shares")) < 1e-12
    assert excess(falling, "shares") > 1e-3
    assert abs(excess(falling, "confidences")) < 1e-12
    assert excess(falling[:, ::-1], "confidences") > 1e-3


@pytest.mark.parametrize(
    "change, words",
    [
        ({"mixed": MIXED[:2]}, r"mixed must have shape \(3, 2, 4\); got \(2, 2, 4\)"),
        ({"mixed_labels": SOFT[:, :1]}, r"mixed_labels must have shape \(3, 2, 4\)"),
        ({"mixed_labels": 2 * SOFT}, "mixed_labels must be probabilities.* sum 2"),
        ({"weight": -1.0}, "weight must be at least 0; got -1.0"),
    ],
)
def test_what_they_refuse(change, words):
    for loss in (mixup_ranking, mixup_ndcg):
        with pytest.raises(InputError, match=words):
            loss(LOGITS, LABELS, **{**GIVEN, **change})
        with pytest.raises(InputError, match="is out of range .3 of 3 labels."):
            loss(LOGITS, LABELS + 4, **GIVEN)
