"""LDAdam against recorded steps of the official code."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import replay, vectors
from support.ldadam_cases import optimizer, options, rate

from jaxopt_lab.transforms.compressed.ldadam import scale_by_ldadam

CASES = vectors.cases("ldadam")
EXACT = [name for name in CASES if name != "float32_default"]


@functools.cache
def exact(name):
    case, states = vectors.load("ldadam", name), {}
    after, _ = replay.replay(case, optimizer(case), visit=states.__setitem__)
    return case, after, states


@pytest.mark.full(plain=["conv_as_matrix"])
@pytest.mark.parametrize("name", EXACT)
def test_parameters(name):
    case, after, _ = exact(name)
    worst = replay.worst(case, after)
    print(f"{name}: {worst:.1e}")
    assert worst <= 1e-10


@pytest.mark.full(plain=["full_rank"])
@pytest.mark.parametrize("name", EXACT)
def test_state(name):
    case, _, states = exact(name)
    seen = 0
    for key, wanted in case.arrays.items():
        if not key.startswith("state/"):
            continue
        _, t, what, k = key.split("/")
        state = states[int(t)]
        basis = np.asarray(state.projector[k])
        if what == "projector":
            # The recorded one lies as it multiplies; columns have any sign.
            left = wanted.shape == basis.shape and np.allclose(
                wanted.T @ wanted, np.eye(basis.shape[1])
            )
            wanted = wanted if left else wanted.T
            np.testing.assert_allclose(basis @ basis.T, wanted @ wanted.T, atol=1e-9)
        elif what == "error":
            got = np.asarray(state.error[k]).reshape(wanted.shape)
            np.testing.assert_allclose(got, wanted, atol=1e-9)
        else:
            got = np.asarray({"m": state.mu, "v": state.nu}[what][k])
            wanted = wanted if wanted.shape == got.shape else wanted.T
            np.testing.assert_allclose(np.abs(got), np.abs(wanted), atol=1e-9)
        seen += 1
    assert seen


@pytest.mark.full
@pytest.mark.parametrize("name", ["wd_lr_schedule"])
def test_the_link_in_a_chain_is_the_optimizer(name):
    case = vectors.load("ldadam", name)
    tx = optax.chain(
        scale_by_ldadam(**options(case)),
        optax.add_decayed_weights(case.meta["hyperparameters"]["weight_decay"]),
        optax.scale_by_learning_rate(rate(case)),
    )
    after, _ = replay.replay(case, tx)
    assert replay.worst(case, after) <= 1e-10


@pytest.mark.full(plain=["conv_as_matrix"])
@pytest.mark.parametrize("name", ["default_rank4", "full_rank", "conv_as_matrix"])
def test_cholesky_is_qr(name):
    case = vectors.load("ldadam", name)
    after, _ = replay.replay(case, optimizer(case, factorization="cholesky"))
    assert replay.worst(case, after) <= 1e-8


@pytest.mark.full
def test_float32():
    case = vectors.load("ldadam", "float32_default")
    after, state = replay.replay(case, optimizer(case), jnp.float32)
    for got, wanted in zip(after, case.params, strict=True):
        for k, value in got.items():
            assert value.dtype == jnp.float32
            np.testing.assert_allclose(value, wanted[k], rtol=1e-3, atol=2e-5)
    assert {x.dtype for x in jax.tree.leaves(state[1:])} == {jnp.dtype(jnp.float32)}
