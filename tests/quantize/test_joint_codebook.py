"""JLCM: groups of rows, the gradient to the mapping, the fit, packed bits."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.quantize import (
    JointCodebook,
    codebook_bits,
    codebook_weights,
    fit_joint_codebook,
    group_rows,
    joint_codebook,
    pack_codebook,
    permute_layer_chain,
)

KEY = jax.random.key(0)
MAPPINGS = ("proximal", "neighbour", "straight_through")


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_a_permuted_chain_is_the_same_network(groups):
    rng = np.random.default_rng(groups)

    def whole(*shape):
        return rng.integers(-3, 4, size=shape).astype(float)

    # A convolution of 1 x 1, a normalization, two dense layers; whole numbers, so
    # that the order of sums changes nothing.
    layers = [
        {"kernel": whole(1, 1, 24, 6), "bias": whole(6)},
        {"scale": whole(6), "bias": whole(6), "mean": whole(6)},
        {"kernel": whole(4 * 6, 6), "bias": whole(6)},
        {"kernel": whole(6, 3), "bias": whole(3)},
    ]
    x = whole(5, 4, 24)

    def network(layers):
        conv, norm, first, last = layers
        y = np.maximum(x @ conv["kernel"][0, 0] + conv["bias"], 0)
        y = (y - norm["mean"]) * norm["scale"] + norm["bias"]
        y = np.maximum(y.reshape(5, -1) @ first["kernel"] + first["bias"], 0)
        return y @ last["kernel"] + last["bias"]

    orders = [
        np.argsort(group_rows(KEY, rows, groups=groups), kind="stable")
        for rows in (layers[0]["kernel"][0, 0].T, layers[2]["kernel"].T)
    ]
    changed = permute_layer_chain(layers, [orders[0], None, orders[1], None])
    np.testing.assert_array_equal(network(changed), network(layers))
    np.testing.assert_array_equal(changed[2]["bias"], layers[2]["bias"][orders[1]])


def test_rows_of_one_distribution_are_one_group():
    wide, narrow = 2 * normal(3, 24), 9 + normal(3, 24, seed=1) / 4
    group = np.asarray(group_rows(KEY, np.concatenate([wide, narrow]), groups=2))
    assert len({*group[:3]}) == len({*group[3:]}) == 1 and group[0] != group[3]


@pytest.mark.parametrize("shared", ["codebook", "nothing"])
def test_one_group_is_plain_k_means(shared):
    weight = normal(6, 5)
    found = joint_codebook(KEY, weight, groups=1, bits=2, shared=shared)
    values = weight.reshape(-1)
    centres = np.sort(values)[(2 * np.arange(4) + 1) * values.size // 8]
    for _ in range(30):
        near = np.argmin(np.abs(values[:, None] - centres), axis=1)
        centres = np.array([values[near == k].mean() for k in range(4)])
    near = np.argmin(np.abs(values[:, None] - centres), axis=1)
    expected = centres[near].reshape(weight.shape)
    np.testing.assert_allclose(codebook_weights(found), expected, rtol=1e-12)


def by_hand(rows, columns, groups, words, shared, seed=0):
    rng = np.random.default_rng(seed)
    return JointCodebook(
        jnp.asarray(rng.normal(size=(1 if shared == "codebook" else groups, words))),
        jnp.asarray(1 + rng.random(groups)),
        jnp.asarray(rng.normal(size=(rows, columns, words))),
        jnp.asarray(np.arange(rows)[::-1] % groups),
    )


@pytest.mark.parametrize("shared", ["codebook", "nothing"])
def test_gradients_are_those_at_fixed_codes_and_the_push_of_the_mapping(shared):
    start = by_hand(6, 5, 3, 4, shared)
    pull = normal(6, 5, seed=1)
    a, g = np.asarray(start.codes), np.asarray(start.group)

    @jax.jit
    @functools.partial(jax.grad, argnums=(0, 1))
    def with_fixed_codes(codebook, scale):
        words = codebook[g if shared == "nothing" else np.zeros_like(g)]
        taken = jnp.sum(words[:, None] * np.eye(4)[a], axis=-1)
        return jnp.sum(pull * scale[g][:, None] * taken)

    @jax.jit
    def ours(*parts):
        def loss(choice, *parts):
            coded = JointCodebook(*parts, start.group)
            return jnp.sum(pull * codebook_weights(coded, mapping_gradient=choice))

        return {c: jax.grad(loss, argnums=(1, 2, 3))(c, *parts) for c in MAPPINGS}

    slopes, expected = ours(*start[:3]), with_fixed_codes(*start[:2])
    for found in slopes.values():
        for one, other in zip(found, expected, strict=False):
            np.testing.assert_allclose(one, other, rtol=1e-12)
    for i, j in np.ndindex(6, 5):
        words = np.asarray(start.codebook)[g[i] if shared == "nothing" else 0]
        apart = words - words[a[i, j]]
        gap = (words.max() - words.min()) / 3
        rank = np.argsort(np.argsort(words))
        push = {
            "proximal": np.sign(apart) * np.exp(-np.abs(apart) / gap),
            "neighbour": np.sign(apart) * (np.abs(rank - rank[a[i, j]]) == 1),
            "straight_through": words,
        }
        for choice, one in push.items():
            wanted = one * pull[i, j] * float(start.scale[g[i]])
            np.testing.assert_allclose(slopes[choice][2][i, j], wanted, atol=1e-12)


def overtaken(logits, words, choice, steps, rate=1e-2):
    """The codewords that are taken one after the other under a constant gradient."""

    def step(logits, _):
        coded = JointCodebook(words[None], jnp.ones(1), logits, jnp.zeros(1, int))
        slope = jax.grad(
            lambda m: jnp.sum(
                codebook_weights(coded._replace(logits=m), mapping_gradient=choice)
            )
        )(logits)
        logits = logits - rate * slope
        return logits, jnp.argmax(logits[0, 0])

    return np.asarray(
        jax.jit(lambda m: jax.lax.scan(step, m, None, length=steps)[1])(logits)
    )


@pytest.mark.parametrize(
    "choice, first", [("proximal", 3), ("neighbour", 3), ("straight_through", 0)]
)
def test_the_first_codeword_to_overtake(choice, first):
    words = jnp.array([-1.0, -0.65, -0.4, -0.1, 0.15, 0.4, 0.75, 1.0])
    equal = jnp.where(jnp.arange(8) == 4, 0.0, -1.0)[None, None]
    taken = overtaken(equal, words, choice, 400)
    assert taken[0] == 4 and taken[taken != 4][0] == first


def test_straight_through_jumps_to_the_end_from_the_distances():
    # All lower codewords reach the present one together, whatever their distance.
    words = jnp.arange(-4.0, 4.0)
    distances = -jnp.abs(4.25 - 4.0 - words[None, None])
    taken = overtaken(distances, words, "straight_through", 110)
    assert taken[0] == 4 and taken[98] == 4 and taken[-1] == 0


@pytest.mark.parametrize("shared", ["codebook", "nothing"])
def test_enough_codewords_are_exact(shared):
    # Rare values are met too. The largest of a scale that is shared is a power of two,
    # so that dividing by it and multiplying again is exact.
    values = np.array([-1.7, -0.3, 0.0, 2.0 if shared == "codebook" else 1.9])
    weight = np.full((6, 5), values[0])
    weight[:, 0], weight[0, 1:3] = values[3], values[1:3]
    found = joint_codebook(KEY, weight, groups=3, bits=2, shared=shared)
    np.testing.assert_array_equal(codebook_weights(found), weight)


@pytest.mark.parametrize("shared", ["codebook", "nothing"])
@pytest.mark.parametrize("groups, bits", [(1, 1), (3, 2), (3, 3), (3, 4)])
def test_packed_bytes_are_the_formula(shared, groups, bits):
    coded = by_hand(5, 7, groups, 2**bits, shared)
    packed = pack_codebook(coded)
    formula = codebook_bits((5, 7), bits=bits, groups=groups, shared=shared)
    assert packed.nbytes == -(-formula // 8)
    expected = np.asarray(codebook_weights(coded))[np.asarray(coded.order)]
    np.testing.assert_allclose(packed.dequantize(), expected, rtol=2e-3)


@pytest.mark.parametrize(
    "choice",
    [MAPPINGS[0], *(pytest.param(c, marks=pytest.mark.full) for c in MAPPINGS[1:])],
)
def test_the_fit_lowers_the_error_of_a_block(choice):
    first, second = normal(6, 4), normal(3, 6, seed=1)
    x = normal(40, 4, seed=2) @ normal(4, 4, seed=3)

    def block(weights, x):
        return jnp.tanh(x @ weights["first"].T) @ weights["second"].T

    weights = {"first": first, "second": second}

    def fitted(key):
        return fit_joint_codebook(
            key,
            block,
            x,
            block(weights, x),
            weights,
            groups=2,
            steps=100,
            learning_rate=1e-2,
            mapping_gradient=choice,
            batch_size=20,
        )

    found = jax.jit(fitted)(KEY)
    assert found.after < 0.7 * found.before and found.losses.shape == (100,)
    error = np.mean((block(found.weights(), x) - block(weights, x)) ** 2)
    np.testing.assert_allclose(found.after, error, rtol=1e-10)


def test_a_fit_that_diverges_is_the_start():
    weight, x = normal(6, 5), np.eye(5)
    found = fit_joint_codebook(
        KEY,
        lambda w, x: x @ w.T,
        x,
        x @ weight.T,
        weight,
        groups=1,
        bits=2,
        steps=3,
        learning_rate=1e9,
        shared="nothing",
    )
    start = codebook_weights(found.codebooks)
    assert found.after == found.before and np.abs(start).max() < 5


def test_zeros_and_equal_rows_have_finite_values_and_derivatives():
    weight = jnp.zeros((4, 3)).at[0].set(2.0)

    @jax.jit
    def both(weight):
        found = joint_codebook(KEY, weight, groups=3, scale_of="rms")
        return found, jax.grad(
            lambda m: jnp.sum(codebook_weights(found._replace(logits=m)))
        )(found.logits)

    found, slope = both(weight)
    assert np.isfinite(slope).all() and np.isfinite(found.logits).all()
    np.testing.assert_array_equal(codebook_weights(found), weight)


CHAIN = [{"kernel": np.ones((2, 3))}, {"bias": np.ones(3)}, {"kernel": np.ones((3, 1))}]


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: group_rows(KEY, np.ones((2, 3)), groups=3), "groups=3 for 2 rows"),
        (lambda: group_rows(KEY, np.ones(3)), r"matrix.*float64 of shape \(3,\)"),
        (lambda: joint_codebook(KEY, np.full((2, 2), np.nan)), "must be finite"),
        (lambda: joint_codebook(KEY, np.ones((2, 2), int)), "real floating matrix"),
        (lambda: joint_codebook(KEY, np.ones((2, 2)), bits=5), "bits"),
        (lambda: joint_codebook(KEY, np.ones((9, 2)), shared="all"), "shared"),
        (
            lambda: codebook_weights(
                JointCodebook(np.ones((1, 2)), np.ones(1), np.ones((1, 1, 2)), [0]),
                mapping_gradient="soft",
            ),
            "mapping_gradient",
        ),
        (lambda: permute_layer_chain(CHAIN, [None]), "got 1 for 3"),
        (
            lambda: permute_layer_chain(CHAIN, [np.zeros(3, int), None, None]),
            "permutation of the 3 outputs",
        ),
        (
            lambda: permute_layer_chain(CHAIN, [None, None, np.zeros(1, int)]),
            "layer 2 is the last kernel",
        ),
        (
            lambda: permute_layer_chain(CHAIN, [None, np.arange(3), None]),
            "layer 1 has no kernel",
        ),
        (
            lambda: permute_layer_chain([*CHAIN[:1], *CHAIN[:1]], [np.arange(3), None]),
            "a multiple of 3 inputs",
        ),
        (
            lambda: fit_joint_codebook(
                KEY,
                lambda w, x: x @ w.T,
                np.ones((4, 2)),
                np.ones((4, 3)),
                np.ones((2, 2)),
            ),
            r"outputs, \(4, 2\); got \(4, 3\)",
        ),
        (
            lambda: fit_joint_codebook(KEY, len, np.ones((0, 2)), np.ones((0, 2)), []),
            "at least one matrix",
        ),
        (
            lambda: fit_joint_codebook(
                KEY, len, np.ones((0, 2)), np.ones((0, 2)), np.ones((2, 2))
            ),
            "at least one; got 0 and 0",
        ),
        (
            lambda: pack_codebook(
                by_hand(2, 2, 1, 2, "codebook")._replace(scale=1e6 * np.ones(1))
            ),
            "float16 holds",
        ),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)
