"""Loss and residual bytes of every way to keep the activations of a transformer."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.benchmarks.memory_saving import residual_bytes
from experiments.harness.store import Store
from experiments.studies.memory_saving.config import Config
from jaxopt_lab.lab.models import transformer
from jaxopt_lab.lab.models.configs import TransformerConfig
from jaxopt_lab.training import from_nnx


class Measured(NamedTuple):
    """Everything that is measured, by way; ``"all"`` keeps everything.

    Attributes:
      losses: mean training loss at the end, ``(seeds,)``; of fresh tokens in each step,
        so that it is a test loss too.
      bytes: residuals of the VJP.
    """

    losses: dict[str, np.ndarray]
    bytes: dict[str, int]


def ways(config: Config) -> dict[str, dict[str, Any]]:
    """Options of the transformer, by way.

    Args:
      config: the size of the study.

    Returns:
      The options.
    """
    sampled = {
        f"wta_crs {ratio:g}": {"memory": "wta_crs", "memory_ratio": ratio}
        for ratio in config.ratios
    }
    names = ("all", "checkpoint", "mesa")
    return {**{name: {"memory": name} for name in names}, **sampled}


def measure(config: Config, store: Store) -> Measured:
    """Train the transformer in every way, from the same weights on the same tokens.

    See ``Experiment.measure``.
    """
    seeds = jnp.arange(config.first_seed, config.first_seed + config.seeds)
    plain = _model(config, {"memory": "all"})
    starts = jax.jit(jax.vmap(lambda seed: plain.init(jax.random.key(seed))[0]))(seeds)
    rows = store.group("runs")
    losses, kept = {}, {}
    for name, options in ways(config).items():
        model = _model(config, options)

        def runs(seeds: Any, starts: Any, model: Any = model) -> Any:
            # Not vmap: batched products of this size take longer to compile.
            one = lambda item: _run(model, item[0], item[1], config)
            return jax.lax.map(one, (seeds, starts))

        run = jax.jit(runs)
        take = lambda run=run: {"loss": np.asarray(run(seeds, starts))}
        losses[name] = np.asarray(rows.measured(name, take)["loss"])
        kept[name] = _bytes(model, config)
    return Measured(losses, kept)


def _model(config: Config, options: Any) -> Any:
    given = TransformerConfig(
        width=config.width, depth=config.depth, context=config.length, **options
    )
    return from_nnx(transformer.build(given, (config.length,), config.tokens))


def chain(key: jax.Array, tokens: int) -> jax.Array:
    """Logits of the next token, by the one before and the one before that.

    Args:
      key: PRNG key.
      tokens: size of the vocabulary.

    Returns:
      ``(tokens, tokens, tokens)``.
    """
    return 2 * jax.random.normal(key, (tokens, tokens, tokens))


def draw(key: jax.Array, logits: jax.Array, batch: int, length: int) -> jax.Array:
    """Texts of a chain.

    Args:
      key: PRNG key.
      logits: of ``chain``.
      batch: number of texts.
      length: their length.

    Returns:
      ``(batch, length)``, int32.
    """

    def one(carry: Any, key: jax.Array) -> Any:
        before, last = carry
        new = jax.random.categorical(key, logits[before, last]).astype(jnp.int32)
        return (last, new), new

    first = jnp.zeros(batch, jnp.int32)
    keys = jax.random.split(key, length)
    return jax.lax.scan(one, (first, first), keys)[1].T


def _loss(model: Any, params: Any, state: Any, text: jax.Array, key: Any) -> Any:
    logits, state = model.apply(params, state, text[:, :-1], train=True, key=key)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, text[:, 1:])
    return jnp.mean(losses), state


def _run(model: Any, seed: jax.Array, params: Any, config: Config) -> jax.Array:
    own, key = jax.random.split(jax.random.key(seed + 1000))
    logits = chain(own, config.tokens)
    tx = optax.adam(config.rate)
    shapes = jax.eval_shape(model.init, jax.random.key(0))[1]
    state = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

    def step(carry: Any, key: jax.Array) -> Any:
        params, state, opt_state = carry
        text_key, key = jax.random.split(key)
        text = draw(text_key, logits, config.batch, config.length + 1)
        gradient = jax.value_and_grad(
            lambda p: _loss(model, p, state, text, key), has_aux=True
        )
        (loss, state), grads = gradient(params)
        updates, opt_state = tx.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), state, opt_state), loss

    keys = jax.random.split(key, config.steps)
    losses = jax.lax.scan(step, (params, state, tx.init(params)), keys)[1]
    return jnp.mean(losses[-config.last :])


def _bytes(model: Any, config: Config) -> int:
    def arguments() -> Any:
        params, state = model.init(jax.random.key(0))
        text = jnp.zeros((config.batch, config.length + 1), jnp.int32)
        return params, state, text, jax.random.key(1)

    return residual_bytes(lambda *given: _loss(model, *given)[0], arguments)
