"""Two-way attention against loops over heads and queries in NumPy."""

import jax
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import two_way_attention

RNG = np.random.default_rng(0)
Q, M = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(2, 5, 4))
LAYER = two_way_attention(4, heads=2, depth=2, hidden=6)
BARE = two_way_attention(4, heads=2, depth=2, hidden=6, norm=False)
DRAWN = jax.eval_shape(LAYER.init, jax.random.key(0))[0]
PARAMS = {n: RNG.normal(size=p.shape) for n, p in DRAWN.items()}
QUERIES, MEMORY = np.array([2, 0, 1]), np.array([4, 1, 0, 3, 2])
MASKS = np.array([[1, 1, 0], [1, 0, 1]]), np.array([[1, 0, 1, 1, 1], [0, 1, 1, 1, 0]])


def plainly(q, m):
    def dense(name, i, h):
        return h @ PARAMS[name][i] + PARAMS[f"{name}_bias"][i]

    def norm(name, i, h):
        z = (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + 1e-5)
        return z * PARAMS[f"{name}_norm_scale"][i] + PARAMS[f"{name}_norm_bias"][i]

    def attend(name, i, h, to):
        own, both = dense(f"{name}_in", i, h), dense(f"{name}_keys", i, to)
        keys, values = both[:, :4], both[:, 4:]
        y = np.zeros_like(h)
        for head in (slice(0, 2), slice(2, 4)):
            for t in range(len(h)):
                weights = np.exp(keys[:, head] @ own[t, head] / np.sqrt(2))
                y[t, head] = weights @ values[:, head] / weights.sum()
        return norm(name, i, h + dense(f"{name}_out", i, y))

    for i in range(2):
        q = attend("cross", i, attend("self", i, q, q), m)
        hidden = np.maximum(dense("mlp_in", i, q), 0)
        q = norm("mlp", i, q + dense("mlp_out", i, hidden))
        m = attend("back", i, m, q)
    return q, m


@jax.jit
def run(params, cases):
    def apply(case):
        q, m, *masks = case
        return LAYER.apply(params, {}, (q, m), train=True, mask=masks)[0]

    silent = {n: 0 * p if "out" in n else p for n, p in params.items()}
    alone = BARE.apply(silent, {}, (Q, M), train=True)[0]
    return jax.lax.map(apply, cases), alone


@pytest.fixture(scope="module")
def found():
    ones = [np.ones(mask.shape) for mask in MASKS]
    pairs = zip(MASKS, (Q, M), strict=True)
    holes = [np.where(mask[..., None] == 0, np.nan, x) for mask, x in pairs]
    cases = (
        (Q, M, *ones),
        (Q[:, QUERIES], M[:, MEMORY], *ones),
        (*holes, *MASKS),
    )
    cases = tuple(np.stack(parts).astype(float) for parts in zip(*cases, strict=True))
    each, silent = jax.device_get(run(PARAMS, cases))
    names = ("plain", "permuted", "masked")
    return {"silent": silent} | {n: [x[i] for x in each] for i, n in enumerate(names)}


def test_it_is_the_attention_of_each_query_by_itself(found):
    for b in range(2):
        for y, wanted in zip(found["plain"], plainly(Q[b], M[b]), strict=True):
            np.testing.assert_allclose(y[b], wanted, rtol=1e-10, atol=1e-11)


def test_permutations_of_queries_and_of_memory_permute_the_outputs(found):
    (q, m), (own, other) = found["plain"], found["permuted"]
    np.testing.assert_allclose(own, q[:, QUERIES], rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(other, m[:, MEMORY], rtol=1e-11, atol=1e-12)


def test_padding_is_not_attended_to(found):
    for b in range(2):
        kept = [mask[b] == 1 for mask in MASKS]
        wanted = plainly(Q[b, kept[0]], M[b, kept[1]])
        for y, here, w in zip(found["masked"], kept, wanted, strict=True):
            np.testing.assert_allclose(y[b, here], w, rtol=1e-10, atol=1e-11)
            assert not np.any(y[b, ~here])


def test_without_norms_and_with_outputs_of_zeros_it_is_the_identity(found):
    for y, x in zip(found["silent"], (Q, M), strict=True):
        np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize(
    "x, words",
    [
        (Q, "takes a pair of queries and memory"),
        ((Q, M, M), "takes a pair of queries and memory"),
        ((Q, M[..., :3]), r"takes inputs of shape \(..., 4\)"),
        ((Q, M[:1]), "must be of one batch; got batches of 2, 1"),
        ((Q[:, 0], M), r"queries of two_way_attention must be \(B, n, 4\); got"),
    ],
)
def test_inputs_that_do_not_fit(x, words):
    with pytest.raises(InputError, match=words):
        LAYER.apply(PARAMS, {}, x, train=True)
