"""Losses, gradients and variances of deep transformers by placement of norms."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from experiments.harness.store import Store
from experiments.studies import programs
from experiments.studies.depth.config import Config
from experiments.studies.memory_saving.measure import chain, draw
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.lab.models import MODELS
from jaxopt_lab.lab.models.configs import TransformerConfig
from jaxopt_lab.training import from_nnx

ARMS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "pre": {},
        "post": {"norm_placement": "post"},
        "mix": {"norm_placement": "mix"},
        "lns": {"norm": "layernorm_scaling"},
    }
)
"""Options of the transformer, by arm."""

_OUTPUTS = ("attention_out", "mlp_out")


class Streams(nnx.Module):
    """A transformer that gives the mean squares of its residual stream, too."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __call__(
        self, tokens: jax.Array, *, rngs: nnx.Rngs | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """Logits, and the mean square behind every block, ``(blocks,)``."""
        model = self.model
        places = jnp.arange(tokens.shape[1], dtype=jnp.int32)
        x = model.tokens(tokens) + model.positions(places)[None]
        squares = []
        for block in model.blocks:
            x = block(x, rngs)
            squares.append(jnp.mean(x * x))
        return model.head(model.norm(x)), jnp.stack(squares)


def measure(config: Config, store: Store) -> dict[str, dict[str, np.ndarray]]:
    """Train the transformer of every arm on the same tokens.

    See ``Experiment.measure``.

    Returns:
      By arm, ``(seeds,)`` each: ``loss``, the mean at the end, of fresh tokens in each
      step, so that it is a test loss too; ``ratio``, the root mean square gradient of
      the last quarter of the blocks over that of the first, at the start; ``growth``,
      the logarithm of the variance of the residual stream behind the last block over
      that behind the first, after training; ``dropped``, the loss without the modules
      of one deep block minus the loss with them.
    """
    rows, found = store.group("transformers"), {}
    for arm in config.arms:
        model = _model(config, ARMS[arm])
        run = lambda key, m=model: _run(m, key, config)
        take = lambda run=run: programs.over_seeds(run, config, loop=True)
        found[arm] = rows.measured(arm, take)
    return found


def _model(config: Config, options: Mapping[str, Any]) -> Functional:
    given = TransformerConfig(
        width=config.width, depth=config.depth, context=config.length, **options
    )
    build = MODELS["transformer"].build(given, (config.length,), config.tokens)
    return from_nnx(lambda rngs: Streams(build(rngs)))


def _loss(model: Functional, params: Any, text: jax.Array) -> Any:
    (logits, squares), _ = model.apply(params, {}, text[:, :-1], train=True)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, text[:, 1:])
    return jnp.mean(losses), squares


def quarters(grads: Any, depth: int) -> jax.Array:
    """The gradient of the last quarter of the blocks over that of the first.

    Args:
      grads: of the transformer, with ``blocks`` by number.
      depth: the number of blocks.

    Returns:
      The ratio of their root mean squares.
    """
    count = max(depth // 4, 1)

    def size(blocks: range) -> jax.Array:
        squares = jnp.stack(
            [optax.tree.norm(grads["blocks"][str(i)], squared=True) for i in blocks]
        )
        return jnp.sqrt(jnp.mean(squares))

    return size(range(depth - count, depth)) / size(range(count))


def without_block(params: Any, index: int) -> Any:
    """Parameters with which the modules of a block give 0.

    Args:
      params: of the transformer.
      index: the block, from 0.

    Returns:
      The parameters; a norm behind a sum stays.
    """
    blocks, name = dict(params["blocks"]), str(index)
    silent = {n: jax.tree.map(jnp.zeros_like, blocks[name][n]) for n in _OUTPUTS}
    blocks[name] = {**blocks[name], **silent}
    return {**params, "blocks": blocks}


def _run(model: Functional, key: jax.Array, config: Config) -> dict[str, jax.Array]:
    own, key, start = jax.random.split(key, 3)
    logits = chain(own, config.tokens)
    tx = optax.adam(config.rate)
    params = model.init(start)[0]
    text = lambda key: draw(key, logits, config.batch, config.length + 1)
    gradient = jax.value_and_grad(lambda p, x: _loss(model, p, x), has_aux=True)

    def step(carry: Any, key: jax.Array) -> Any:
        params, opt_state = carry
        (loss, _), grads = gradient(params, text(key))
        updates, opt_state = tx.update(grads, opt_state, params)
        found = (loss, quarters(grads["model"], config.depth))
        return (optax.apply_updates(params, updates), opt_state), found

    keys = jax.random.split(key, config.steps)
    (params, _), (losses, ratios) = jax.lax.scan(step, (params, tx.init(params)), keys)
    fresh = text(jax.random.fold_in(key, 1))
    index = config.depth - max(config.depth // 4, 1)
    fewer = {"model": without_block(params["model"], index)}
    both = jax.tree.map(lambda *p: jnp.stack(p), params, fewer)
    (whole, less), squares = jax.lax.map(lambda p: _loss(model, p, fresh), both)
    return {
        "loss": jnp.mean(losses[-config.last :]),
        "ratio": ratios[0],
        "growth": jnp.log(squares[0, -1] / squares[0, 0]),
        "dropped": less - whole,
    }
