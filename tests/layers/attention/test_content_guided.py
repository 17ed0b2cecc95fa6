"""Content-guided attention and fusion against NumPy."""

import jax
import numpy as np
import pytest

import jaxopt_lab.layers.attention.content_guided_attention as content_guided
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import content_guided_attention, content_guided_fusion

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(2, 2, 5, 4, 3))
SHAPES = {"down": (3, 1), "up": (1, 3), "spatial": (7, 7, 2, 1), "pixel": (7, 7, 2, 3)}
PARAMS = {f"{n}_kernel": RNG.normal(size=s) for n, s in SHAPES.items()}
PARAMS |= {f"{n}_bias": RNG.normal(size=s[-1:]) for n, s in SHAPES.items()}
MIX = {"mix_kernel": RNG.normal(size=(3, 3)), "mix_bias": RNG.normal(size=3)}
sigmoid = lambda z: 1 / (1 + np.exp(-z))


def convolved(x, kernel):
    """``(B, H, W, in)`` by ``(7, 7, in, out)``, reflected at the edges."""
    around = np.pad(x, ((0, 0), (3, 3), (3, 3), (0, 0)), mode="reflect")
    y = np.zeros((*x.shape[:3], kernel.shape[-1]))
    for i, j in np.ndindex(7, 7):
        window = around[:, i : i + x.shape[1], j : j + x.shape[2]]
        y += window @ kernel[i, j]
    return y


def maps(x):
    """The coarse map and the refined one, each channel by itself."""
    p = PARAMS
    hidden = np.maximum(x.mean(axis=(1, 2)) @ p["down_kernel"] + p["down_bias"], 0)
    channel = hidden @ p["up_kernel"] + p["up_bias"]
    pair = np.stack([x.mean(axis=-1), x.max(axis=-1)], axis=-1)
    spatial = convolved(pair, p["spatial_kernel"]) + p["spatial_bias"]
    coarse = channel[:, None, None] + spatial
    fine = np.empty_like(x)
    for c in range(3):
        both = np.stack([x[..., c], coarse[..., c]], axis=-1)
        kernel = p["pixel_kernel"][..., c : c + 1]
        fine[..., c] = convolved(both, kernel)[..., 0] + p["pixel_bias"][c]
    return coarse, fine


def run(layer, params, x):
    return jax.jit(lambda p, x: layer.apply(p, {}, x, train=True)[0])(params, x)


@pytest.mark.parametrize("dense", [0, 32])
def test_maps_of_weights(dense, monkeypatch):
    monkeypatch.setattr(content_guided, "MOST_DENSE", dense)
    coarse, fine = maps(X)
    found = run(content_guided_attention(3), PARAMS, X)
    np.testing.assert_allclose(found, X * sigmoid(fine), rtol=1e-10, atol=1e-12)
    params = {n: p for n, p in PARAMS.items() if not n.startswith("pixel")}
    plain = run(content_guided_attention(3, refine=False), params, X)
    np.testing.assert_allclose(plain, X * sigmoid(coarse), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("double", [False, True])
def test_fusion(double):
    p = sigmoid(maps(X + Y)[1])
    p = sigmoid(p) if double else p
    layer = content_guided_fusion(6, double_sigmoid=double)
    found = run(layer, {**PARAMS, **MIX}, np.concatenate([X, Y], -1))
    wanted = (X + Y + p * X + (1 - p) * Y) @ MIX["mix_kernel"] + MIX["mix_bias"]
    np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-11)
    if double:
        assert p.min() >= 0.5 and p.max() < 0.7311


@pytest.mark.parametrize(
    "call, words",
    [
        (
            lambda: content_guided_attention(3).apply(PARAMS, {}, X[:, :3], train=True),
            "at least 4 rows and columns",
        ),
        (
            lambda: content_guided_attention(3).apply(
                PARAMS, {}, X, train=True, mask=np.ones((2, 5))
            ),
            "takes a mask of examples",
        ),
        (lambda: content_guided_attention(3, reduction=0), "reduction must"),
        (lambda: content_guided_attention(3).init(), "pass a key"),
        (lambda: content_guided_fusion(3), "features must be even"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words) as told:
        call()
    assert "\n" not in str(told.value)
