"""Distances in graphs: landmarks, pairs, and the isometric loss of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import (
    distance_correlation,
    farthest_point_landmarks,
    landmark_features,
    make_graph,
    sample_distance_pairs,
    shortest_path_lengths,
)
from jaxopt_lab.losses import isometric_loss

RNG = np.random.default_rng(0)
KEY = jax.random.wrap_key_data(np.array([0, 7], np.uint32))
N = 12
ENDS = np.stack([np.arange(1, 10), [RNG.integers(0, i) for i in range(1, 10)]])
ENDS = np.concatenate([ENDS, [[3, 10], [7, 11]]], axis=1)  # 10 and 11 are apart
GRAPH = make_graph(ENDS[0], ENDS[1], N, undirected=True)
LENGTHS = shortest_path_lengths(GRAPH, N)


def test_lengths_are_those_of_floyd_and_warshall():
    want = np.full((N, N), np.inf)
    want[GRAPH.senders, GRAPH.receivers] = 1
    np.fill_diagonal(want, 0)
    for k in range(N):
        want = np.minimum(want, want[:, k : k + 1] + want[k : k + 1])
    np.testing.assert_array_equal(LENGTHS, want)


def test_landmarks_bound_distances_from_below():
    inside = np.arange(10)
    for nodes in (farthest_point_landmarks(KEY, GRAPH, N, 4), np.arange(N)):
        x = landmark_features(KEY, GRAPH, N, landmarks=nodes).astype(float)
        longest = LENGTHS[nodes][np.isfinite(LENGTHS[nodes])].max()
        own = np.isfinite(LENGTHS[nodes][:, 0])
        z = longest * x[:, own]
        gaps = np.abs(z[:, None] - z[None]).max(-1)[np.ix_(inside, inside)]
        part = LENGTHS[np.ix_(inside, inside)]
        assert (gaps <= part + 1e-5).all()
        marks = [i for i in nodes if i < 10]
        np.testing.assert_allclose(gaps[marks], part[marks], atol=1e-5)
    assert x.max() == 1 and x[0, 11] == 1


def test_every_component_has_a_landmark_first():
    nodes = farthest_point_landmarks(KEY, GRAPH, N, 2).tolist()
    assert len({node < 10 for node in nodes}) == 2


def test_relabelled_nodes_are_permuted():
    order = RNG.permutation(N)
    place = np.argsort(order)
    other = make_graph(place[GRAPH.senders], place[GRAPH.receivers], N)
    marks = np.array([2, 5])
    one = landmark_features(KEY, GRAPH, N, landmarks=marks)
    two = landmark_features(KEY, other, N, landmarks=place[marks])
    np.testing.assert_array_equal(two, one[order])


def test_pairs_of_every_distance_are_as_many():
    pairs, found = sample_distance_pairs(KEY, LENGTHS, 6000)
    np.testing.assert_array_equal(LENGTHS[tuple(pairs.T)], found)
    values, counts = np.unique(found, return_counts=True)
    assert values.min() == 1 and np.isfinite(found).all()
    expected = len(found) / len(values)
    squares = ((counts - expected) ** 2 / expected).sum()
    assert squares < len(values) + 4 * np.sqrt(2 * len(values))


def test_the_loss_knows_distances_only():
    h = RNG.normal(size=(N, 3))
    pairs, d = sample_distance_pairs(KEY, LENGTHS, 20)
    turn, _ = np.linalg.qr(RNG.normal(size=(3, 3)))
    far = np.array([[0, 11], [3, 10], [2, 2]])

    @jax.jit
    def run(h):
        loss = lambda h, scale=1.0, d=d: isometric_loss(h[pairs], d, scale=scale)
        line = jnp.arange(5.0)[:, None]
        ends = np.array([[0, 1], [0, 4], [3, 1]])
        return {
            "plain": loss(h),
            "turned": loss(h @ turn + 5.0),
            "scaled": loss(3.0 * h, 1 / 3),
            "both": loss(h, 2.0, 2.0 * d),
            "path": isometric_loss(line[ends], jnp.array([1.0, 4.0, 2.0])),
            "apart": jax.value_and_grad(
                lambda h: jnp.sum(isometric_loss(h[far], LENGTHS[tuple(far.T)]))
            )(h),
        }

    found = jax.tree.map(np.asarray, run(jnp.asarray(h)))
    apart = np.linalg.norm(h[pairs[:, 0]] - h[pairs[:, 1]], axis=1)
    np.testing.assert_allclose(found["plain"], ((apart - d) / d) ** 2, rtol=1e-12)
    for name in ("turned", "scaled", "both"):
        np.testing.assert_allclose(found[name], found["plain"], rtol=1e-11, atol=1e-14)
    assert not found["path"].any()
    assert all(not np.any(leaf) for leaf in found["apart"])


def test_correlation_of_a_path_is_one():
    path = make_graph(np.arange(5), np.arange(1, 6), 6, undirected=True)
    lengths = shortest_path_lengths(path, 6)
    pairs, _ = sample_distance_pairs(KEY, lengths, 30)
    assert (
        abs(distance_correlation(np.arange(6.0)[:, None], lengths, pairs) - 1) < 1e-12
    )


BAD = {
    "num_landmarks must lie in": lambda: farthest_point_landmarks(KEY, GRAPH, N, 13),
    "sources must name nodes": lambda: shortest_path_lengths(GRAPH, N, [12]),
    "finite and above 0 for two nodes": lambda: sample_distance_pairs(
        KEY, np.zeros((2, 2)), 3
    ),
    "distances must be": lambda: sample_distance_pairs(KEY, np.zeros((2, 3)), 3),
    "outputs must be": lambda: isometric_loss(jnp.ones((2, 3, 1)), jnp.ones(2)),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input(message):
    with pytest.raises(InputError, match=message):
        BAD[message]()
