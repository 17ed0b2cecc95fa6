"""Consensus of classifiers and clusterings: loops, limits, bounds, sites."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P
from scipy.special import digamma, gammaln

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.inference import BC3EState, c3e, co_association, fit_bc3e

RNG = np.random.default_rng(0)
CLUSTERS = RNG.integers(0, 3, (4, 8))
SIMILAR = co_association(CLUSTERS)
PROBS = RNG.dirichlet(np.ones(3), 8)
LABELS = np.where(RNG.uniform(size=(8, 2)) < 0.3, -1, RNG.integers(0, 3, (8, 2)))
RUN = functools.partial(jax.jit, static_argnames=("divergence", "iterations"))(c3e)


def sweep(left, alpha, coupling, kind):
    """One sweep by loops over items."""
    n = len(left)
    right = np.zeros_like(left)
    for j in range(n):
        total = PROBS[j] + coupling * left[j]
        total = total + alpha * sum(SIMILAR[i, j] * left[i] for i in range(n) if i != j)
        right[j] = total / (1 + coupling + alpha * sum(SIMILAR[:, j]))
    forth = {"squared": lambda x: x, "kl": np.log, "itakura_saito": lambda x: 1 / x}
    back = {"squared": lambda x: x, "kl": np.exp, "itakura_saito": lambda x: 1 / x}
    new = np.zeros_like(left)
    for i in range(n):
        weights = alpha * SIMILAR[i] + coupling * np.eye(n)[i]
        mean = sum(w * forth[kind](right[j]) for j, w in enumerate(weights))
        new[i] = back[kind](mean / weights.sum())
        if kind == "kl":
            new[i] /= new[i].sum()
    return new, right


@pytest.mark.parametrize("kind", ["squared", "kl", "itakura_saito"])
def test_c3e_is_that_of_loops_and_never_rises(kind):
    left = PROBS
    for _ in range(3):
        left, right = sweep(left, 0.2, 0.3, kind)
    found = RUN(PROBS, SIMILAR, alpha=0.2, coupling=0.3, divergence=kind, iterations=3)
    np.testing.assert_allclose(found.probs, (left + right) / 2, rtol=1e-12)
    steps = np.diff(found.objective)
    assert (steps < 1e-12).all() and steps.sum() < -1e-3


def test_the_limits_of_c3e():
    run = functools.partial(RUN, divergence="squared", iterations=500)
    far = run(PROBS, SIMILAR, alpha=0.5, coupling=20.0).probs
    laplacian = np.diag(SIMILAR.sum(1)) - SIMILAR
    wanted = np.linalg.solve(np.eye(8) + 2 * 0.5 * laplacian, PROBS)
    np.testing.assert_allclose(far, wanted, atol=3e-2)
    np.testing.assert_allclose(run(PROBS, SIMILAR, alpha=0.0).probs, PROBS, rtol=1e-12)
    # A fixed point, and rows that stay on the simplex; no tie keeps the own ones.
    equal = np.tile(PROBS[:1], (8, 1))
    np.testing.assert_allclose(run(equal, SIMILAR, alpha=1.0).probs, equal, rtol=1e-12)
    alone = run(PROBS, SIMILAR * 0, coupling=0.0).probs
    np.testing.assert_allclose(alone, PROBS, rtol=1e-12)


def test_c3e_and_its_slope_at_zero_probabilities():
    hard = np.eye(3)[LABELS.max(1) % 3]
    total = lambda p: jnp.sum(c3e(p, SIMILAR, iterations=3).probs[:, 0] ** 2)
    value, slope = jax.jit(jax.value_and_grad(total))(hard)
    assert np.isfinite(value) and np.isfinite(slope).all()
    rows = RUN(hard, SIMILAR, alpha=0.1, divergence="kl", iterations=3).probs.sum(1)
    np.testing.assert_allclose(rows, 1, rtol=1e-12)


def bc3e_by_loops(labels, clusters, iterations, prior=1.0, smoothing=0.1):
    n, m = clusters.shape
    votes = np.array([[np.sum(row == k) for k in range(3)] for row in labels], float)
    counts = np.zeros((m, 3, 3))
    for i, j in itertools.product(range(n), range(m)):
        counts[j, :, clusters[i, j]] += votes[i]
    beta = (counts + 1 + smoothing) / (counts + 1 + smoothing).sum(-1, keepdims=True)
    gamma, bounds = votes + prior, []
    for _ in range(iterations):
        phi = np.zeros((n, m, 3))
        for i, j in itertools.product(range(n), range(m)):
            phi[i, j] = beta[j, :, clusters[i, j]] * np.exp(digamma(gamma[i]))
            phi[i, j] /= phi[i, j].sum()
        gamma = prior + votes + phi.sum(1)
        log_theta = digamma(gamma) - digamma(gamma.sum(1, keepdims=True))
        bound = smoothing * np.log(beta).sum()
        for i in range(n):
            bound += gammaln(3 * prior) - 3 * gammaln(prior)
            bound += (prior - 1 + votes[i]) @ log_theta[i]
            for j in range(m):
                inner = log_theta[i] + np.log(beta[j, :, clusters[i, j]])
                bound += phi[i, j] @ (inner - np.log(phi[i, j]))
            bound += gammaln(gamma[i]).sum() - gammaln(gamma[i].sum())
            bound -= (gamma[i] - 1) @ log_theta[i]
        bounds.append(bound)
        counts = np.zeros((m, 3, 3)) + smoothing
        for i, j in itertools.product(range(n), range(m)):
            counts[j, :, clusters[i, j]] += phi[i, j]
        beta = counts / counts.sum(-1, keepdims=True)
    return gamma, phi, beta, np.array(bounds)


def fit(labels, clusters, **options):
    given = {"classes": 3, "cluster_count": 3, "iterations": 6, **options}
    return fit_bc3e(labels, clusters, **given)


def test_bc3e_is_that_of_loops_on_one_and_on_four_sites():
    clusters = CLUSTERS.T
    wanted = bc3e_by_loops(LABELS, clusters, 6)
    whole = jax.jit(fit)(LABELS, clusters)
    mesh = jax.make_mesh((4,), ("site",), axis_types=(jax.sharding.AxisType.Auto,))
    spread = jax.jit(
        jax.shard_map(
            functools.partial(fit, axis_name="site"),
            mesh=mesh,
            in_specs=P("site"),
            out_specs=BC3EState(P("site"), P("site"), P(), P()),
        )
    )(LABELS, clusters)
    for found in (whole, spread):
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9)
    assert (np.diff(whole.bound) > -1e-12).all() and np.ptp(whole.bound) > 0.01
    # Other numbers for the clusters of one clustering.
    swapped = clusters.copy()
    swapped[:, 0] = np.array([2, 0, 1])[clusters[:, 0]]
    np.testing.assert_allclose(bc3e_by_loops(LABELS, swapped, 6)[0], whole.gamma)


def test_bc3e_of_one_item_lies_below_the_evidence():
    labels, clusters = np.array([[0, 2]]), np.array([[1, 2]])
    gamma, _, beta, bounds = bc3e_by_loops(labels, clusters, 6)
    before = bc3e_by_loops(labels, clusters, 5)[2]
    evidence = 0.0
    for z in itertools.product(range(3), repeat=2):
        counts = np.bincount([0, 2, *z], minlength=3)
        of_classes = gammaln(3.0) + gammaln(counts + 1.0).sum() - gammaln(7.0)
        chosen = before[0, z[0], 1] * before[1, z[1], 2]
        evidence += np.exp(of_classes) * chosen
    assert bounds[-1] - 0.1 * np.log(before).sum() <= np.log(evidence)
    found = fit(labels, clusters)
    np.testing.assert_allclose(found.gamma, gamma, rtol=1e-9)
    np.testing.assert_allclose(found.beta, beta, rtol=1e-9)


def test_no_clusterings_and_one_without_information():
    votes = np.array([[np.sum(row == k) for k in range(3)] for row in LABELS])
    alone = fit(LABELS, np.zeros((8, 0), int))
    np.testing.assert_allclose(alone.gamma, votes + 1)
    trivial = fit(LABELS, np.zeros((8, 1), int))
    clear = np.sort(votes, axis=1)[:, -1] > np.sort(votes, axis=1)[:, -2]
    same = np.argmax(trivial.gamma, axis=1) == np.argmax(votes, axis=1)
    assert clear.sum() > 2 and same[clear].all()


def test_labels_of_one_byte_are_those_of_more():
    """In uint8 class 256 would be class 0."""
    labels, clusters = np.array([[0], [1]]), np.array([[0], [255]])
    sizes = {"classes": 257, "cluster_count": 257, "iterations": 1}
    small = fit(labels.astype(np.uint8), clusters.astype(np.uint8), **sizes)
    for a, b in zip(small, fit(labels, clusters, **sizes), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda: c3e(PROBS * 2, SIMILAR), "row 0 sums to 2"),
        (lambda: c3e(PROBS, SIMILAR[:4]), r"shapes \(n, C\) and \(n, n\)"),
        (lambda: c3e(PROBS, -SIMILAR), "similarity must be finite and at least 0"),
        (lambda: c3e(PROBS, np.triu(SIMILAR)), "similarity must be symmetric"),
        (lambda: c3e(PROBS, SIMILAR, alpha=-1.0), "alpha must"),
        (lambda: co_association([0, 1]), "shape .clusterings, n.; got"),
        (lambda: fit(LABELS + 2, CLUSTERS.T), "labels must be from -1 to 2; got"),
        (lambda: fit(LABELS, CLUSTERS.T * 1.0), "clusters must be integers"),
        (lambda: fit(LABELS, CLUSTERS), r"shapes \(n, L\) and \(n, M\)"),
    ],
)
def test_bad_input_gets_one_line(call, said):
    with pytest.raises(InputError, match=said):
        call()
