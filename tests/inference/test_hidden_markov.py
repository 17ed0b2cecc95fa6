"""Hidden Markov models against sums over all paths."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.inference import forward_backward, viterbi

S, T = 3, 5
RNG = np.random.default_rng(0)


def _log(x):
    with np.errstate(divide="ignore"):
        return np.log(x)


def shares(*shape):
    x = RNG.uniform(size=shape) + 0.05
    return x / x.sum(-1, keepdims=True)


START, MOVE = _log(shares(S)), shares(S, S)
MOVE[2, 0] = 0  # a forbidden step
MOVE = _log(MOVE / MOVE.sum(-1, keepdims=True))
SEEN = 2 * RNG.normal(size=(4, T, S))


def by_paths(start, move, seen):
    """Best path, its score, filtered and smoothed posteriors, likelihood."""
    count = len(seen)

    def joint(until):
        found = {}
        for path in itertools.product(range(S), repeat=until):
            score = start[path[0]] + sum(seen[t][s] for t, s in enumerate(path))
            score += sum(move[a, b] for a, b in itertools.pairwise(path))
            found[path] = score
        return found

    def posterior(paths, t):
        each = [sum(np.exp(v) for p, v in paths.items() if p[t] == s) for s in range(S)]
        return np.log(each) - np.log(sum(each))

    whole = joint(count)
    best = max(whole, key=whole.__getitem__)
    filtered = [posterior(joint(t + 1), t) for t in range(count)]
    smoothed = [posterior(whole, t) for t in range(count)]
    total = np.log(sum(np.exp(v) for v in whole.values()))
    return best, whole[best], np.array(filtered), np.array(smoothed), total


@jax.jit
def _both(start, move, seen, where):
    return (
        viterbi(start, move, seen, where=where),
        forward_backward(start, move, seen, where=where),
    )


def both(*given):
    """Of NumPy: each cut of an array of jax is a program of its own."""
    return jax.device_get(_both(*given))


def test_brute_force_and_padding():
    """All paths of S^T; with frames left out anywhere, all paths of the others."""
    where = np.array(
        [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 1, 1, 1, 1], [1, 0, 1, 0, 1]]
    )
    seen = np.where(where[..., None], SEEN, np.nan)
    path, posterior = both(START, MOVE, seen, jnp.asarray(where, bool))
    assert np.all(np.isfinite(posterior.smoothed))
    for n, m in enumerate(where != 0):
        best, score, filtered, smoothed, total = by_paths(START, MOVE, SEEN[n][m])
        assert tuple(path.states[n][m]) == best
        np.testing.assert_allclose(path.log_probability[n], score, rtol=1e-12)
        np.testing.assert_allclose(posterior.filtered[n][m], filtered, rtol=1e-10)
        np.testing.assert_allclose(posterior.smoothed[n][m], smoothed, rtol=1e-10)
        np.testing.assert_allclose(posterior.log_likelihood[n], total, rtol=1e-12)
    # Padding repeats a neighbour.
    assert path.states[3][1] == path.states[3][0]
    assert path.states[2][0] == path.states[2][1]
    np.testing.assert_array_equal(posterior.filtered[1][3], posterior.filtered[1][2])


def test_limits():
    """Uniform moves, moves to the right alone, the last frame, impossible frames."""
    ones, even = np.ones((4, T)), np.full((S, S), -np.log(S))
    path, posterior = both(np.full(S, -np.log(S)), even, SEEN, ones)
    np.testing.assert_array_equal(path.states, SEEN.argmax(-1))
    wanted = SEEN - np.log(np.exp(SEEN).sum(-1, keepdims=True))
    np.testing.assert_allclose(posterior.smoothed, wanted, rtol=1e-10, atol=1e-12)

    right = _log(np.array([[0.5, 0.5, 0], [0, 0.5, 0.5], [0, 0, 1.0]]))
    path, posterior = both(_log(np.array([1.0, 0, 0])), right, SEEN, ones)
    assert np.all(np.diff(path.states, axis=-1) >= 0)
    np.testing.assert_allclose(np.exp(posterior.filtered).sum(-1), 1, rtol=1e-12)
    np.testing.assert_allclose(np.exp(posterior.smoothed).sum(-1), 1, rtol=1e-12)
    last = posterior.filtered[:, -1], posterior.smoothed[:, -1]
    np.testing.assert_allclose(*last, atol=1e-14)

    seen = SEEN.copy()
    seen[0, 2] = -np.inf
    path, posterior = both(START, MOVE, seen, ones)
    assert path.log_probability[0] == posterior.log_likelihood[0] == -np.inf
    assert np.all(posterior.smoothed[0] == -np.inf)
    assert np.all(np.isfinite(posterior.smoothed[1:]))


def test_gradients():
    """That of the likelihood is the posterior, that of the best score the path."""

    @jax.jit
    def slopes(seen):
        total = lambda x: jnp.sum(forward_backward(START, MOVE, x).log_likelihood)
        best = lambda x: jnp.sum(viterbi(START, MOVE, x).log_probability)
        found = forward_backward(START, MOVE, seen)
        return (
            jax.grad(total)(seen),
            found.smoothed,
            jax.grad(best)(seen),
            viterbi(START, MOVE, seen).states,
        )

    total, smoothed, best, states = slopes(SEEN)
    np.testing.assert_allclose(total, np.exp(smoothed), rtol=1e-10, atol=1e-14)
    np.testing.assert_array_equal(best, np.eye(S)[np.asarray(states)])
    seen = SEEN.copy()
    seen[0], seen[1, 1, 0] = -np.inf, -np.inf
    total, smoothed, best, states = slopes(seen)
    assert not np.any(total[0]) and np.all(np.isfinite(total))
    np.testing.assert_allclose(total[1:], np.exp(smoothed[1:]), atol=1e-14)
    assert np.all(np.isfinite(best))


def test_long_sequences_do_not_underflow():
    seen = np.tile(SEEN[:1], (1, 2000, 1)) - 50
    posterior = jax.jit(forward_backward)(START, MOVE, seen.astype(np.float32))
    assert posterior.log_likelihood[0] < -4e5
    np.testing.assert_allclose(np.exp(posterior.smoothed).sum(-1), 1, rtol=1e-5)
    # The frames repeat: so do the posteriors.
    middle = np.asarray(posterior.smoothed[0, 100:-100]).reshape(-1, T, S)
    np.testing.assert_allclose(middle, middle[:1] + 0 * middle, rtol=1e-3)


def test_refused():
    with pytest.raises(InputError, match=r"log_emission must be real floating"):
        viterbi(START, MOVE, np.zeros((T, S), int))
    with pytest.raises(InputError, match=r"need log_start \(2,\)"):
        forward_backward(START, MOVE, np.zeros((T, 2)))
    with pytest.raises(InputError, match=r"where must have the shape \(5,\)"):
        viterbi(START, MOVE, SEEN[0], where=np.ones(3))
