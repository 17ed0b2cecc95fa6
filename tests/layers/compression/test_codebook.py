"""Codebooks against recorded snaps, and their exact properties."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.layer_vectors import load

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import (
    code_uses,
    codebook_bottleneck,
    codebook_lookup,
    replace_dead_codes,
)

RNG = np.random.default_rng(0)
CODES, H = RNG.normal(size=(6, 4)), RNG.normal(size=(2, 3, 4))
NAMES = {
    "base": "base",
    "aeloss": "aeloss",
    "vqvae": "vqvae-0.25",
    "fullaeloss": "fullaeloss-0.25",
}


def test_recorded_outputs_choices_and_gradients():
    """All sixteen cases, in one program."""
    _, arrays = load("codebook", "A")
    x, codes, g = (arrays[f"init/{n}"] for n in ("x", "codebook", "G"))
    cases = [
        (f"{short}_k{k}_{name}", {"similarity": s, "num_codes": k, "loss": loss})
        for short, s in (("inner", "inner"), ("euclid", "euclidean"))
        for k in (1, 3)
        for loss, name in NAMES.items()
    ]

    @jax.jit
    def run(codes, x, g):
        found = {}
        for name, options in cases:
            f = functools.partial(codebook_lookup, **options)
            y, back, ids = jax.vjp(f, codes, x, has_aux=True)
            found[name] = y, ids, *back(g)
        return found

    for name, (y, ids, to_codes, to_x) in run(codes, x, g).items():
        np.testing.assert_array_equal(ids, arrays[f"ids/{name}"])
        for got, key in ((y, "y"), (to_codes, "gc"), (to_x, "gx")):
            want = arrays[f"{key}/{name}"]
            np.testing.assert_allclose(got, want, rtol=0, atol=1e-12, err_msg=name)


@functools.cache
def found():
    """Everything that the exact properties compare, in one program."""
    order = np.array([3, 0, 5, 1, 4, 2])
    forced = np.zeros((2, 3), bool)
    forced[0, 1] = forced[1, 2] = True

    @jax.jit
    def run(codes, h):
        look = codebook_lookup
        y, ids = look(codes, h)
        winner = jnp.zeros(6, bool).at[ids[0, 0, 0]].set(True)
        once = look(codes, h, patch=(forced, jnp.array([-1])))
        parts = jnp.stack([codes[:, :2], codes[:, 2:]])
        scales = jnp.array([0.5, 2.0, 3.0, 1e-3, 7.0, 1.0])
        return {
            "plain": (y, ids),
            "top2": look(codes, h, num_codes=2),
            "scaled": look(codes * scales[:, None], h),
            "scales": scales,
            "itself": look(h.reshape(6, 4), h, similarity="euclidean")[0],
            "far": look(h.reshape(6, 4) + 1e7, h + 1e7, similarity="euclidean")[1],
            "disabled": look(codes, h, disabled=winner)[1],
            "patched": once,
            "again": look(codes, h, patch=(forced, once[1])),
            "permuted": look(codes[order], h),
            "groups": look(parts, h),
            "left": look(parts[0], h[..., :2]),
            "right": look(parts[1], h[..., 2:]),
            "zero": look(codes.at[0].set(0), h * jnp.nan)[0],
        }

    return jax.tree.map(np.asarray, run(CODES, H)), order, forced


def test_outputs_are_codes_and_choices_do_not_see_their_norms():
    values, order, _ = found()
    y, ids = values["plain"]
    np.testing.assert_array_equal(y, CODES[ids[..., 0]])
    scaled, same = values["scaled"]
    np.testing.assert_array_equal(same, ids)
    np.testing.assert_allclose(scaled, y * values["scales"][ids], rtol=1e-14)
    permuted, numbers = values["permuted"]
    np.testing.assert_array_equal(permuted, y)
    np.testing.assert_array_equal(order[numbers], ids)


def test_the_euclidean_choice_of_the_inputs_themselves_is_they():
    values = found()[0]
    np.testing.assert_array_equal(values["itself"], H)
    np.testing.assert_array_equal(values["far"].ravel(), np.arange(6))


def test_without_the_winner_the_second_is_chosen():
    values = found()[0]
    assert values["disabled"][0, 0, 0] == values["top2"][1][0, 0, 1]


def test_forced_codes():
    values, _, forced = found()
    y, ids = values["patched"]
    assert np.all(ids[forced] == -1) and not np.any(y[forced])
    np.testing.assert_array_equal(y[~forced], values["plain"][0][~forced])
    for one, two in zip(values["again"], values["patched"], strict=True):
        np.testing.assert_array_equal(one, two)


def test_groups_are_layers_of_their_own():
    values = found()[0]
    y, ids = values["groups"]
    left, right = values["left"], values["right"]
    np.testing.assert_array_equal(y, np.concatenate([left[0], right[0]], -1))
    np.testing.assert_array_equal(ids, np.stack([left[1], right[1]], -2))


def test_nan_is_seen():
    assert np.all(np.isnan(found()[0]["zero"]))


def test_dead_codes_become_inputs():
    ids = jnp.array([[2], [-1], [0], [2]])
    uses = jax.jit(code_uses, static_argnums=1)(ids, 4)
    assert uses.tolist() == [1, 0, 1, 0]
    codes, h = jnp.asarray(CODES[:4]), jnp.asarray(H)
    new = jax.jit(replace_dead_codes)(jax.random.key(0), codes, uses, h)
    np.testing.assert_array_equal(new[np.array([0, 2])], CODES[[0, 2]])
    rows = H.reshape(-1, 4).tolist()
    assert new[1].tolist() in rows and new[3].tolist() in rows


C, X = jnp.asarray(CODES, jnp.float32), jnp.asarray(H, jnp.float32)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: codebook_lookup(C, X, num_codes=7), "at most 6"),
        (lambda: codebook_lookup(C, X[..., :3]), "last axis of h"),
        (
            lambda: codebook_lookup(C, X, disabled=np.ones(6, bool)),
            "only 0 codes are not disabled",
        ),
        (lambda: codebook_lookup(C, X, patch=(np.ones(1), 0)), "leading axes"),
        (lambda: codebook_bottleneck(6, groups=4), "must divide the 6 features"),
        (lambda: codebook_bottleneck(6, size=2, num_codes=3), "at most 2"),
        (lambda: codebook_bottleneck(6, size=0), "size"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
