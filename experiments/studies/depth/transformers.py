"""Losses and gradients of a deep transformer for every placement and scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies.depth.config import Config
from experiments.studies.memory_saving.measure import chain, draw
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.lab.models import MODELS
from jaxopt_lab.lab.models.configs import TransformerConfig
from jaxopt_lab.training import from_nnx

ARMS: Mapping[str, Mapping[str, Any]] = {
    "pre": {},
    "post": {"norm_placement": "post"},
    "mix": {"norm_placement": "mix"},
    "lns": {"norm": "layernorm_scaling"},
    "1/n": {"residual_scale": "1/n"},
    "1/sqrt_n": {"residual_scale": "1/sqrt_n"},
    "skipinit": {"residual_scale": "skipinit"},
}
"""Options of the transformer, by arm."""

_OUTPUTS = ("attention_out", "mlp_out")


class Measured(NamedTuple):
    """Everything that is measured, by arm; ``(seeds,)`` each.

    Attributes:
      losses: mean training loss at the end; of fresh tokens in each step, so that it is
        a test loss too.
      ratios: root mean square gradient of the last quarter of the blocks over that of
        the first, at the start.
      dropped: loss without the modules of one deep block, minus the loss with them.
    """

    losses: dict[str, np.ndarray]
    ratios: dict[str, np.ndarray]
    dropped: dict[str, np.ndarray]


def measure(config: Config, store: Store) -> Measured:
    """Train the transformer of every arm on the same tokens.

    Args:
      config: the size of the study.
      store: keeps the rows of each arm.

    Returns:
      The measurements.
    """
    seeds = jnp.arange(config.first_seed, config.first_seed + config.seeds)
    rows, found = store.group("runs"), {}
    for arm in config.arms:
        model = _model(config, ARMS[arm])
        run = jax.jit(jax.vmap(lambda seed, m=model: _run(m, seed, config)))
        take = lambda run=run: {n: np.asarray(v) for n, v in run(seeds).items()}
        found[arm] = rows.measured(arm, take)
    of = lambda name: {arm: np.asarray(row[name]) for arm, row in found.items()}
    return Measured(of("loss"), of("ratio"), of("dropped"))


def _model(config: Config, options: Mapping[str, Any]) -> Functional:
    given = TransformerConfig(
        width=config.width, depth=config.depth, context=config.length, **options
    )
    row = MODELS["transformer"]
    return from_nnx(row.build(given, (config.length,), config.tokens))


def _loss(model: Functional, params: Any, text: jax.Array) -> jax.Array:
    logits, _ = model.apply(params, {}, text[:, :-1], train=True)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, text[:, 1:])
    return jnp.mean(losses)


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


def _run(model: Functional, seed: jax.Array, config: Config) -> dict[str, jax.Array]:
    own, key, start = jax.random.split(jax.random.key(seed + 1000), 3)
    logits = chain(own, config.tokens)
    tx = optax.adam(config.rate)
    params = model.init(start)[0]
    text = lambda key: draw(key, logits, config.batch, config.length + 1)

    def step(carry: Any, key: jax.Array) -> Any:
        params, opt_state = carry
        loss, grads = jax.value_and_grad(lambda p: _loss(model, p, text(key)))(params)
        updates, opt_state = tx.update(grads, opt_state, params)
        found = (loss, quarters(grads, config.depth))
        return (optax.apply_updates(params, updates), opt_state), found

    keys = jax.random.split(key, config.steps)
    (params, _), (losses, ratios) = jax.lax.scan(step, (params, tx.init(params)), keys)
    fresh = text(jax.random.fold_in(key, 1))
    fewer = without_block(params, config.depth - max(config.depth // 4, 1))
    both = jax.tree.map(lambda *p: jnp.stack(p), params, fewer)
    whole, less = jax.vmap(lambda p: _loss(model, p, fresh))(both)
    return {
        "loss": jnp.mean(losses[-config.last :]),
        "ratio": ratios[0],
        "dropped": less - whole,
    }
