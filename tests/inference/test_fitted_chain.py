"""Counts of labelled sequences, and smoothing with them."""

import jax
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.inference import (
    apply_hidden_markov,
    fit_hidden_markov,
    transition_counts,
    viterbi,
)
from jaxopt_lab.inference.fitted_chain import scaled_likelihoods


def test_counts():
    """Of sequences with padding and weights, by hand."""
    labels = np.array([[0, 0, 1, 7], [2, 1, 1, 0], [9, 2, 2, 1]])
    where = np.array([[1, 1, 1, 0], [1, 1, 0, 1], [0, 1, 1, 1.0]])
    count = lambda *given: transition_counts(
        labels, states=3, smoothing=0.5, where=given[0], weights=given[1]
    )
    chain = jax.jit(count)(where, np.array([1.0, 2, 0]))
    # The hole in the second sequence ends the pair: no move from 1 to 0.
    moves = np.array([[1, 1, 0], [0, 0, 0], [0, 2, 0]]) + 0.5
    starts, shares = np.array([1, 0, 2]) + 0.5, np.array([4, 3, 2]) + 0.5
    for got, n in zip(chain, (starts, moves, shares), strict=True):
        np.testing.assert_allclose(
            np.exp(got), n / n.sum(-1, keepdims=True), rtol=1e-12
        )


def test_without_smoothing():
    """A state that is never left has a uniform row, one never seen probability 0."""

    @jax.jit
    def both(outputs):
        chain = transition_counts(np.array([[0, 0, 1]]), states=3, smoothing=0.0)
        scores = scaled_likelihoods(chain, outputs)
        applied = apply_hidden_markov(chain, outputs)
        return chain, scores, applied, viterbi(*chain[:2], scores).states

    chain, scores, found, states = both(np.zeros((4, 3), np.float32))
    assert np.all(np.isfinite(chain.log_transition[2]))
    np.testing.assert_allclose(np.exp(chain.log_transition[1]), 1 / 3, rtol=1e-6)
    assert chain.log_start[1] == chain.log_prior[2] == -np.inf
    assert np.all(scores[:, 2] == -np.inf)
    np.testing.assert_allclose(np.exp(found).sum(-1), 1, rtol=1e-5)
    assert np.all(np.isin(states, (0, 1)))


def test_scaled_and_posterior():
    """The emission is the posterior over the prior, or the posterior."""
    data = {"targets": np.array([[0, 0, 0, 1]])}
    outputs = np.log([[[0.6, 0.4]]]).astype(np.float32)

    def applied(outputs):
        for emission in ("scaled", "posterior"):
            chain = fit_hidden_markov(data, smoothing=0.0, emission=emission)
            # One frame: start times emission. Starts are all at 0.
            chain = chain._replace(log_start=np.log([0.5, 0.5]).astype(np.float32))
            yield apply_hidden_markov(chain, outputs)[0, 0]

    for found, ratio in zip(
        jax.jit(lambda x: list(applied(x)))(outputs),
        (0.6 / 0.75 / (0.4 / 0.25), 0.6 / 0.4),
        strict=True,
    ):
        np.testing.assert_allclose(np.exp(found[0] - found[1]), ratio, rtol=1e-5)


def test_refused():
    with pytest.raises(InputError, match="labels must be below states=2; got 5"):
        transition_counts(np.array([0, 5]), states=2)
    with pytest.raises(InputError, match="labels must be integers"):
        transition_counts(np.ones(3), states=2)
    with pytest.raises(InputError, match=r"weights must have the shape \(2,\)"):
        transition_counts(np.zeros((2, 3), int), states=2, weights=np.ones(3))
    found = jax.jit(lambda x: transition_counts(x, states=2))(np.array([0, 5, 1]))
    assert np.all(np.isnan(found.log_prior))
    with pytest.raises(InputError, match=r"must be \(..., 2\)"):
        apply_hidden_markov(found, np.zeros((3, 4)))
