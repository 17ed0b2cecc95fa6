"""SupReMix against loops over mixtures, and what leaves it as it is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.losses import supervised_contrastive_regression, supremix
from jaxopt_lab.losses.supremix import contrast
from jaxopt_lab.losses.supremix_candidates import (
    Candidates,
    drawn_positives,
    examples,
    mixed_negatives,
    mixed_positives,
    products_of,
)

RNG = np.random.default_rng(0)
N = 7
X = RNG.normal(size=(N, 3))
Y = np.array([0.0, 1.0, 1.0, 2.5, 0.0, 4.0, 9.0])
T, WINDOW = 0.3, 3.0
SHARES = RNG.beta(2, 8, (N, N))
ALL = np.ones(N)


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def by_loops(x, y, mixed_of=None, shares=SHARES, window=WINDOW, weighted=True):
    """Mixtures are made of ``mixed_of``, so that it can stay while x moves."""
    f, g, losses = unit(x), unit(x if mixed_of is None else mixed_of), []
    for i in range(len(y)):
        positive, total = [], 0.0
        for k in range(len(y)):
            if k != i:
                logit = f[i] @ f[k] / T
                total += (abs(y[i] - y[k]) * weighted + 1) * np.exp(logit)
                if y[i] == y[k]:
                    positive.append(logit)
            if y[i] != y[k] and shares is not None:
                a = shares[i, k]
                logit = f[i] @ (a * g[i] + (1 - a) * g[k]) / T
                apart = abs(y[i] - (a * y[i] + (1 - a) * y[k]))
                total += (apart * weighted + 1) * np.exp(logit)
            for j in range(len(y)):
                near = y[i] - y[j] < window and y[k] - y[i] < window
                if y[j] < y[i] < y[k] and near:
                    a = (y[k] - y[i]) / (y[k] - y[j])
                    np.testing.assert_allclose(a * y[j] + (1 - a) * y[k], y[i])
                    positive.append(f[i] @ (a * g[j] + (1 - a) * g[k]) / T)
                    total += np.exp(positive[-1])
        if positive:
            losses.append(np.log(total) - np.mean(positive))
    return np.mean(losses) if losses else 0.0


@jax.jit
def of_shares(x, y, shares, window):
    """The loss with given shares, and its gradient."""

    def loss(x):
        f = x / jnp.linalg.norm(x, axis=1, keepdims=True)
        here, t = jnp.ones(N, bool), jnp.asarray(T)
        products = products_of(f, jax.lax.stop_gradient(f)) / t
        found = (
            examples(f, y, here, t),
            mixed_negatives(products, y, here, shares),
            mixed_positives(products, y, here, window),
        )
        parts = [jnp.concatenate(p, 1) for p in zip(*found, strict=True)]
        return contrast(Candidates(*parts), "l1_plus_one")

    return jax.value_and_grad(loss)(x)


@jax.jit
def plain(x, y, where):
    """Without mixtures, weighted and not; with the mixed positives alone."""
    options = {"temperature": T, "where": where}
    mixed = lambda x: supremix(x, y, beta=None, window=WINDOW, **options)
    return (
        supervised_contrastive_regression(x, y, weighting="none", **options),
        supervised_contrastive_regression(x, y, **options),
        jax.value_and_grad(mixed)(x),
    )


def test_it_is_the_loss_by_loops_and_mixtures_are_constants_in_its_derivative():
    value, slope = of_shares(X, Y, SHARES, WINDOW)
    np.testing.assert_allclose(value, by_loops(X, Y), rtol=1e-12)
    way, h = RNG.normal(size=X.shape), 1e-5
    ends = [by_loops(X + s * h * way, Y, mixed_of=X) for s in (1, -1)]
    np.testing.assert_allclose(
        np.sum(slope * way), (ends[0] - ends[1]) / (2 * h), rtol=1e-7
    )


def test_without_mixtures_it_is_the_supervised_contrastive_loss():
    bare, weighted, (mixed, _) = plain(X, Y, ALL)
    none = {"shares": None, "window": 0}
    np.testing.assert_allclose(bare, by_loops(X, Y, weighted=False, **none), rtol=1e-12)
    np.testing.assert_allclose(weighted, by_loops(X, Y, **none), rtol=1e-12)
    np.testing.assert_allclose(mixed, by_loops(X, Y, shares=None), rtol=1e-12)


def test_order_shift_and_scale_of_labels():
    value = of_shares(X, Y, SHARES, WINDOW)[0]
    p = RNG.permutation(N)
    permuted = of_shares(X[p], Y[p], SHARES[np.ix_(p, p)], WINDOW)[0]
    np.testing.assert_allclose(permuted, value, rtol=1e-12)
    moved = of_shares(X, Y + 16, SHARES, WINDOW)[0]
    np.testing.assert_allclose(moved, value, rtol=1e-12)
    # The weights alone know the scale of the labels.
    scaled = of_shares(X, 4 * Y, SHARES, 4 * WINDOW)[0]
    assert abs(scaled - value) > 1e-2
    np.testing.assert_allclose(plain(X, 4 * Y, ALL)[0], plain(X, Y, ALL)[0], rtol=1e-12)


def test_a_constant_added_to_all_logits_is_nothing_even_a_huge_one():
    counts = np.ones((2, 4), bool)
    counts[1] = False
    given = Candidates(
        RNG.normal(size=(2, 4)),
        RNG.uniform(size=(2, 4)),
        counts & (ALL[:4] > 0),
        counts,
    )
    one = jax.jit(lambda c: contrast(c, "l1_plus_one"))
    value = one(given)
    np.testing.assert_allclose(
        one(given._replace(logits=given.logits + 2.0**20)), value, rtol=1e-9
    )


def test_dropped_examples_are_none_and_may_hold_anything():
    where = np.array([1.0, 1, 0, 1, 1, 1, 0])
    kept = where > 0
    holes, labels = np.where(kept[:, None], X, np.nan), np.where(kept, Y, np.nan)
    _, weighted, (mixed, slope) = plain(holes, labels, where)
    none = {"shares": None}
    wanted = by_loops(X[kept], Y[kept], window=0, **none)
    np.testing.assert_allclose(weighted, wanted, rtol=1e-12)
    np.testing.assert_allclose(mixed, by_loops(X[kept], Y[kept], **none), rtol=1e-12)
    assert np.all(np.isfinite(slope)) and not np.any(slope[~kept])


def test_no_positive_no_loss_and_no_gradient():
    far = 10.0 * np.arange(N)
    bare, weighted, (mixed, slope) = plain(X, far, ALL)
    assert bare == weighted == mixed == 0 and not np.any(slope)
    bare, _, (mixed, slope) = plain(X, Y, 0 * ALL)
    assert bare == mixed == 0 and not np.any(slope)
    # One example: no candidate at all.
    alone = plain(X, Y, ALL * (np.arange(N) == 2))
    assert all(np.all(np.isfinite(a)) and not np.any(a) for a in jax.tree.leaves(alone))


def test_drawn_pairs_are_those_around_the_anchor_alike_often():
    many = 4000
    draws = RNG.uniform(size=(2, N, many)).astype(np.float32)

    @jax.jit
    def both(draws):
        f, y, width = jnp.asarray(unit(X)), jnp.asarray(Y), jnp.asarray(WINDOW)
        products, here = products_of(f, f) / T, jnp.ones(N, bool)
        drawn = drawn_positives(products, y, here, width, draws)
        return mixed_positives(products, y, here, width), drawn

    every, some = jax.tree.map(np.asarray, both(draws))
    for i in range(N):
        exact, drawn = every.logits[i][every.counts[i]], some.logits[i]
        assert np.all(some.counts[i] == (exact.size > 0))
        if exact.size:
            gap = np.abs(drawn[:, None] - exact[None])
            assert gap.min(axis=1).max() < 1e-12 and gap.min(axis=0).max() < 1e-12
            error = exact.std() / np.sqrt(many) + 1e-12
            assert abs(drawn.mean() - exact.mean()) < 5 * error


@pytest.mark.full
def test_its_draws_are_those_of_its_key():
    """Its parts are tested above; the draws of a beta distribution compile long."""

    @jax.jit
    def keyed(keys):
        shares = jax.vmap(
            lambda k: jax.random.beta(jax.random.fold_in(k, 0), 2, 8, (N, N), "float32")
        )(keys)
        options = {"temperature": T, "window": WINDOW}
        few = {**options, "max_mix_positives": 5, "beta": None}
        run = jax.vmap(lambda k: supremix(X, Y, k, **options))
        return run(keys), shares, jax.vmap(lambda k: supremix(X, Y, k, **few))(keys)

    found, shares, drawn = keyed(jax.random.split(jax.random.key(0), 2))
    wanted = [by_loops(X, Y, shares=s) for s in np.asarray(shares, np.float64)]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert drawn[0] != drawn[1] and np.all(np.isfinite(drawn))


@pytest.mark.parametrize(
    "change, words",
    [
        ({"labels": Y[:3]}, r"labels must have shape \(7,\); got \(3,\)"),
        ({"labels": Y > 1}, "labels must be real numbers; got dtype bool"),
        ({"embeddings": X[0]}, "embeddings must be real floating numbers with 2 axes"),
        ({"beta": (2.0, 0.0)}, r"beta must be two numbers above 0 or None; got \(2.0"),
        ({"key": None}, "supremix needs a key for beta and max_mix_positives"),
        ({"window": -1.0}, "window must be at least 0; got -1.0"),
        ({"weighting": "l1"}, "weighting"),
        ({"max_mix_positives": 0}, "max_mix_positives must be a whole number"),
        ({"where": np.ones(2)}, r"where must have shape \(7,\); got \(2,\)"),
    ],
)
def test_what_it_refuses(change, words):
    given = {"embeddings": X, "labels": Y, "key": jax.random.key(0), **change}
    with pytest.raises(InputError, match=words):
        supremix(**given)
