"""Decoder-only language models as pure functions of stacked layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

from jaxopt_lab.training.sharding import Rules


@dataclass(frozen=True)
class Decoder:
    """Sizes of a decoder.

    Attributes:
      vocabulary: number of tokens.
      width: size of the residual stream.
      depth: number of layers.
      heads: attention heads.
      kv_heads: heads of keys and values; fewer than ``heads`` are shared by groups.
      hidden: inner size of the feed-forward part.
      context: tokens of an example.
      gated: three feed-forward matrices (SwiGLU) and root-mean-square norms, rotary
        positions, no biases; otherwise two (GELU), layer norms, learned positions,
        biases, and the output matrix is that of the embedding.
    """

    vocabulary: int
    width: int
    depth: int
    heads: int
    kv_heads: int
    hidden: int
    context: int
    gated: bool = True

    @property
    def kv_width(self) -> int:
        """Size of the keys of one token."""
        return self.width // self.heads * self.kv_heads


RULES: Rules = (
    ("^embedding$", P("model", None)),
    ("^head$", P(None, "model")),
    ("^layers/(wq|wk|wv|w1|w3)$", P(None, None, "model")),
    ("^layers/(wo|w2)$", P(None, "model", None)),
)
"""Vocabulary, heads and feed-forward cut over ``"model"``; norms and biases whole."""

_QUERIES = 256


def shapes(config: Decoder) -> dict[str, Any]:
    """The parameters' shapes, float32."""
    c, n = config, config.depth
    layers: dict[str, tuple[int, ...]] = {
        "attention_norm": (n, c.width),
        "wq": (n, c.width, c.width),
        "wk": (n, c.width, c.kv_width),
        "wv": (n, c.width, c.kv_width),
        "wo": (n, c.width, c.width),
        "mlp_norm": (n, c.width),
        "w1": (n, c.width, c.hidden),
        "w2": (n, c.hidden, c.width),
    }
    tree: dict[str, Any] = {"embedding": (c.vocabulary, c.width), "norm": (c.width,)}
    if c.gated:
        layers["w3"] = (n, c.width, c.hidden)
        tree["head"] = (c.width, c.vocabulary)
    else:
        for name in ("attention_norm", "mlp_norm", "wo", "w2"):
            layers[f"{name}_bias"] = (n, c.width)
        for name, size in (("wq", c.width), ("wk", c.kv_width), ("wv", c.kv_width)):
            layers[f"{name}_bias"] = (n, size)
        layers["w1_bias"] = (n, c.hidden)
        tree["norm_bias"] = (c.width,)
        tree["positions"] = (c.context, c.width)
    tree["layers"] = layers
    return jax.tree.map(
        lambda s: jax.ShapeDtypeStruct(s, jnp.float32),
        tree,
        is_leaf=lambda x: isinstance(x, tuple),
    )


def _row(x: jax.Array, dtype: Any) -> jax.Array:
    """A vector that meets the last axis of (B, T, ...)."""
    return x.astype(dtype)[None, None]


def _norm(x: jax.Array, p: dict[str, jax.Array], name: str) -> jax.Array:
    wide = x.astype(jnp.float32)
    if f"{name}_bias" in p:
        wide = wide - jnp.mean(wide, -1, keepdims=True)
    scale = jax.lax.rsqrt(jnp.mean(wide**2, -1, keepdims=True) + 1e-5)
    y = wide * scale * _row(p[name], jnp.float32)
    if f"{name}_bias" in p:
        y = y + _row(p[f"{name}_bias"], jnp.float32)
    return y.astype(x.dtype)


def _product(x: jax.Array, p: dict[str, jax.Array], name: str) -> jax.Array:
    y = x @ p[name].astype(x.dtype)
    bias = p.get(f"{name}_bias")
    return y if bias is None else y + _row(bias, x.dtype)


def _rotated(x: jax.Array) -> jax.Array:
    """Rotary positions over (B, T, heads, size)."""
    half = x.shape[-1] // 2
    speed = 10_000.0 ** (-jnp.arange(half, dtype=jnp.float32) / half)
    angle = jnp.arange(x.shape[1], dtype=jnp.float32)[:, None] * speed[None]
    cos, sin = (f(angle)[None, :, None].astype(x.dtype) for f in (jnp.cos, jnp.sin))
    a, b = x[..., :half], x[..., half:]
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], -1)


def _attention(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
    """Causal attention, some queries at a time; scores are computed anew backwards."""
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
        at = first * step + jnp.arange(step, dtype=jnp.int32)
        seen = at[:, None] >= jnp.arange(length, dtype=jnp.int32)[None]
        scores = jnp.where(seen[None, None, None], scores * size**-0.5, -1e30)
        weights = jax.nn.softmax(scores, axis=-1).astype(v.dtype)
        return jnp.einsum("bhgqk,bkhd->bqhgd", weights, v)

    items = (jnp.moveaxis(q, 1, 0), jnp.arange(parts, dtype=jnp.int32))
    out = jax.lax.map(jax.checkpoint(some), items)
    return jnp.moveaxis(out, 0, 1).reshape(batch, length, heads * size)


def loss_fn(
    config: Decoder, dtype: Any = jnp.bfloat16, gathered: Any = None
) -> Callable[[Any, Any, Any, Any], tuple[jax.Array, tuple[Any, Any]]]:
    """The loss as ``make_train_step`` wants it.

    Args:
      config: sizes.
      dtype: type of activations and products; parameters are float32.
      gathered: where each parameter lies while it is used, shardings by name, those
        of the layers without their leading axis: parameters that are divided over the
        data axis are gathered a layer at a time. ``None``: as they are stored.

    Returns:
      ``loss_fn(params, model_state, batch, key)``: mean cross-entropy of the next
      token, in float32. Every layer is computed anew in the backward pass.
    """

    def used(p: Any, there: Any) -> Any:
        return p if there is None else jax.lax.with_sharding_constraint(p, there)

    def layer(x: jax.Array, p: dict[str, jax.Array]) -> tuple[jax.Array, None]:
        p = used(p, None if gathered is None else gathered["layers"])
        batch, length, _ = x.shape
        size = config.width // config.heads
        h = _norm(x, p, "attention_norm")
        q, k, v = (_product(h, p, name) for name in ("wq", "wk", "wv"))
        q = q.reshape(batch, length, config.heads, size)
        k, v = (a.reshape(batch, length, config.kv_heads, size) for a in (k, v))
        if config.gated:
            q, k = _rotated(q), _rotated(k)
        x = x + _product(_attention(q, k, v), p, "wo")
        h = _norm(x, p, "mlp_norm")
        up = _product(h, p, "w1")
        gated = config.gated
        up = jax.nn.silu(up) * _product(h, p, "w3") if gated else jax.nn.gelu(up)
        return x + _product(up, p, "w2"), None

    def loss(params: Any, model_state: Any, batch: Any, key: Any) -> Any:
        tokens = batch["tokens"]
        if gathered is not None:
            rest = {k: v for k, v in params.items() if k != "layers"}
            own = {k: v for k, v in gathered.items() if k != "layers"}
            params = {**params, **used(rest, own)}
        x = params["embedding"].astype(dtype)[tokens[:, :-1]]
        if not config.gated:
            x = x + params["positions"].astype(dtype)[None]
        x, _ = jax.lax.scan(jax.checkpoint(layer), x, params["layers"])
        x = _norm(x, params, "norm")
        head = params["head"] if config.gated else params["embedding"].T
        logits = (x @ head.astype(dtype)).astype(jnp.float32)
        # By comparison, not by index: the vocabulary may be cut over devices.
        own = jax.nn.one_hot(tokens[:, 1:], logits.shape[-1], dtype=jnp.bool_)
        target = jnp.sum(jax.lax.select(own, logits, jnp.zeros_like(logits)), -1)
        losses = jax.nn.logsumexp(logits, axis=-1) - target
        return jnp.mean(losses), (model_state, {})

    return loss


def batch_shapes(config: Decoder, batch: int) -> dict[str, jax.ShapeDtypeStruct]:
    """The batch: each example has one token more than the context."""
    return {"tokens": jax.ShapeDtypeStruct((batch, config.context + 1), jnp.int32)}


def hand_flops(config: Decoder, batch: int) -> float:
    """Operations of the products of one gradient, all devices together.

    Forward and backward are 6 a weight and token; computing layers anew adds 2, but
    for the last product of a layer, whose result nobody needs again. Attention takes
    two products forward, two anew, one more anew for its own backward pass, and four
    backward.
    """
    c, tokens = config, batch * config.context
    ffn = (3 if c.gated else 2) * c.width * c.hidden
    layer = 2 * c.width * c.width + 2 * c.width * c.kv_width + ffn
    last = c.hidden * c.width
    head = c.width * c.vocabulary
    attention = 9 * 2 * c.context * c.width
    per_token = c.depth * (8 * layer - 2 * last + attention) + 6 * head
    return float(tokens * per_token)
