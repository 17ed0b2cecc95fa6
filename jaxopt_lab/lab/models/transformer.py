"""A decoder-only transformer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.inference.model_steps import places_of
from jaxopt_lab.lab.models import checks
from jaxopt_lab.lab.models.activations import GELU, Activation
from jaxopt_lab.lab.models.cached import (
    Embed,
    Head,
    OneBlock,
    Part,
    cached_attention,
)
from jaxopt_lab.lab.models.configs import TransformerConfig
from jaxopt_lab.lab.models.layers import Dropout, DTypes, dtypes
from jaxopt_lab.lab.models.memory import BlockParts, call, check_memory
from jaxopt_lab.lab.models.norms import Norm
from jaxopt_lab.lab.models.placed import Placed
from jaxopt_lab.lab.models.skipped import active_of, where_active
from jaxopt_lab.layers.block.modules import ResidualSum
from jaxopt_lab.layers.block.norm_placement import (
    NormPlacement,
    Placement,
    norm_placement,
)
from jaxopt_lab.layers.block.residual_scale import ResidualScale, fixup_factors

Layers: TypeAlias = Mapping[str, Placed]
"""Layers of the catalog by place."""

Attend: TypeAlias = Callable[[jax.Array], jax.Array]
"""Attention of queries, keys and values side by side."""

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
    """Attention and a perceptron, each with its norm before it or behind the sum."""

    def __init__(
        self,
        config: TransformerConfig,
        norm: Norm | None,
        activation: Activation,
        index: int,
        rngs: nnx.Rngs,
        layers: Layers,
        causal: bool,
    ) -> None:
        types, width = dtypes(config.dtype), config.width
        # 2 * depth branches add up in the residual stream: this keeps its variance
        # independent of the depth. Norms and scales that depend on it do so already.
        modules = 2 * config.depth
        scaled = (norm is not None and norm.by_depth) or config.residual_scale != "1"
        branch = SCALE if scaled else SCALE / modules**0.5
        inner = SCALE
        if config.residual_scale == "fixup":
            inner, branch = (f * SCALE for f in fixup_factors(modules, 2))
        self.placement: Placement = norm_placement(
            config.depth, kind=config.norm_placement, post_fraction=config.post_fraction
        )[index - 1]
        self.totals = nnx.List(
            ResidualSum(
                config.residual_scale, depth=modules, param_dtype=types["param_dtype"]
            )
            for _ in range(2)
        )
        parts = BlockParts(config.memory, config.memory_ratio, types, rngs)
        given: Any = {"types": types, "rngs": rngs}
        self.placed = tuple(layers.items())
        self.attention_norm = parts.norm(norm, width, index)
        if "attention" in layers:
            layer = layers["attention"]
            self.attend = layer(width, width, number=index - 1, **given)
        else:
            self.qkv = parts.dense(width, 3 * width, inner)
            self.attend = parts.attention(3 * width, config.heads, causal)
            self.attention_out = parts.dense(width, width, branch)
        self.mlp_norm = parts.norm(norm, width, index)
        if "block" in layers:
            layer = layers["block"]
            self.mlp = layer(width, width, number=index - 1, **given)
        else:

            def dense(size: int, out: int, scale: float, number: int) -> Any:
                if "linear" not in layers:
                    return parts.dense(size, out, scale)
                number += 2 * (index - 1)
                return layers["linear"](size, out, number=number, **given)

            self.mlp_in = dense(width, 4 * width, inner, 0)
            self.mlp_out = dense(4 * width, width, branch, 1)
            self.activation = parts.activation(activation, 4 * width)
        self.dropout = Dropout(config.dropout)

    def __call__(
        self, x: jax.Array, rngs: nnx.Rngs | None, attend: Attend | None = None
    ) -> jax.Array:
        placed = dict(self.placed)

        def run(layer: Any, x: jax.Array, place: str = "") -> jax.Array:
            if place in placed:
                return placed[place].apply(layer, x)
            return call(layer, x, rngs)

        def attention(h: jax.Array) -> jax.Array:
            if "attention" in placed:
                return self.dropout(run(self.attend, h, "attention"), rngs)
            qkv = run(self.qkv, h)
            attended = run(self.attend, qkv) if attend is None else attend(qkv)
            return self.dropout(run(self.attention_out, attended), rngs)

        def mlp(h: jax.Array) -> jax.Array:
            if "block" in placed:
                return self.dropout(run(self.mlp, h, "block"), rngs)
            hidden = run(self.activation, run(self.mlp_in, h, "linear"))
            return self.dropout(run(self.mlp_out, hidden, "linear"), rngs)

        modules = ((attention, self.attention_norm), (mlp, self.mlp_norm))
        for total, (module, layer) in zip(self.totals, modules, strict=True):
            norm = lambda h, layer=layer: run(layer, h)
            x = total(module, x, norm=norm, placement=self.placement)
        return x


class Transformer(nnx.Module):
    """Embeddings, blocks, normalisation, output."""

    def __init__(
        self,
        config: TransformerConfig,
        num_tokens: int,
        norm: Norm | None,
        activation: Activation,
        rngs: nnx.Rngs,
        layers: Layers,
        causal: bool,
    ) -> None:
        types, width = dtypes(config.dtype), config.width
        init = nnx.initializers.normal(SCALE)
        self.context, self.memory = config.context, config.memory
        self.active = active_of(config)
        self.heads = config.heads
        self.tokens = nnx.Embed(
            num_tokens, width, embedding_init=init, rngs=rngs, **types
        )
        self.positions = nnx.Embed(
            config.context, width, embedding_init=init, rngs=rngs, **types
        )
        self.dropout = Dropout(config.dropout)
        self.blocks = nnx.List(
            Block(config, norm, activation, index, rngs, layers, causal)
            for index in range(1, config.depth + 1)
        )
        # The last one belongs to no block: it is not scaled by the depth.
        self.norm = _norm(norm, width, 1, rngs, types)
        self.head = _dense(width, num_tokens, rngs, types)

    def __call__(
        self, tokens: jax.Array | Part, *, rngs: nnx.Rngs | None = None
    ) -> Any:
        if isinstance(tokens, Part):
            return self.part(tokens)
        checks.is_tokens("transformer", tokens)
        _check_context(tokens.shape[1], self.context)
        positions = self.positions(jnp.arange(tokens.shape[1], dtype=jnp.int32))
        x = self.dropout(self.tokens(tokens) + positions[None], rngs)
        run = nnx.remat(_run) if self.memory == "checkpoint" else _run
        places = np.arange(tokens.shape[1])[None]
        for index, block in enumerate(self.blocks):
            x = where_active(self.active, run(block, x, rngs), x, index, places)
        return self.head(self.norm(x))

    def part(self, given: Part) -> Any:
        """A part of the model, or all of it on a chunk, from cached keys and values.

        Args:
          given: an input of ``models.cached``.

        Returns:
          The result that the input names. Logits of a chunk at positions beyond the
          context are NaN; the decoders keep no token there.
        """
        if isinstance(given, Head):
            return self.head(self.norm(given.x))
        if isinstance(given, OneBlock):
            cache = []

            def attend(qkv: jax.Array) -> jax.Array:
                found = cached_attention(qkv, self.heads, given.positions, given.cache)
                cache.append(found[1])
                return found[0]

            return self.blocks[given.index](given.x, None, attend), cache[0]
        checks.is_tokens("transformer", given.tokens)
        wanted = places_of(given.tokens, given.positions)
        places = jnp.minimum(wanted, self.context - 1)
        x = self.tokens(given.tokens) + self.positions(places)
        if isinstance(given, Embed):
            return x
        caches = []
        for index, held in enumerate(given.cache):
            y, new = self.part(OneBlock(index, x, given.positions, held))
            # What is held of a position where the block does not run, no later one of
            # its queries reads: it does not run there, either.
            x = where_active(self.active, y, x, index, places)
            caches.append(new)
        # Not the embedding: NaN in the cache would reach all, times weights of 0.
        known = wanted[..., None] < self.context
        return jnp.where(known, self.part(Head(x)), jnp.nan), tuple(caches)


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
    activation: Activation = GELU,
    layers: Layers = MappingProxyType({}),
    causal: bool = True,
) -> Callable[[nnx.Rngs], Transformer]:
    """See ``Model.build``."""
    checks.at_least("transformer", 1, width=config.width, depth=config.depth)
    checks.at_least("transformer", 1, heads=config.heads, context=config.context)
    checks.check_dropout("transformer", config.dropout)
    check_memory("transformer", config.memory, config.memory_ratio)
    if config.memory == "mesa" and activation.name != "gelu":
        raise InputError(
            "transformer: memory=mesa keeps codes of activation=gelu; got "
            f"activation={activation.name}"
        )
    checks.check_named(
        "transformer", ResidualScale, residual_scale=config.residual_scale
    )
    checks.check_named(
        "transformer", NormPlacement, norm_placement=config.norm_placement
    )
    norm_placement(
        config.depth, kind=config.norm_placement, post_fraction=config.post_fraction
    )
    if active_of(config) is not None and not causal:
        raise InputError(
            f"max_layers={config.max_layers} is of a model whose tokens see no later "
            "ones; this one fills masks in"
        )
    if config.width % config.heads:
        raise InputError(
            f"transformer: width={config.width} is not a multiple of "
            f"heads={config.heads}"
        )
    _check_context(checks.context_length("transformer", input_shape), config.context)
    if layers and config.memory not in ("all", "checkpoint"):
        raise InputError(
            f"transformer: memory={config.memory} is of the model's own layers; got "
            + ", ".join(f"{place}={p.row.name}" for place, p in layers.items())
        )
    if "block" in layers and "linear" in layers:
        raise InputError(
            f"transformer: linear={config.linear} is of the perceptron, which "
            f"block={config.block} replaces"
        )
    return lambda rngs: Transformer(
        config, num_classes, norm, activation, rngs, layers, causal
    )
