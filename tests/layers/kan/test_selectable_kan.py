"""Selectable Kolmogorov-Arnold layers against sums over edges, and their pruning."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.interpolate

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import (
    select_spaces,
    selectable_kan,
    selectable_kan_conv,
    selection_entropy,
    selection_stage,
)
from jaxopt_lab.layers.kan.selectable_kan import ALL

RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (5, 3))
GRANULARITIES: dict[Any, Any] = {"edge": (2, 3), "node": (2, 1), "layer": (1, 1)}


def parameters(layer):
    shapes = jax.eval_shape(layer.init, jax.random.key(0))[0]
    return {n: RNG.normal(size=s.shape) for n, s in shapes.items()}


CASES = {}
for _kind in GRANULARITIES:
    _layer = functools.partial(selectable_kan, 3, out=2, granularity=_kind)
    CASES[_kind] = (_layer, parameters(_layer()))


def silu(x):
    return (x / (1 + np.exp(-x)))[..., None]


def basis(name, x):
    """The functions of a space at numbers, in NumPy."""
    k = np.arange(1, 5)
    if name == "plain":
        return silu(x)
    if name == "chebyshev":
        return np.cos(np.arange(5) * np.arccos(np.tanh(x))[..., None])
    if name == "gaussian":
        return np.exp(-(((x[..., None] - np.linspace(-1, 1, 8)) * 3.5) ** 2))
    if name == "fourier":
        phase = np.pi * k * x[..., None]
        return np.concatenate([np.cos(phase), np.sin(phase)], -1)
    knots = -1 + 0.4 * np.arange(-3, 9)
    pieces = [
        scipy.interpolate.BSpline.basis_element(knots[i : i + 5], False)(x)
        for i in range(8)
    ]
    return np.concatenate([np.nan_to_num(np.stack(pieces, -1)), silu(x)], -1)


def edge(name, params, j, i, x):
    """The function of one edge."""
    if name == "wavelet":
        u = (x - params["wavelet_shift"][j, i]) * params["wavelet_rate"][j, i]
        hat = 2 / (np.sqrt(3) * np.pi**0.25) * (1 - u**2) * np.exp(-(u**2) / 2)
        return params[name][j, i] * hat
    return basis(name, x) @ params[name][j, i]


def by_edges(params, temperature):
    logits = params["logits"] / temperature
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    shares = shares / shares.sum(-1, keepdims=True)
    shares = np.broadcast_to(shares, (2, 3, len(ALL)))
    y = np.zeros((len(X), 2))
    for j, i, s in np.ndindex(2, 3, len(ALL)):
        y[:, j] += shares[j, i, s] * edge(ALL[s], params, j, i, X[:, i])
    return y


def test_it_is_the_sum_over_edges():
    @jax.jit
    def run(all_params):
        return {
            kind: make(temperature=0.7).apply(all_params[kind], {}, X, train=True)[0]
            for kind, (make, _) in CASES.items()
        }

    found = run({kind: params for kind, (_, params) in CASES.items()})
    for kind, (_, params) in CASES.items():
        want = by_edges(params, 0.7)
        np.testing.assert_allclose(found[kind], want, rtol=1e-11, err_msg=kind)


def test_pruning_behind_certain_shares_changes_nothing():
    calls, wanted = {}, {}
    for kind, (make, params) in CASES.items():
        chosen, kept = select_spaces(params, ALL)  # type: ignore[arg-type]
        assert np.shape(chosen) == GRANULARITIES[kind] and "logits" not in kept
        calls[kind] = (make(chosen=chosen), kept)
        wanted[kind] = by_edges(params, 1e-4)
        sizes = [sum(v.size for v in p.values()) for p in (kept, params)]
        assert sizes[0] < (0.9 if kind == "edge" else 0.6) * sizes[1]
        shapes = jax.eval_shape(calls[kind][0].init, jax.random.key(0))[0]
        assert {n: s.shape for n, s in shapes.items()} == {
            n: v.shape for n, v in kept.items()
        }

    @jax.jit
    def run(kept):
        return {
            kind: layer.apply(kept[kind], {}, X, train=True)[0]
            for kind, (layer, _) in calls.items()
        }

    found = run({kind: kept for kind, (_, kept) in calls.items()})
    for kind, want in wanted.items():
        np.testing.assert_allclose(found[kind], want, rtol=1e-10, err_msg=kind)


def test_convolutions_are_dense_on_patches():
    spaces = ("plain", "fourier")
    make = functools.partial(selectable_kan_conv, 2, out=3, spaces=spaces)
    image = RNG.uniform(-1, 1, (2, 5, 4, 2))
    point, wide = make(size=1), make(size=3, stride=2)
    dense = selectable_kan(2, out=3, spaces=spaces)
    params, large = parameters(point), parameters(wide)

    @jax.jit
    def run(params, large):
        return (
            point.apply(params, {}, image, train=True)[0],
            dense.apply(params, {}, image, train=True)[0],
            wide.apply(large, {}, image, train=True)[0],
        )

    one, other, found = run(params, large)
    np.testing.assert_allclose(one, other, rtol=1e-13)
    # Strides of 2 keep a size of 5 as 3 with one zero at each edge, 4 as 2 with one.
    padded = np.pad(image, ((0, 0), (1, 1), (0, 1), (0, 0)))
    assert found.shape == (2, 3, 2, 3)
    shares = np.exp(large["logits"][:, 0])
    shares = shares / shares.sum(-1, keepdims=True)
    for b, r, c, j in np.ndindex(found.shape):
        patch = padded[b, 2 * r : 2 * r + 3, 2 * c : 2 * c + 3].ravel()
        want = sum(
            shares[j, s] * edge(name, large, j, i, patch[i : i + 1])[0]
            for s, name in enumerate(spaces)
            for i in range(18)
        )
        np.testing.assert_allclose(found[b, r, c, j], want, rtol=1e-11)


def test_a_function_of_a_space_is_fitted_exactly():
    layer = selectable_kan(1, out=1, spaces=("spline",))
    truth = RNG.normal(size=(1, 1, 9))
    x = np.linspace(-1, 1, 60)[:, None]

    @jax.jit
    def run(w):
        call = lambda w: layer.apply({"spline": w}, {}, x, train=True)[0][:, 0]
        return call(w), jax.jacobian(call)(w)

    y, slopes = jax.device_get(run(truth))
    fitted = np.linalg.lstsq(slopes.reshape(60, 9), y, rcond=None)[0]
    np.testing.assert_allclose(slopes.reshape(60, 9) @ fitted, y, atol=1e-8)
    np.testing.assert_allclose(fitted, truth.ravel(), atol=1e-8)


def test_stages_and_entropy():
    cold, costs = jax.jit(lambda i: selection_stage(i, 100))(np.arange(100))
    np.testing.assert_allclose(cold[:51], 1, rtol=1e-12)
    np.testing.assert_allclose(cold[62], 0.1**0.48, rtol=1e-6)
    np.testing.assert_allclose(cold[75:], 0.1, rtol=1e-6)
    assert not costs[:50].any() and np.allclose(costs[50:], 1e-3)
    logits = jnp.log(jnp.array([[[0.2, 0.3, 0.5]], [[1e-300, 0.5, 0.5]]]))
    want = -(0.2 * np.log(0.2) + 0.3 * np.log(0.3) + 2 * 0.5 * np.log(0.5)) / 2
    want -= 0.5 * np.log(0.5) / 2
    entropy, slope = jax.jit(
        jax.value_and_grad(lambda a: selection_entropy({"logits": a}))
    )(logits * 1.0)
    np.testing.assert_allclose(entropy, want, rtol=1e-12)
    assert np.all(np.isfinite(slope))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: selectable_kan(2, spaces=("x",)), "unknown space"),
        (lambda: selectable_kan(2, spaces=()), "at least one"),
        (lambda: selectable_kan(2, spaces=("plain", "plain")), "different names"),
        (lambda: selectable_kan(2, temperature=0.0), "temperature"),
        (lambda: selectable_kan(2, chosen=((0,),)), "chosen must be"),
        (lambda: select_spaces({"plain": jnp.ones((1, 1, 1))}, ALL), "hold logits"),
        (
            lambda: selectable_kan_conv(2, padding=0).apply(
                {}, {}, jnp.ones((1, 2, 2, 2)), train=True
            ),
            "at least as large as a patch",
        ),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
