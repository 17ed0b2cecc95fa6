"""Losses of ranked lists: loops over pairs and orders, masks, limits, equalities."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab import losses
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.losses import (
    approx_ndcg,
    lambdarank,
    list_mle,
    pairwise_hinge,
    ranknet,
)
from jaxopt_lab.losses.ranking.soft_ranks import missing_ndcg

RNG = np.random.default_rng(0)
LABELS = np.array([[2, 0, 1, 1, 0], [0, 0, 3, 0, 1], [1, 1, 1, 1, 1]])
SCORES = RNG.normal(size=(3, 5))
WHERE = np.array([[1, 1, 0, 1, 1], [0, 1, 1, 1, 1], [1, 1, 1, 0, 1]])
NAMES = ("pairwise_hinge", "ranknet", "lambdarank", "list_mle", "approx_ndcg")
OPTIONS = {"lambdarank": {"top": 3, "share": 0.8}, "pairwise_hinge": {"margin": 0.7}}
EVERY = {n: (getattr(losses, n), OPTIONS.get(n, {})) for n in NAMES}


def pairs(y):
    return [(i, j) for i in range(len(y)) for j in range(len(y)) if y[i] > y[j]]


def discount(rank, top=np.inf):
    return 1 / np.log2(1 + rank) if rank <= top else 0.0


def ideal(y, top=np.inf):
    best = sorted(2.0**y - 1, reverse=True)
    return sum(g * discount(r, top) for r, g in enumerate(best, 1))


def hinge_by_loop(s, y):
    return sum(max(0, 0.7 - (s[i] - s[j])) for i, j in pairs(y))


def ranknet_by_loop(s, y):
    return sum(np.log1p(np.exp(s[j] - s[i])) for i, j in pairs(y))


def lambdarank_by_loop(s, y):
    rank = 1 + np.argsort(np.argsort(-s))
    total = 0.0
    for i, j in pairs(y):
        gain = 2.0 ** y[i] - 2.0 ** y[j]
        change = abs(gain * (discount(rank[i], 3) - discount(rank[j], 3)))
        weight = 0.2 + 0.8 * change / ideal(y, 3)
        total += weight * np.log1p(np.exp(s[j] - s[i]))
    return total


def list_mle_by_loop(s, y):
    # Of equal labels each against all of them (Breslow).
    return sum(np.log(np.exp(s[y <= y[i]]).sum()) - s[i] for i in range(len(s)))


def approx_ndcg_by_loop(s, y):
    found = 0.0
    for i in range(len(s)):
        others = [j for j in range(len(s)) if j != i]
        rank = 1 + sum(1 / (1 + np.exp((s[i] - s[j]) / 0.1)) for j in others)
        found += (2.0 ** y[i] - 1) * discount(rank)
    return 1 - found / ideal(y)


LOOPS = dict(
    zip(
        NAMES,
        (
            hinge_by_loop,
            ranknet_by_loop,
            lambdarank_by_loop,
            list_mle_by_loop,
            approx_ndcg_by_loop,
        ),
        strict=True,
    )
)


@pytest.fixture(scope="module")
def found():
    """Values and gradients of all losses, with and without a mask, in one program."""

    def both(scores, labels, where=None):
        out = {}
        for name, (loss, options) in EVERY.items():
            total = lambda s, f=loss, o=options: jnp.sum(f(s, labels, where=where, **o))
            value = loss(scores, labels, where=where, **options)
            out[name] = value, jax.grad(total)(scores)
        return out

    @jax.jit
    def run(scores, labels, where, poisoned):
        order = jnp.array([3, 0, 4, 2, 1])
        return {
            "plain": both(scores, labels),
            "masked": both(poisoned, labels, where),
            "permuted": both(scores[:, order], labels[:, order]),
            "nothing": both(scores, labels, jnp.zeros_like(where)),
        }

    poisoned = np.where(WHERE == 1, SCORES, np.nan)
    return jax.device_get(run(SCORES, LABELS, WHERE, poisoned))


@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_loop_with_and_without_dropped_documents(found, name):
    for row, (s, y, here) in enumerate(zip(SCORES, LABELS, WHERE == 1, strict=True)):
        wanted = LOOPS[name](s, y)
        np.testing.assert_allclose(found["plain"][name][0][row], wanted, rtol=1e-12)
        wanted = LOOPS[name](s[here], y[here])
        np.testing.assert_allclose(found["masked"][name][0][row], wanted, rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_dropped_documents_have_no_gradient_and_places_do_not_matter(found, name):
    slopes = found["masked"][name][1]
    assert np.all(np.isfinite(slopes)) and not np.any(slopes[WHERE == 0])
    assert np.abs(slopes[WHERE == 1]).max() > 1e-3
    values, slopes = found["plain"][name]
    others, moved = found["permuted"][name]
    np.testing.assert_allclose(others, values, rtol=1e-12)
    np.testing.assert_allclose(moved, slopes[:, [3, 0, 4, 2, 1]], atol=1e-14)
    # A constant added to the scores changes nothing: the gradient sums to 0.
    np.testing.assert_allclose(slopes.sum(axis=1), 0, atol=1e-14)
    value, slope = found["nothing"][name]
    assert not np.any(value) and not np.any(slope)


def test_orders_have_the_sum_1_and_ties_are_drawn():
    scores = np.array([0.3, -1.0, 0.8, 0.1])
    orders = np.array(list(itertools.permutations(range(4))))
    total, two, drawn, tied = jax.jit(
        lambda s, y, key: (
            jax.vmap(lambda o: list_mle(s, o))(y),
            (list_mle(s[:2], y[0, :2]), ranknet(s[:2], y[0, :2])),
            jax.vmap(lambda k: list_mle(s, jnp.array([1, 0, 1, 0]), key=k))(key),
            list_mle(s, jnp.array([1, 0, 1, 0])),
        )
    )(scores, orders, jax.random.split(jax.random.key(0), 64))
    assert abs(np.exp(-np.asarray(total)).sum() - 1) < 1e-12
    np.testing.assert_allclose(two[0], two[1], rtol=1e-14)
    # Each order of the equals is drawn; without a key it costs more than any of them.
    allowed = [min(o[0], o[2]) > max(o[1], o[3]) for o in orders]
    wanted = np.asarray(total)[allowed]
    np.testing.assert_allclose(
        np.unique(np.round(drawn, 9)), np.unique(np.round(wanted, 9))
    )
    assert tied > np.max(wanted)


def test_list_net_of_optax_is_list_mle_of_one_relevant_document(found):
    one = np.eye(5)[[2, 0, 4]]
    a, b, c = jax.jit(
        lambda s, y: (
            optax.losses.ranking_softmax_loss(s, y, reduce_fn=None),
            list_mle(s, y, top=1),
            approx_ndcg(s, y, temperature=1e-9) - missing_ndcg(s, y),
        )
    )(SCORES, one)
    np.testing.assert_allclose(a, b, rtol=1e-12)
    np.testing.assert_allclose(c, 0, atol=1e-14)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ranknet(SCORES, LABELS[:, :3]), "labels must have the shape of the"),
        (lambda: ranknet(SCORES, LABELS, where=WHERE[0]), "where must have the shape"),
        (lambda: list_mle(SCORES, -LABELS), "labels must be at least 0; got -2"),
        (lambda: approx_ndcg(LABELS, LABELS), "scores must be real floating numbers"),
        (lambda: lambdarank(SCORES, LABELS, top=0), "top must be"),
        (lambda: approx_ndcg(SCORES, LABELS, temperature=0.0), "temperature must be"),
        (lambda: pairwise_hinge(SCORES, LABELS, margin=-1.0), "margin must be"),
    ],
)
def test_what_they_refuse(call, words):
    with pytest.raises(InputError, match=words):
        call()


def test_a_dropped_label_may_be_negative():
    loss = ranknet(np.zeros(3), np.array([1, 0, -1]), where=np.array([1, 1, 0]))
    assert float(loss) == pytest.approx(np.log(2))
