"""A decoder-only transformer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab.models import checks
from jaxopt_lab.lab.models.configs import TransformerConfig
from jaxopt_lab.lab.models.layers import Dropout, DTypes, dtypes
from jaxopt_lab.lab.models.memory import BlockParts, call, check_memory
from jaxopt_lab.lab.models.norms import Norm

SCALE = 0.02
"""Standard deviation of the initial weights."""


def _dense(
    size: int, out: int, rngs: nnx.Rngs, types: DTypes, scale: float = SCALE
) -> nnx.Linear:
    init = nnx.initializers.normal(scale)
    return nnx.Linear(size, out, kernel_init=init, rngs=rngs, **types)


def _norm(
    norm: Norm | None, size: int, index: int, rngs: nnx.Rngs, types: DTypes
) -> Any:
    if norm is None:
        return nnx.LayerNorm(size, rngs=rngs, **types)
    return norm(size, index=index, types=types, rngs=rngs)


class Block(nnx.Module):
    """``x + attention(norm(x))``, then ``x + mlp(norm(x))``; the index is from 1."""

    def __init__(
        self,
        config: TransformerConfig,
        norm: Norm | None,
        index: int,
        rngs: nnx.Rngs,
    ) -> None:
        types, width = dtypes(config.dtype), config.width
        # 2 * depth branches add up in the residual stream: this keeps its variance
        # independent of the depth. A norm that depends on the depth does so already.
        scaled = norm is not None and norm.by_depth
        branch = SCALE if scaled else SCALE / (2 * config.depth) ** 0.5
        parts = BlockParts(config.memory, config.memory_ratio, types, rngs)
        self.attention_norm = parts.norm(norm, width, index)
        self.qkv = parts.dense(width, 3 * width, SCALE)
        self.attend = parts.attention(3 * width, config.heads)
        self.attention_out = parts.dense(width, width, branch)
        self.mlp_norm = parts.norm(norm, width, index)
        self.mlp_in = parts.dense(width, 4 * width, SCALE)
        self.gelu = parts.gelu(4 * width)
        self.mlp_out = parts.dense(4 * width, width, branch)
        self.dropout = Dropout(config.dropout)

    def __call__(self, x: jax.Array, rngs: nnx.Rngs | None) -> jax.Array:
        run = lambda layer, x: call(layer, x, rngs)
        attended = run(self.attend, run(self.qkv, run(self.attention_norm, x)))
        x = x + self.dropout(run(self.attention_out, attended), rngs)
        hidden = run(self.gelu, run(self.mlp_in, run(self.mlp_norm, x)))
        return x + self.dropout(run(self.mlp_out, hidden), rngs)


class Transformer(nnx.Module):
    """Embeddings, blocks, normalisation, output."""

    def __init__(
        self,
        config: TransformerConfig,
        num_tokens: int,
        norm: Norm | None,
        rngs: nnx.Rngs,
    ) -> None:
        types, width = dtypes(config.dtype), config.width
        init = nnx.initializers.normal(SCALE)
        self.context, self.memory = config.context, config.memory
        self.tokens = nnx.Embed(
            num_tokens, width, embedding_init=init, rngs=rngs, **types
        )
        self.positions = nnx.Embed(
            config.context, width, embedding_init=init, rngs=rngs, **types
        )
        self.dropout = Dropout(config.dropout)
        self.blocks = nnx.List(
            Block(config, norm, index, rngs) for index in range(1, config.depth + 1)
        )
        # The last one belongs to no block: it is not scaled by the depth.
        self.norm = _norm(norm, width, 1, rngs, types)
        self.head = _dense(width, num_tokens, rngs, types)

    def __call__(self, tokens: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        checks.is_tokens("transformer", tokens)
        _check_context(tokens.shape[1], self.context)
        positions = self.positions(jnp.arange(tokens.shape[1], dtype=jnp.int32))
        x = self.dropout(self.tokens(tokens) + positions[None], rngs)
        run = nnx.remat(_run) if self.memory == "checkpoint" else _run
        for block in self.blocks:
            x = run(block, x, rngs)
        return self.head(self.norm(x))


def _run(block: Block, x: jax.Array, rngs: nnx.Rngs | None) -> jax.Array:
    return block(x, rngs)


def _check_context(length: int, context: int) -> None:
    if length > context:
        raise InputError(
            f"transformer: {length} tokens are more than context={context}"
        )


def build(
    config: TransformerConfig,
    input_shape: tuple[int, ...],
    num_classes: int,
    norm: Norm | None = None,
) -> Callable[[nnx.Rngs], Transformer]:
    """See ``Model.build``."""
    checks.at_least("transformer", 1, width=config.width, depth=config.depth)
    checks.at_least("transformer", 1, heads=config.heads, context=config.context)
    checks.check_dropout("transformer", config.dropout)
    check_memory("transformer", config.memory, config.memory_ratio)
    if config.width % config.heads:
        raise InputError(
            f"transformer: width={config.width} is not a multiple of "
            f"heads={config.heads}"
        )
    _check_context(checks.context_length("transformer", input_shape), config.context)
    return lambda rngs: Transformer(config, num_classes, norm, rngs)
