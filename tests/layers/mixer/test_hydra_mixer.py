"""Quasiseparable matrices, dense and as scans, and the layer of them."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import (
    Direction,
    hydra_mixer,
    quasiseparable_matrix,
    quasiseparable_mix,
    selective_scan,
)

RNG = np.random.default_rng(0)
B, T, H, P, N = 2, 9, 2, 3, 2
X = RNG.normal(size=(B, T, H, P))
DT = RNG.uniform(0.1, 2, size=(2, B, T, H))
ROWS = RNG.normal(size=(4, B, T, N))
DIAGONAL = RNG.normal(size=(B, T, H))
A = -np.array([0.3, 2.0])
FORWARD, BACKWARD = (
    Direction(*map(jnp.asarray, (DT[i], *ROWS[2 * i : 2 * i + 2]))) for i in range(2)
)
CLOSE: Any = {"rtol": 1e-11, "atol": 1e-12}


@functools.cache
def found():
    """Everything that is compared, in one program."""
    still = [Direction(0 * w.dt, w.b, w.c) for w in (FORWARD, BACKWARD)]
    flip = lambda tree: jax.tree.map(lambda z: jnp.flip(z, axis=1), tree)

    @jax.jit
    def run(x, diagonal, a):
        mix = functools.partial(quasiseparable_mix, x)
        matrix = quasiseparable_matrix(FORWARD, BACKWARD, diagonal, a)
        slopes = lambda chunk: jax.grad(
            lambda a: jnp.sum(jnp.sin(mix(FORWARD, BACKWARD, diagonal, a, chunk=chunk)))
        )(a)
        return {
            "matrix": matrix,
            "mixed": [
                mix(FORWARD, BACKWARD, diagonal, a, chunk=n) for n in (1, 2, 4, 64)
            ],
            "slopes": [slopes(n) for n in (2, 64)],
            "still": mix(still[0], still[1], diagonal, a),
            "causal": mix(FORWARD, BACKWARD._replace(c=0 * BACKWARD.c), diagonal, a),
            "turned": quasiseparable_mix(
                flip(x), flip(BACKWARD), flip(FORWARD), flip(diagonal), a
            ),
            "loop": selective_scan(x, FORWARD.dt, a, FORWARD.b, FORWARD.c, chunk=4),
        }

    values = run(*map(jnp.asarray, (X, DIAGONAL, A)))
    return jax.tree.map(np.asarray, values)


def test_the_scan_is_the_recurrence():
    state, y = np.zeros((B, H, N, P)), np.zeros_like(X)
    for t in range(T):
        dt = DT[0][:, t]
        write = np.einsum("bn,bhp->bhnp", ROWS[0][:, t], X[:, t] * dt[..., None])
        state = np.exp(A * dt)[..., None, None] * state + write
        y[:, t] = np.einsum("bn,bhnp->bhp", ROWS[1][:, t], state)
    np.testing.assert_allclose(found()["loop"], y, **CLOSE)


def test_scans_of_any_chunk_are_the_dense_matrix():
    want = np.einsum("bhts,bshp->bthp", found()["matrix"], X)
    for y in found()["mixed"]:
        np.testing.assert_allclose(y, want, **CLOSE)
    np.testing.assert_allclose(*found()["slopes"], rtol=1e-10)


def test_blocks_beside_the_free_diagonal_have_low_rank():
    matrix = found()["matrix"]
    diagonal = np.diagonal(matrix, axis1=2, axis2=3)
    np.testing.assert_allclose(diagonal, DIAGONAL.swapaxes(1, 2), rtol=1e-14)
    for block in (matrix[..., 5:, :5], matrix[..., :4, 4:]):
        values = np.linalg.svd(block, compute_uv=False)
        assert np.all(values[..., N:] < 1e-12 * values[..., :1])
        assert np.all(values[..., N - 1] > 1e-6 * values[..., 0])


def test_limits():
    values = found()
    np.testing.assert_allclose(values["still"], X * DIAGONAL[..., None], rtol=1e-14)
    lower = np.einsum("bhts,bshp->bthp", np.tril(values["matrix"]), X)
    np.testing.assert_allclose(values["causal"], lower, **CLOSE)
    np.testing.assert_allclose(values["turned"][:, ::-1], values["mixed"][0], **CLOSE)


def test_padding_behind_a_sequence_is_not_there():
    layer = hydra_mixer(2, d_state=2, head_dim=2, conv_size=3)
    x = jnp.asarray(RNG.normal(size=(1, 6, 2)), jnp.float32)
    mask = jnp.array([[1, 1, 1, 1, 0, 0]])

    @jax.jit
    def run(key):
        start = layer.init(key)
        padded = jnp.where(mask[..., None] > 0, x, jnp.nan)
        y = layer.apply(*start, padded, train=True, mask=mask)[0]
        return y, layer.apply(*start, x[:, :4], train=True)[0]

    y, alone = map(np.asarray, run(jax.random.key(0)))
    np.testing.assert_allclose(y[:, :4], alone, rtol=1e-5, atol=1e-6)
    assert not y[:, 4:].any() and alone.any()


Z = jnp.asarray(X)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: hydra_mixer(4, head_dim=3), "head_dim must divide"),
        (lambda: hydra_mixer(4, head_dim=4, conv_size=4), "odd"),
        (lambda: hydra_mixer(4, head_dim=4, d_state=0), "d_state"),
        (
            lambda: hydra_mixer(4, head_dim=4).apply({}, {}, Z[..., :1, 0], train=True),
            "hydra_mixer takes",
        ),
        (lambda: selective_scan(Z, *FORWARD, FORWARD.c), "must be"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
