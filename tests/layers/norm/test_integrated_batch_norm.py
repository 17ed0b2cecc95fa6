"""Integrated batch normalization against the concatenation of all pixels in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import ghost_batch_norm, integrated_batch_norm

RNG = np.random.default_rng(0)
LEVELS = tuple(
    RNG.normal(size=(3, *size, 2)) * (i + 1) + 4 * i
    for i, size in enumerate(((4, 4), (2, 2), (1, 1)))
)
PARAMS = {"scale": np.array([1.5, -0.5]), "bias": np.array([0.2, 3.0])}
STATE = {"mean": np.array([0.1, -0.3]), "var": np.array([0.5, 2.0])}
NORM = integrated_batch_norm(2, momentum=0.3)
CLOSE = {"rtol": 1e-11, "atol": 1e-12}


@jax.jit
def run(levels, masks):
    apply = lambda x, train, mask=None: NORM.apply(
        PARAMS, STATE, x, train=train, mask=mask
    )
    one = ghost_batch_norm(2, ghost_size=3, momentum=0.3)
    return {
        "plain": apply(levels, True),
        "evaluated": apply(levels, False),
        "masked": apply(levels, True, masks),
        "single": apply(levels[:1], True),
        "batch_norm": one.apply(PARAMS, STATE, levels[0], train=True),
    }


@pytest.fixture(scope="module")
def found():
    masks = [np.ones(level.shape[:3]) for level in LEVELS]
    masks[0][1, 2:] = 0
    masks[1][2] = 0
    return run(LEVELS, tuple(masks)), masks


def normalized(x, mean, var):
    return PARAMS["scale"] * (x - mean) / np.sqrt(var + 1e-5) + PARAMS["bias"]


def moved(mean, var):
    return {
        "mean": 0.7 * STATE["mean"] + 0.3 * mean,
        "var": 0.7 * STATE["var"] + 0.3 * var,
    }


def test_the_statistics_are_those_of_all_pixels_of_all_levels(found):
    y, state = found[0]["plain"]
    pixels = np.concatenate([level.reshape(-1, 2) for level in LEVELS])
    mean, var = pixels.mean(axis=0), pixels.var(axis=0)
    for level, out in zip(LEVELS, y, strict=True):
        np.testing.assert_allclose(out, normalized(level, mean, var), **CLOSE)
    wanted = moved(mean, pixels.var(axis=0, ddof=1))
    for name in wanted:
        np.testing.assert_allclose(state[name], wanted[name], **CLOSE)
    # The mean over levels of their own statistics is far from it.
    apart = np.mean([level.mean(axis=(0, 1, 2)) for level in LEVELS], axis=0)
    assert np.all(np.abs(apart - mean) > 1)
    y, state = found[0]["evaluated"]
    assert all(np.array_equal(state[n], STATE[n]) for n in STATE)
    for level, out in zip(LEVELS, y, strict=True):
        wanted = normalized(level, STATE["mean"], STATE["var"])
        np.testing.assert_allclose(out, wanted, **CLOSE)


def test_one_level_is_batch_normalization(found):
    (y,), state = found[0]["single"]
    wanted, own = found[0]["batch_norm"]
    np.testing.assert_allclose(y, wanted, **CLOSE)
    for name in state:
        np.testing.assert_allclose(state[name], own[name], **CLOSE)


def test_padding_of_each_level_counts_for_nothing(found):
    (y, state), masks = found[0]["masked"], found[1]
    pixels = np.concatenate(
        [level[mask == 1] for level, mask in zip(LEVELS, masks, strict=True)]
    )
    mean, var = pixels.mean(axis=0), pixels.var(axis=0)
    for level, out, mask in zip(LEVELS, y, masks, strict=True):
        wanted = normalized(level, mean, var) * mask[..., None]
        np.testing.assert_allclose(out, wanted, **CLOSE)
    wanted = moved(mean, pixels.var(axis=0, ddof=1))
    for name in wanted:
        np.testing.assert_allclose(state[name], wanted[name], **CLOSE)


def test_a_large_mean_does_not_spoil_the_variance_in_float32():
    levels = tuple((1000 + level).astype(np.float32) for level in LEVELS)
    params, state = NORM.init()
    y = jax.jit(lambda x: NORM.apply(params, state, x, train=True)[0])(levels)
    pixels = np.concatenate([x.reshape(-1, 2) for x in levels]).astype(np.float64)
    for level, out in zip(levels, y, strict=True):
        wanted = (level - pixels.mean(axis=0)) / pixels.std(axis=0)
        np.testing.assert_allclose(out, wanted, atol=1e-3)


def test_options_out_of_range():
    with pytest.raises(InputError, match=r"momentum must lie in \[0, 1\]; got 2"):
        integrated_batch_norm(2, momentum=2.0)
    with pytest.raises(InputError, match="takes a tuple of levels"):
        NORM.apply(PARAMS, STATE, jnp.ones((2, 2)), train=True)
