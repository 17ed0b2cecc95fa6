"""A small transformer of characters, of several seeds at once."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_lab.layers import prefix_causal_mask
from jaxopt_lab.losses import cross_entropy


class Shape(NamedTuple):
    """Sizes of the model and of its training.

    Attributes:
      vocabulary: number of tokens.
      width: of the residual stream.
      depth: layers.
      heads: of attention.
      rate: of Adam.
    """

    vocabulary: int
    width: int
    depth: int
    heads: int
    rate: float


def init(draw: np.random.Generator, shape: Shape) -> dict[str, Any]:
    """Parameters, drawn by NumPy: random numbers are slow to compile.

    Args:
      draw: generator.
      shape: of the model.

    Returns:
      The embedding, which is the head as well, and layers.
    """

    def matrix(inputs: int, outputs: int, scale: float = 1.0) -> np.ndarray:
        w = draw.standard_normal((inputs, outputs), np.float32)
        return (w * scale / np.sqrt(inputs)).astype(np.float32)

    width, branch = shape.width, 1 / np.sqrt(2 * shape.depth)
    layers = [
        {
            "qkv": matrix(width, 3 * width),
            "out": matrix(width, width, branch),
            "gates": matrix(width, 4 * width),
            "down": matrix(2 * width, width, branch),
        }
        for _ in range(shape.depth)
    ]
    return {"embed": matrix(width, shape.vocabulary).T, "layers": layers}


def logits(
    params: Any, tokens: jax.Array, prefix: jax.Array, shape: Shape
) -> jax.Array:
    """Logits of the next token: attention with linear biases (ALiBi), SwiGLU.

    Args:
      params: of ``init``.
      tokens: ``(B, T)``.
      prefix: ``(B,)``, tokens at the start that see one another.
      shape: of the model.

    Returns:
      ``(B, T, vocabulary)``.
    """
    length, heads = tokens.shape[1], shape.heads
    seen = prefix_causal_mask(length, prefix)[:, None]
    slopes = 2.0 ** (-8 * (jnp.arange(heads) + 1) / heads)
    apart = jnp.abs(jnp.arange(length)[:, None] - jnp.arange(length)[None])
    bias = jnp.where(seen, -slopes[None, :, None, None] * apart, -1e30)
    norm = lambda x: x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-6)
    x = params["embed"][tokens]
    for layer in params["layers"]:
        q, k, v = jnp.split(norm(x) @ layer["qkv"], 3, axis=-1)
        of_heads = lambda y: y.reshape(*y.shape[:2], heads, -1)
        q, k, v = of_heads(q), of_heads(k), of_heads(v)
        scores = jnp.einsum("bthd,bshd->bhts", q, k) / np.sqrt(q.shape[-1]) + bias
        y = jnp.einsum("bhts,bshd->bthd", jax.nn.softmax(scores), v)
        x = x + y.reshape(x.shape) @ layer["out"]
        gate, up = jnp.split(norm(x) @ layer["gates"], 2, axis=-1)
        x = x + (jax.nn.silu(gate) * up) @ layer["down"]
    return norm(x) @ params["embed"].T


def token_losses(
    params: Any, tokens: jax.Array, prefix: jax.Array, shape: Shape
) -> jax.Array:
    """Cross-entropy of each token given those before it, 0 of the first.

    Args:
      params: of ``init``.
      tokens: ``(B, T)``.
      prefix: ``(B,)``.
      shape: of the model.

    Returns:
      ``(B, T)``, nats.
    """
    found = logits(params, tokens, prefix, shape)[:, :-1]
    return jnp.pad(cross_entropy(found, tokens[:, 1:]), ((0, 0), (1, 0)))


@functools.cache
def trainer(shape: Shape) -> Any:
    """A compiled function that trains a model of each seed.

    Args:
      shape: of the model.

    Returns:
      ``run(params, tokens, wanted, prefix) -> params``: an axis of seeds in front, then
      of steps; ``tokens`` and ``wanted``, the tokens that count, ``(S, steps, B, T)``,
      ``prefix`` ``(S, steps, B)``.
    """
    # Of one vector: an update of every array by itself takes long to compile.
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(shape.rate))
    tx = optax.flatten(tx)

    def one(params: Any, *data: jax.Array) -> Any:
        def step(carry: Any, batch: Any) -> Any:
            params, state = carry
            tokens, wanted, prefix = batch

            def objective(params: Any) -> jax.Array:
                counts = wanted[:, 1:].astype(jnp.float32)
                losses = token_losses(params, tokens, prefix, shape)[:, 1:]
                return jnp.sum(losses * counts) / jnp.maximum(jnp.sum(counts), 1)

            updates, state = tx.update(jax.grad(objective)(params), state, params)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, tx.init(params)), data)[0][0]

    return jax.jit(jax.vmap(one))


@functools.cache
def evaluator(shape: Shape) -> Any:
    """A compiled ``token_losses`` of each seed: ``(S, B, T)``.

    Args:
      shape: of the model.

    Returns:
      ``losses(params, tokens, prefix)``, with an axis of seeds in front.
    """
    return jax.jit(jax.vmap(lambda p, x, prefix: token_losses(p, x, prefix, shape)))


def windows(
    draw: np.random.Generator, texts: list[np.ndarray], count: int, length: int
) -> np.ndarray:
    """Stretches at random places of random texts.

    Args:
      draw: generator.
      texts: tokens of each.
      count: of stretches.
      length: of each; the texts are longer.

    Returns:
      ``(count, length)`` int32.
    """
    chosen = draw.integers(0, len(texts), count)
    starts = [draw.integers(0, len(texts[i]) - length + 1) for i in chosen]
    pairs = zip(chosen, starts, strict=True)
    return np.stack([texts[i][s : s + length] for i, s in pairs]).astype(np.int32)
