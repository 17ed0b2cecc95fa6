"""Transformer layers as pure functions of a dict, stacked to be scanned over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

from jaxopt_lab.training.sharding_rules import Rules

Shape = tuple[int, ...]

_QUERIES = 256


@dataclass(frozen=True)
class Layer:
    """Attention and a feed-forward part, each behind a norm and around a shortcut.

    Attributes:
      width: size of the residual stream.
      heads: attention heads.
      kv_heads: heads of keys and values; fewer than ``heads`` are shared by groups.
      hidden: inner size of the feed-forward part.
      gated: three feed-forward matrices (SwiGLU) and root-mean-square norms, rotary
        positions, no biases; otherwise two (GELU), layer norms and biases.
      causal: whether a token sees only those before it and itself.
    """

    width: int
    heads: int
    kv_heads: int
    hidden: int
    gated: bool = True
    causal: bool = True

    @property
    def kv_width(self) -> int:
        """Size of the keys of one token."""
        return self.width // self.heads * self.kv_heads

    def shapes(self, depth: int) -> dict[str, Shape]:
        """Shapes of the parameters of ``depth`` layers, stacked."""
        n, width = depth, self.width
        found: dict[str, Shape] = {
            "attention_norm": (n, width),
            "wq": (n, width, width),
            "wk": (n, width, self.kv_width),
            "wv": (n, width, self.kv_width),
            "wo": (n, width, width),
            "mlp_norm": (n, width),
            "w1": (n, width, self.hidden),
            "w2": (n, self.hidden, width),
        }
        if self.gated:
            return {**found, "w3": (n, width, self.hidden)}
        for name in ("attention_norm", "mlp_norm", "wo", "w2"):
            found[f"{name}_bias"] = (n, width)
        for name, size in (("wq", width), ("wk", self.kv_width), ("wv", self.kv_width)):
            found[f"{name}_bias"] = (n, size)
        found["w1_bias"] = (n, self.hidden)
        return found

    def activations(self, size: int, length: int) -> jax.ShapeDtypeStruct:
        """Shape of what goes in and comes out for ``size`` examples of some length."""
        return jax.ShapeDtypeStruct((size, length, self.width), jnp.bfloat16)

    def rules(self) -> Rules:
        """Heads and feed-forward cut over ``"model"``; norms and biases whole."""
        first = "wq|wk|wv|w1|w3" if self.gated else "wq|wk|wv|w1"
        return (
            (f"^layers/({first})$", P(None, None, "model")),
            ("^layers/(wo|w2)$", P(None, "model", None)),
        )

    def __call__(self, x: jax.Array, p: dict[str, jax.Array]) -> jax.Array:
        """One layer on activations ``(B, T, width)``, its parameters not stacked."""
        batch, length, _ = x.shape
        size = self.width // self.heads
        h = norm(x, p, "attention_norm")
        q, k, v = (product(h, p, name) for name in ("wq", "wk", "wv"))
        q = q.reshape(batch, length, self.heads, size)
        k, v = (a.reshape(batch, length, self.kv_heads, size) for a in (k, v))
        if self.gated:
            q, k = _rotated(q), _rotated(k)
        x = x + product(_attention(q, k, v, self.causal), p, "wo")
        h = norm(x, p, "mlp_norm")
        up = product(h, p, "w1")
        gated = self.gated
        up = jax.nn.silu(up) * product(h, p, "w3") if gated else jax.nn.gelu(up)
        return x + product(up, p, "w2")

    def flops(self, length: int) -> float:
        """Operations of the products for each token of one gradient, by hand.

        Forward and backward are 6 a weight; recomputing layers adds 2, but for the
        last product, whose result nobody needs again. Attention takes two products
        forward, two recomputed, one more in its own backward pass, and four backward.

        Args:
          length: tokens of an example.
        """
        weights = 2 * self.width * self.width + 2 * self.width * self.kv_width
        weights += (3 if self.gated else 2) * self.width * self.hidden
        attention = 9 * 2 * length * self.width
        return 8.0 * weights - 2 * self.hidden * self.width + attention


def through(
    layer: Layer, x: jax.Array, stacked: dict[str, jax.Array], there: Any = None
) -> jax.Array:
    """Activations after all layers, each recomputed in the backward pass.

    Args:
      layer: the layer.
      x: activations.
      stacked: parameters of all layers.
      there: shardings of one layer's parameters while they are used; ``None``: as
        they are stored.
    """

    def body(x: jax.Array, p: dict[str, jax.Array]) -> tuple[jax.Array, None]:
        return layer(x, held(p, there)), None

    return jax.lax.scan(jax.checkpoint(body), x, stacked)[0]


def held(tree: Any, there: Any) -> Any:
    """Arrays held where they are to lie while they are used; ``None``: as they are."""
    return tree if there is None else jax.lax.with_sharding_constraint(tree, there)


def held_but_layers(params: Any, there: Any) -> Any:
    """Parameters with all but those of the layers held where they are used."""
    if there is None:
        return params
    rest: Callable[[Any], Any] = lambda t: {k: v for k, v in t.items() if k != "layers"}
    return {**params, **held(rest(params), rest(there))}


def row(x: jax.Array, dtype: Any) -> jax.Array:
    """A vector that meets the last axis of (B, T, ...)."""
    return x.astype(dtype)[None, None]


def norm(x: jax.Array, p: dict[str, jax.Array], name: str) -> jax.Array:
    """Layer norm where there is a bias, else root-mean-square norm; in float32."""
    wide = x.astype(jnp.float32)
    if f"{name}_bias" in p:
        wide = wide - jnp.mean(wide, -1, keepdims=True)
    scale = jax.lax.rsqrt(jnp.mean(wide**2, -1, keepdims=True) + 1e-5)
    y = wide * scale * row(p[name], jnp.float32)
    if f"{name}_bias" in p:
        y = y + row(p[f"{name}_bias"], jnp.float32)
    return y.astype(x.dtype)


def product(x: jax.Array, p: dict[str, jax.Array], name: str) -> jax.Array:
    """Activations times a matrix, plus its bias if it has one."""
    y = x @ p[name].astype(x.dtype)
    bias = p.get(f"{name}_bias")
    return y if bias is None else y + row(bias, x.dtype)


def _rotated(x: jax.Array) -> jax.Array:
    """Rotary positions over (B, T, heads, size)."""
    half = x.shape[-1] // 2
    speed = 10_000.0 ** (-jnp.arange(half, dtype=jnp.float32) / half)
    angle = jnp.arange(x.shape[1], dtype=jnp.float32)[:, None] * speed[None]
    cos, sin = (f(angle)[None, :, None].astype(x.dtype) for f in (jnp.cos, jnp.sin))
    a, b = x[..., :half], x[..., half:]
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], -1)


def _attention(q: jax.Array, k: jax.Array, v: jax.Array, causal: bool) -> jax.Array:
    """Attention, some queries at a time; the backward pass recomputes scores."""
    batch, length, heads, size = q.shape
    groups = heads // k.shape[2]
    step = min(_QUERIES, length)
    parts = length // step
    q = q.reshape(batch, parts, step, k.shape[2], groups, size)

    def some(item: tuple[jax.Array, jax.Array]) -> jax.Array:
        part, first = item
        scores = jnp.einsum(
            "bqhgd,bkhd->bhgqk", part, k, preferred_element_type=jnp.float32
        )
        scores = scores * size**-0.5
        if causal:
            at = first * step + jnp.arange(step, dtype=jnp.int32)
            seen = at[:, None] >= jnp.arange(length, dtype=jnp.int32)[None]
            scores = jnp.where(seen[None, None, None], scores, -1e30)
        weights = jax.nn.softmax(scores, axis=-1).astype(v.dtype)
        return jnp.einsum("bhgqk,bkhd->bqhgd", weights, v)

    items = (jnp.moveaxis(q, 1, 0), jnp.arange(parts, dtype=jnp.int32))
    out = jax.lax.map(jax.checkpoint(some), items)
    return jnp.moveaxis(out, 0, 1).reshape(batch, length, heads * size)
