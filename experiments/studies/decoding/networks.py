"""The models of the study: trained from keys, and their steps for decoders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.studies.decoding.config import Config
from experiments.studies.memory_saving.measure import chain, draw
from experiments.studies.programs import trained
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.inference import LayeredStep, exit_schedule, masked_forward
from jaxopt_lab.inference.exit_schedule import active_layers
from jaxopt_lab.lab.models import MODELS, Wanted
from jaxopt_lab.lab.models.cached import Chunk, Embed, Head, OneBlock, empty_cache
from jaxopt_lab.losses import cross_entropy, masked_token_loss

Draw = Callable[[jax.Array, int], jax.Array]
"""``draw(key, rows) -> int32 (rows, context + 1)``."""


def source(config: Config, words: Any = None) -> tuple[Draw, int]:
    """Texts by key, and the size of their vocabulary.

    Args:
      config: the size of the study.
      words: a text as ``data.load_text`` gives it; ``None``: a Markov chain.

    Returns:
      The function and the number.
    """
    if words is None:
        logits = chain(jax.random.key(0), config.tokens)
        text = lambda key, rows: draw(key, logits, rows, config.context + 1)
        return text, config.tokens
    first = np.concatenate([words.train["inputs"], words.train["targets"][:, -1:]], 1)
    rows_of = jnp.asarray(first)

    def taken(key: jax.Array, rows: int) -> jax.Array:
        return rows_of[jax.random.randint(key, (rows,), 0, len(rows_of))]

    return taken, words.num_classes


def model(config: Config, name: str, tokens: int, **options: Any) -> Any:
    """A model of the lab with its configuration.

    Args:
      config: the size of the study.
      name: of the model.
      tokens: size of the vocabulary.
      **options: others than those of the target.

    Returns:
      ``(configuration, functional)``.
    """
    given = {"width": config.width, "depth": config.depth, "heads": config.heads}
    row = MODELS[name]
    made: Any = row.config(**{**given, "context": config.context, **options})
    return made, row.functional(made, Wanted((config.context,), tokens))


def trainer(
    config: Config, loss: Callable[..., jax.Array], text: Draw
) -> Callable[..., Any]:
    """A program that trains with Adam.

    Args:
      config: gives rate and batch.
      loss: ``loss(params, rows, key, extra)``.
      text: the source.

    Returns:
      ``train(params, keys, extra) -> params``, a step for each key.
    """
    tx = optax.adam(config.rate)

    def train(params: Any, keys: jax.Array, extra: Any) -> Any:
        def of_key(params: Any, key: jax.Array) -> jax.Array:
            rows, own = text(key, config.batch), jax.random.fold_in(key, 1)
            return loss(params, rows, own, extra)

        return trained(of_key, tx, params, keys)[0]

    return jitted(config, train)


def jitted(config: Config, function: Callable[..., Any]) -> Callable[..., Any]:
    """The compiled function, at a quick size without optimizations."""
    options = {"xla_backend_optimization_level": 0} if config.quickly else None
    return jax.jit(function, compiler_options=options)


def next_loss(net: Functional) -> Callable[..., jax.Array]:
    """The loss of the next token, as ``trainer`` takes it."""

    def loss(params: Any, rows: jax.Array, key: jax.Array, extra: Any) -> jax.Array:
        logits, _ = net.apply(params, {}, rows[:, :-1], train=True)
        return jnp.mean(cross_entropy(logits, rows[:, 1:]))

    return loss


def masked_loss(net: Functional, tokens: int) -> Callable[..., jax.Array]:
    """The loss of a masked diffusion, as ``trainer`` takes it."""
    loss_fn = masked_token_loss(net, mask=tokens)

    def loss(params: Any, rows: jax.Array, key: jax.Array, extra: Any) -> jax.Array:
        return loss_fn(params, {}, {"inputs": rows[:, :-1]}, key)[0]

    return loss


def layered_loss(config: Config, made: Any, net: Functional) -> Any:
    """The loss of the next token where layers are active at some positions alone.

    Args:
      config: gives the context.
      made: the configuration of the model.
      net: a transformer.

    Returns:
      ``loss(params, rows, key, active)``, with ``active`` booleans by position and
      layer.
    """

    def loss(params: Any, rows: jax.Array, key: jax.Array, active: Any) -> jax.Array:
        del key
        text = rows[:, :-1]
        start = jnp.zeros(len(text), jnp.int32)
        cache = empty_cache(made, len(text), config.context)

        def block(params: Any, layer: int, x: jax.Array) -> jax.Array:
            given = OneBlock(layer, x, start, cache[layer])
            return net.apply(params, {}, given, train=False)[0][0]

        x, _ = net.apply(params, {}, Embed(text, start), train=False)
        x = masked_forward(block, params, x, active)
        logits, _ = net.apply(params, {}, Head(x), train=False)
        return jnp.mean(cross_entropy(logits, rows[:, 1:]))

    return loss


def schedules(config: Config, total: int) -> dict[str, np.ndarray]:
    """Active layers by position: SkipDecode's, and an early exit at the same cost.

    Args:
      config: gives the layers.
      total: positions.

    Returns:
      Booleans ``(total, depth)``. The exits are behind a number of layers that changes
      from position to position where the cost is between two whole ones.
    """
    count = exit_schedule(
        total,
        layers=config.depth,
        max_layers=config.max_layers,
        min_layers=config.min_layers,
        warmup=config.warmup,
    )
    skip = active_layers(count, layers=config.depth, warmup=config.warmup)
    # The running sum of the mean, rounded: as many layers in all.
    steps = np.floor(np.arange(total + 1) * count.sum() / total + 0.5)
    exits = np.arange(config.depth)[None] < np.diff(steps)[:, None]
    return {"skip": skip, "exit": exits}


def chunk_step(net: Functional) -> Any:
    """The ``ChunkStep`` of a transformer."""
    return lambda params, cache, tokens, positions: net.apply(
        params, {}, Chunk(tokens, positions, cache), train=False
    )[0]


def layered_step(net: Functional, layers: int) -> LayeredStep:
    """The ``LayeredStep`` of a transformer."""
    at = lambda x, position: jnp.broadcast_to(position, x.shape[:1])
    run = lambda params, given: net.apply(params, {}, given, train=False)[0]
    return LayeredStep(
        lambda p, tokens, n: run(p, Embed(tokens[:, None], at(tokens, n))),
        lambda p, i, x, cache, n: run(p, OneBlock(i, x, at(x, n), cache)),
        lambda p, x: run(p, Head(x))[:, 0],
        layers,
    )


def masked_step(net: Functional) -> Any:
    """The ``MaskedStep`` of a masked transformer."""

    def step(params: Any, cache: Any, tokens: jax.Array, columns: jax.Array) -> Any:
        logits, _ = net.apply(params, {}, tokens, train=False)
        return jnp.take_along_axis(logits, columns[..., None], axis=1), cache

    return step
