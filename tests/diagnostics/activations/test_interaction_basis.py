"""Interaction bases against their equations, planted ranks and changed coordinates."""

import functools
import importlib
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.diagnostics import (
    degeneracy_report,
    edge_share,
    folded_layer,
    interaction_basis,
    interaction_edges,
    synchronized_units,
)

ROOM = "jaxopt_lab.diagnostics.activations.interaction_"
BASIS, EDGES = (importlib.import_module(ROOM + name) for name in ("basis", "edges"))
RNG = np.random.default_rng(0)
N = 40
W = [RNG.normal(size=s) for s in ((4, 5), (5, 3))]
B = [RNG.normal(size=s) for s in (5, 3)]
X = np.append(RNG.normal(size=(N, 4)), np.ones((N, 1)), axis=1)
X[:, 3] = X[:, 0] - 2 * X[:, 1]  # a rank is missing
ARRAYS = [tuple(map(jnp.asarray, pair)) for pair in zip(W, B, strict=True)]
(W0, B0), (W1, B1) = ARRAYS
LAYERS = [folded_layer(W0, B0, jnp.tanh), folded_layer(W1, B1, last=True)]


@functools.cache
def bases(points=0):
    return interaction_basis(LAYERS, X, points=points)


def jacobian(f, a):
    """At a scaled input; the constant is scaled, too."""
    slope = 1 - np.tanh(a * (f[:-1] @ W[0] + B[0])) ** 2
    return np.vstack([slope[:, None] * np.c_[W[0].T, B[0]], [0, 0, 0, 0, 1]])


def test_the_equations_hold():
    hidden = np.c_[np.tanh(X[:, :-1] @ W[0] + B[0]), np.ones(N)]
    outputs = hidden @ np.vstack([W[1], B[1]])
    for points in (0, 5):
        first, second, last = bases(points).bases
        nodes, weights = np.polynomial.legendre.leggauss(max(points, 1))
        if not points:
            nodes, weights = np.ones(1), 2 * np.ones(1)
        effect = np.zeros((5, 5))
        for f in X:
            j = np.zeros((6, 5))
            for a, w in zip((nodes + 1) / 2, weights / 2, strict=True):
                j = j + w * jacobian(f, a)
            effect = effect + j.T @ second.c @ second.c.T @ j / N
        gram = X.T @ X / N
        keep = np.linalg.eigh(gram)[1][:, 1:]  # all directions but the missing one
        lam = np.diag(first.eigenvalues)
        close: Any = {"rtol": 1e-9, "atol": 1e-10}
        np.testing.assert_allclose(first.c.T @ gram @ first.c, lam, **close)
        back = first.c_pinv @ effect @ first.c_pinv.T
        np.testing.assert_allclose(back, np.eye(len(lam)), **close)
        turned = keep @ keep.T @ effect @ gram @ first.c
        np.testing.assert_allclose(turned, first.c @ lam, **close)
        np.testing.assert_allclose(first.c_pinv @ first.c, np.eye(len(lam)), **close)
        np.testing.assert_allclose(lam.trace(), np.trace(effect @ gram), rtol=1e-9)
        assert np.isclose(bases(points).value, lam.trace())
    # A linear layer: the effect does not depend on the data.
    weight = np.vstack([W[1], B[1]])
    exact = weight @ last.c @ last.c.T @ weight.T
    gram = hidden.T @ hidden / N
    values = np.linalg.eigvals(exact @ gram).real
    np.testing.assert_allclose(second.eigenvalues, np.sort(values)[::-1][:3], rtol=1e-9)
    values = np.linalg.eigvalsh(outputs.T @ outputs / N)[::-1]
    np.testing.assert_allclose(last.eigenvalues, values, rtol=1e-10)


def test_other_coordinates_give_the_same_basis_with_rank_deficient_activations():
    first = bases()
    mix = [RNG.normal(size=(5, 5)), RNG.normal(size=(6, 6))]
    inverse = [jnp.asarray(np.linalg.inv(m)) for m in mix]
    mixed = [
        lambda f: LAYERS[0](f @ inverse[0]) @ jnp.asarray(mix[1]),
        lambda f: LAYERS[1](f @ inverse[1]),
    ]
    other = interaction_basis(mixed, X @ mix[0], threshold=1e-9)
    f, g = X @ first.bases[0].c, X @ mix[0] @ other.bases[0].c
    assert first.bases[0].gram_rank == other.bases[0].gram_rank == 4
    for one, two in zip(first.bases, other.bases, strict=True):
        np.testing.assert_allclose(one.eigenvalues, two.eigenvalues, rtol=1e-9)
    signs = np.sign(np.sum(f * g, axis=0))
    np.testing.assert_allclose(f, g * signs, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(other.value, first.value, rtol=1e-9)
    np.testing.assert_allclose(other.error, first.error, rtol=1e-9)


@pytest.mark.full
def test_edges():
    found = bases()
    edges = interaction_edges(found.bases, LAYERS, X, points=30)
    _, second, last = found.bases
    # Of the linear layer in closed form.
    weight = last.c.T @ np.vstack([W[1], B[1]]).T @ second.c_pinv.T
    close: Any = {"rtol": 1e-9, "atol": 1e-12}
    np.testing.assert_allclose(edges[1], weight**2 * second.eigenvalues, **close)
    fewer = interaction_edges(found.bases, LAYERS, X, points=1)
    np.testing.assert_allclose(edges[1], fewer[1], **close)
    # Of the first one by a fine sum over the way.
    first = found.bases[0]
    a = (np.arange(300) + 0.5) / 300
    total = 0
    for f in X:
        own = f @ first.c
        at = own @ first.c_pinv
        j = np.mean([jacobian(at, one) for one in a], axis=0)
        total = total + (second.c.T @ j @ first.c_pinv.T * own) ** 2 / N
    np.testing.assert_allclose(edges[0], total, rtol=1e-4, atol=1e-7)
    assert edge_share(np.eye(4), 1.0) == 0.25 and edge_share(np.zeros((2, 2))) == 0


def test_planted_ranks_are_counted():
    # Of six units, the last two are blind copies; the third is not seen behind.
    w = np.vstack([RNG.normal(size=(3, 4)), np.zeros((2, 4))])
    w[2] = 0
    x = np.c_[RNG.normal(size=(30, 3)), np.zeros((30, 2))]
    x[:, 3], x[:, 4] = x[:, 0], x[:, 1] - x[:, 0]
    found = interaction_basis([lambda f: f @ jnp.asarray(w)], x, output="identity")
    (report,) = degeneracy_report(found.bases)
    assert report == (2, 1)
    found = synchronized_units(
        [[1, 0, 1, 1, 0, 0], [1, 0, 0, 0, 1, 0], [1, 0, 1, 1, 0, 0]]
    )
    assert found == (((2, 3),), 1, (0,), (1, 5))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: interaction_basis([], X), "at least one"),
        (lambda: interaction_basis(LAYERS, X[0]), r"x must be \(n, d\)"),
        (lambda: interaction_basis(LAYERS, X * np.nan), "finite"),
        (lambda: interaction_basis(LAYERS, X, threshold=1.0), "threshold"),
        (lambda: interaction_basis(LAYERS, X, points=-1), "points"),
        (lambda: interaction_edges([], LAYERS, X), "one more than the 2 layers"),
        (lambda: synchronized_units([1, 0]), "patterns must be"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words) as error:
        call()
    assert "\n" not in str(error.value)


def test_networks_of_the_same_shapes_share_programs():
    def found(scale, x):
        layers = [
            folded_layer(scale * W0, B0, jnp.tanh),
            folded_layer(scale * W1, B1, last=True),
        ]
        own = interaction_basis(layers, x)
        return own, interaction_edges(own.bases, layers, x, points=2)

    with_rank = np.append(RNG.normal(size=(N, 4)), np.ones((N, 1)), axis=1)
    programs = BASIS._sums, EDGES._mean_squares
    first, edges = found(1.0, X)
    before = [run._cache_size() for run in programs]
    second, others = found(2.0, with_rank)
    assert [run._cache_size() for run in programs] == before
    # Another number of coordinates, and weights that are seen.
    assert len(edges[0].T) == 4 and len(others[0].T) == 5
    assert second.value > 1.1 * first.value
