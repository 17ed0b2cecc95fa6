"""The criteria of LLA by hand, and effective ranks."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import dense_hessian

from jaxopt_lab import curvature
from jaxopt_lab.core.errors import InputError


def test_by_hand():
    nodes = np.array([[-2.0, 1.0, 8.0], [-1.0, 1.0, 2.0]])
    weights = np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]])
    found = curvature.lla_criteria(nodes, weights)
    np.testing.assert_allclose(found.r_e, (2 / 8 + 1 / 2) / 2)
    one = np.sqrt(1.0) / (np.sqrt(0.25) + np.sqrt(2.0))
    two = np.sqrt(0.25) / (np.sqrt(0.5) + np.sqrt(0.5))
    np.testing.assert_allclose(found.k_hn, (one + two) / 2)
    assert (found.n, found.num_steps, found.num_probes) == (0.5, 3, 2)
    whole = curvature.lla_criteria(nodes, weights, n=1)
    np.testing.assert_allclose(whole.k_hn, (1 / 2.25 + 0.25 / 1.0) / 2)


def test_nodes_of_no_weight_count_nothing():
    nodes, weights = np.array([-1.0, 4.0]), np.array([0.5, 0.5])
    padded = curvature.lla_criteria(np.append(nodes, 9.0), np.append(weights, 0.0))
    plain = curvature.lla_criteria(nodes, weights)
    assert (padded.r_e, padded.k_hn) == (plain.r_e, plain.k_hn)


@pytest.mark.full
def test_it_depends_on_the_number_of_steps():
    p = dense_hessian.load("mlp_init")
    few, many = (
        curvature.spectral_density(
            p.hessian(), jax.random.key(0), num_steps=k, num_probes=4
        )
        for k in (8, 40)
    )
    a, b = (curvature.lla_criteria(f.nodes, f.weights) for f in (few, many))
    assert (a.num_steps, b.num_steps) == (8, 40)
    assert abs(a.k_hn - b.k_hn) > 0.01 * b.k_hn


def test_no_positive_curvature():
    found = curvature.lla_criteria(np.array([-1.0, -2.0]), np.array([0.5, 0.5]))
    assert found.k_hn == np.inf
    assert np.isnan(curvature.lla_criteria(np.zeros(2), np.ones(2) / 2).k_hn)


KINDS = ("participation", "entropy", "stable")


@pytest.mark.parametrize("kind", KINDS)
def test_ranks_of_equal_values(kind):
    rank = curvature.effective_rank(np.array([2.0, -2.0, 2.0, 0.0]), kind=kind)
    np.testing.assert_allclose(rank, 3)
    assert curvature.effective_rank(np.zeros(4), kind=kind) == 0


@pytest.mark.full(plain=["participation", "stable"])
@pytest.mark.parametrize("kind", KINDS)
@given(
    st.lists(
        st.integers(-20, 20).filter(bool).map(lambda x: x / 4), min_size=1, max_size=6
    )
)
def test_ranks_lie_between_one_and_the_rank(kind, values):
    rank = curvature.effective_rank(np.array([*values, 0.0]), kind=kind)
    assert 1 - 1e-12 <= rank <= len(values) + 1e-12
    scaled = curvature.effective_rank(7 * np.array([*values, 0.0]), kind=kind)
    np.testing.assert_allclose(scaled, rank)


@pytest.mark.parametrize("kind", KINDS)
def test_ranks_from_a_quadrature(kind):
    values = np.array([3.0, 3.0, -1.0, 0.0])
    nodes, weights = np.array([3.0, -1.0, 0.0]), np.array([0.5, 0.25, 0.25])
    expected = curvature.effective_rank(values, kind=kind)
    two = np.stack([nodes, nodes]), np.stack([weights, weights])
    for n, w in ((nodes, weights), two):
        got = curvature.effective_rank(n, w, size=4, kind=kind)
        np.testing.assert_allclose(got, expected)


@pytest.mark.parametrize(
    "call, words",
    [
        (
            lambda: curvature.lla_criteria(np.ones(2), np.ones(3)),
            r"one shape, \(probes, steps\); got \(2,\) and \(3,\)",
        ),
        (
            lambda: curvature.lla_criteria(np.ones(2), np.ones(2), n=0),
            "n must be positive; got 0",
        ),
        (
            lambda: curvature.effective_rank(np.ones(2), kind="nuclear"),
            "unknown kind 'nuclear'",
        ),
        (
            lambda: curvature.effective_rank(np.ones(2), np.ones(2)),
            "size, the number of parameters, is needed with weights",
        ),
        (
            lambda: curvature.effective_rank(np.ones(2), np.ones(3), size=9),
            r"one shape; got \(2,\) and \(3,\)",
        ),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words):
        call()
