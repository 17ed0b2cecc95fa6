"""Other mixers behind the projections of Hydra against their dense matrices."""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import hydra_mixer
from jaxopt_lab.layers.mixer.hydra_mixer import dense_hydra
from jaxopt_lab.layers.mixer.matrix_mixers import MIXERS, Mixing
from jaxopt_lab.layers.mixer.quasiseparable import Direction

RNG = np.random.default_rng(0)
B, T, H, P, N = 2, 7, 2, 2, 3
NAMES = ("causal", "forward", "sum", "toeplitz", "attention")
V = RNG.normal(size=(B, T, H, P))
DT = RNG.uniform(0.1, 1, size=(2, B, T, H))
ROWS = RNG.normal(size=(4, B, T, N))
TAPS = RNG.normal(size=(H, 19))
SKIP = RNG.normal(size=(B, T, H))
Q, K = RNG.normal(size=(2, B, T, H, N))
A = -np.array([0.3, 2.0])


@functools.cache
def found():
    """Products and matrices of all, in one program."""

    @jax.jit
    def run(v):
        ways = [
            Direction(*map(jnp.asarray, (DT[i], *ROWS[2 * i : 2 * i + 2])))
            for i in range(2)
        ]
        tools = {"a": jnp.asarray(A), "taps": jnp.asarray(TAPS), "pair": (Q, K)}
        made = {
            "causal": Mixing((ways[0],), diagonal=jnp.asarray(SKIP), **tools),
            "forward": Mixing((ways[0],), diagonal=jnp.asarray(SKIP), **tools),
            "sum": Mixing(tuple(ways), diagonal=None, **tools),
        }
        for name in ("toeplitz", "attention"):
            made[name] = Mixing((), diagonal=None, **tools)
        products = {n: MIXERS[n].mix(v, m, 3) for n, m in made.items()}
        return products, {n: MIXERS[n].matrix(m, T) for n, m in made.items()}

    return jax.device_get(run(V))


def semiseparable(b, h, i):
    """The matrix of a scan by products of its decays."""
    m = np.zeros((T, T))
    for t, s in itertools.product(range(T), repeat=2):
        if s <= t:
            decay = np.exp(A[h] * DT[i][b, s + 1 : t + 1, h].sum())
            m[t, s] = ROWS[2 * i + 1][b, t] @ ROWS[2 * i][b, s] * DT[i][b, s, h] * decay
    return m


def test_matrices_are_their_formulas():
    matrices = found()[1]
    for b, h in np.ndindex(B, H):
        lower = semiseparable(b, h, 0)
        want = lower + np.diag(SKIP[b, :, h])
        np.testing.assert_allclose(matrices["forward"][b, h], want, atol=1e-13)
        want = np.vstack([np.zeros(T), lower[:-1]]) + np.diag(SKIP[b, :, h])
        np.testing.assert_allclose(matrices["causal"][b, h], want, atol=1e-13)
        upper = np.zeros((T, T))
        for t, s in itertools.product(range(T), repeat=2):
            if s >= t:
                decay = np.exp(A[h] * DT[1][b, t:s, h].sum())
                upper[t, s] = ROWS[3][b, t] @ ROWS[2][b, s] * DT[1][b, s, h] * decay
        np.testing.assert_allclose(matrices["sum"][b, h], lower + upper, atol=1e-13)
        logits = Q[b, :, h] @ K[b, :, h].T / np.sqrt(N)
        weights = np.exp(logits)
        weights = weights / weights.sum(1, keepdims=True)
        np.testing.assert_allclose(matrices["attention"][b, h], weights, rtol=1e-12)
        want = [[TAPS[h, 9 + t - s] for s in range(T)] for t in range(T)]
        np.testing.assert_allclose(matrices["toeplitz"][0, h], want)


def test_products_are_those_of_the_matrices():
    products, matrices = found()
    for name in NAMES:
        full = np.broadcast_to(matrices[name], (B, H, T, T))
        want = np.einsum("bhts,bshp->bthp", full, V)
        np.testing.assert_allclose(products[name], want, atol=1e-12, err_msg=name)


@functools.cache
def layers():
    """The layer of each kind, dense, and with padding behind, in one program."""
    ones = jax.nn.initializers.constant(0.3)
    sizes: Any = {"d_state": 2, "head_dim": 2, "conv_size": 3, "length": 8}
    x = RNG.normal(size=(1, 6, 2))
    mask = np.array([[1, 1, 1, 1, 0, 0]])

    @jax.jit
    def run(x):
        results = {}
        for name in NAMES:
            layer = hydra_mixer(2, mixer=name, kernel_init=ones, **sizes)
            params = jax.tree.map(
                lambda p: p + 0.1 * jnp.cos(jnp.arange(p.size)).reshape(p.shape),
                layer.init(jax.random.key(0))[0],
            )
            call = lambda x, layer=layer, params=params, **o: layer.apply(
                params, {}, x, train=True, **o
            )[0]
            padded = jnp.where(mask[..., None] > 0, x, jnp.nan)
            dense = dense_hydra(params, x, mixer=name, d_state=2)
            results[name] = (
                (call(x), dense),
                (call(padded, mask=mask)[:, :4], call(x[:, :4])),
            )
        return results

    return jax.device_get(run(x))


@pytest.mark.full
@pytest.mark.parametrize("name", NAMES)
def test_layers(name):
    (y, dense), (padded, alone) = layers()[name]
    np.testing.assert_allclose(y, dense, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(padded, alone, rtol=1e-9, atol=1e-11)
    assert alone.any()


def test_bad_input():
    with pytest.raises(
        InputError, match="attention, causal, forward, quasiseparable, sum"
    ):
        hydra_mixer(2, head_dim=2, mixer="x")  # type: ignore[arg-type]
    layer = hydra_mixer(2, head_dim=2, mixer="toeplitz", length=3)
    params = jax.eval_shape(layer.init, jax.random.key(0))[0]
    call = lambda p: layer.apply(p, {}, jnp.ones((1, 4, 2)), train=True)
    with pytest.raises(InputError, match="mixes up to 3 tokens; got 4"):
        jax.eval_shape(call, params)
