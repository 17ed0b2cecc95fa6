"""Stacks of decoder layers that vectors of norms were recorded with."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.layers import layernorm_scaling, scaled_residual

VECTORS = pathlib.Path(__file__).parents[1] / "vectors"
CLOSE = {"rtol": 1e-9, "atol": 1e-11}


def rotated(x):
    """Rotary positions, halves split, base 10000; ``x`` is (B, T, heads, D)."""
    half = x.shape[-1] // 2
    rates = 10000.0 ** (-np.arange(half) / half)
    angles = (np.arange(x.shape[1])[:, None] * rates)[None, :, None]
    cos, sin = np.cos(angles), np.sin(angles)
    a, b = x[..., :half], x[..., half:]
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def attention(weights, x, heads):
    """Causal attention with rotary positions."""
    B, T, C = x.shape
    split = lambda y: y.reshape(B, T, heads, -1)
    q, k = (rotated(split(x @ weights[n])) for n in ("q", "k"))
    scores = jnp.einsum("bthd,bshd->bhts", q, k) / np.sqrt(C // heads)
    causal = np.tril(np.ones((T, T), bool))[None, None]
    weighted = jax.nn.softmax(jnp.where(causal, scores, -jnp.inf))
    y = jnp.einsum("bhts,bshd->bthd", weighted, split(x @ weights["v"]))
    return y.reshape(B, T, C) @ weights["o"]


def perceptron(weights, x):
    """SwiGLU."""
    return (jax.nn.silu(x @ weights["gate"]) * (x @ weights["up"])) @ weights["down"]


def stack(weights: list[Any], x: Any, meta: dict[str, Any]) -> list[Any]:
    """Outputs after each block: norms where the case has them, scaled as it says."""
    outputs = []
    for l, (block, placement) in enumerate(
        zip(weights, meta["placement"], strict=True)
    ):
        index = 1 if meta["lns_scale"] is None else l + 1
        core = layernorm_scaling(
            x.shape[-1], index=index, statistics="rms", eps=meta["rms_eps"]
        )
        side = {"pre": "before", "post": "after"}[placement]

        def norm(module, side=side, core=core, block=block):
            own = {"scale": block[f"norm_{side}_{module}"]}
            return lambda h: core.apply(own, {}, h, train=True)[0]

        attend = lambda h, block=block: attention(block, h, meta["heads"])
        x = scaled_residual(attend, x, norm=norm("attn"), placement=placement)
        run = lambda h, block=block: perceptron(block, h)
        x = scaled_residual(run, x, norm=norm("mlp"), placement=placement)
        outputs.append(x)
    return outputs


def check(method: str, case: str) -> None:
    """Compare outputs after each block and all gradients with those recorded."""
    with np.load(VECTORS / method / f"{case}.npz") as file:
        arrays = {name: file[name] for name in file.files}
    meta = json.loads(str(arrays.pop("meta")))
    weights = []
    for l in range(meta["layers"]):
        start = f"weight/layer{l}/"
        names = [n for n in arrays if n.startswith(start)]
        weights.append({n.split("/")[-1]: arrays[n] for n in names})

    @jax.jit
    def run(weights, x):
        loss = lambda w, x: jnp.sum(stack(w, x, meta)[-1] * arrays["input/cotangent"])
        return stack(weights, x, meta), jax.grad(loss, argnums=(0, 1))(weights, x)

    outputs, (slopes, slope) = run(weights, arrays["input/x"])
    np.testing.assert_allclose(slope, arrays["grad/x"], **CLOSE)
    for l, output in enumerate(outputs):
        np.testing.assert_allclose(output, arrays[f"output/after_layer{l}"], **CLOSE)
        for name in (n for n in arrays if n.startswith(f"grad/layer{l}/")):
            got = slopes[l][name.split("/")[-1]]
            np.testing.assert_allclose(got, arrays[name], **CLOSE, err_msg=name)
