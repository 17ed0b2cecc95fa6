"""Trained modules whose normalizations adapt at test time."""

import functools

import jax
import numpy as np
import pytest
from flax import nnx

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import GhostBatchNorm, alpha_bn, components_of_source, unmix_tns
from jaxopt_lab.recipes import adapting_norms
from jaxopt_lab.training.adapters import from_nnx

X = np.random.default_rng(0).normal(1.0, 2.0, (6, 2, 2, 3)).astype(np.float32)
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


class Net(nnx.Module):
    def __init__(self, rngs):
        self.blocks = nnx.List(
            [
                nnx.Linear(3, 4, rngs=rngs),
                nnx.BatchNorm(4, use_fast_variance=False, epsilon=1e-3, rngs=rngs),
                nnx.Dropout(0.5, rngs=None),
                nnx.Linear(4, 4, rngs=rngs),
            ]
        )
        self.last = GhostBatchNorm(4, eps=1e-3, rngs=rngs)

    def __call__(self, x):
        for block in self.blocks:
            x = block(x) ** 2
        return self.last(x)


MODEL = from_nnx(Net)
PARAMS, SOURCE = jax.jit(MODEL.init)(jax.random.key(0))
SOURCE = jax.tree.map(lambda s: s + 0.3, SOURCE)


def test_alpha_bn_goes_from_the_source_to_the_batch():
    evaluated = jax.jit(lambda s: MODEL.apply(PARAMS, s, X, train=False)[0])
    found = {}
    for alpha in (0.0, 0.3, 1.0):
        test = adapting_norms(Net, functools.partial(alpha_bn, alpha=alpha, ddof=0))
        start = test.start(SOURCE)
        jax.tree.map(np.testing.assert_array_equal, start, SOURCE)
        outputs, state = jax.jit(test.apply)(PARAMS, start, X)
        np.testing.assert_allclose(evaluated(state), outputs, **CLOSE)
        found[alpha] = outputs
    np.testing.assert_allclose(found[0.0], evaluated(SOURCE), **CLOSE)
    # Of the batch alone, scale and bias at their first values.
    mean, var = np.mean(found[1.0], (0, 1, 2)), np.var(found[1.0], (0, 1, 2))
    np.testing.assert_allclose(mean, 0, atol=1e-5)
    np.testing.assert_allclose(var, 1, atol=1e-2)


def test_unmix_tns_starts_around_the_source_and_moves_on():
    test = adapting_norms(Net, functools.partial(unmix_tns, components=3))
    start = test.start(SOURCE, jax.random.key(1))
    for first, source in (
        (start["last"], SOURCE["last"]),
        (start["blocks"]["1"], SOURCE["blocks"]["1"]),
    ):
        deviation = np.sqrt(0.75 * source["var"])
        noise = (first["means"] - source["mean"][None]) / deviation[None]
        around = components_of_source(source, noise)
        for name, value in around.items():
            np.testing.assert_allclose(first[name], value, **CLOSE)
    adapt = jax.jit(test.adapt)
    once = adapt(PARAMS, start, X)
    twice = adapt(PARAMS, once, X)
    assert jax.tree.structure(start) == jax.tree.structure(twice)
    for state, before in ((once, start), (twice, once)):
        assert np.any(state["last"]["means"] != before["last"]["means"])
        np.testing.assert_array_equal(state["last"]["mean"], SOURCE["last"]["mean"])


def test_a_module_without_batch_normalization_is_refused():
    with pytest.raises(InputError, match="no batch normalization to adapt"):
        adapting_norms(lambda rngs: nnx.Linear(2, 2, rngs=rngs), alpha_bn)
