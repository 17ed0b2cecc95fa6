"""Training of the codecs of all arms and seeds at once; their dead codes live again."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.applications.fitting import Fit, step_of
from experiments.applications.speech_codec.codec import Arm, codec, latents
from experiments.applications.speech_codec.config import Config
from jaxopt_lab.layers import (
    quantization_penalty,
    replace_dead_codes,
    residual_vector_quantize,
)
from jaxopt_lab.losses import ssim

# Optimized, twenty small networks compile for three times as long as they train.
_QUICKLY = {"xla_backend_optimization_level": 0}


class Data(NamedTuple):
    """Speech of every run.

    Attributes:
      x: ``(runs, voices, utterances, length, bands)``.
      vectors: ``(runs, voices, utterances, d)``, of the speaker.
      arm: numbers ``(runs,)``.
    """

    x: Any
    vectors: Any
    arm: Arm


class Coded(NamedTuple):
    """What trained codecs do.

    Attributes:
      error: ``(runs,)``, mean squared error of the test utterances; the prompt of each
        is the utterance before it.
      codes: ``(runs, voices, utterances, T, latent)``, quantized latents.
      used: ``(runs,)``, perplexity of the codes of a table on the test utterances, the
        mean over all tables.
    """

    error: np.ndarray
    codes: np.ndarray
    used: np.ndarray


def coded(config: Config, stages: int, seeds: list[int], data: Data) -> Coded:
    """Train the codecs of all runs, and code every utterance.

    Args:
      config: the size of the application.
      stages: of the residual codes.
      seeds: of each run.
      data: theirs.

    Returns:
      The outcome.
    """
    net, run = codec(config, stages), programs(config, stages)
    started = {seed: net.init(jax.random.key(seed)) for seed in dict.fromkeys(seeds)}
    params, state = jax.tree.map(lambda *x: np.stack(x), *(started[s] for s in seeds))
    drawn = {seed: places(config, seed) for seed in started}
    chosen = np.stack([drawn[seed] for seed in seeds])
    keys = np.array([[seed, 0] for seed in seeds], np.uint32)
    params = run.revive(params, keys, data.x, np.float32(0))
    fit = Fit(params, state, run.start(params))
    for i, part in enumerate(np.array_split(chosen, config.rounds, axis=1)):
        if i:
            keys = keys + np.array([0, 1], np.uint32)
            own = run.revive(fit.params, keys, data.x, np.float32(1))
            fit = fit._replace(params=own)
        fit = run.advance(fit, part, data)
    return Coded(*map(np.asarray, run.judge(fit, data)))


def places(config: Config, seed: int) -> np.ndarray:
    """Voice, utterance and reference of the batches, ``(steps, size, 3)``."""
    rng, shape = np.random.default_rng([seed, 2]), (config.steps, config.size)
    said = rng.integers(config.train, size=shape)
    other = (said + rng.integers(1, config.train, size=shape)) % config.train
    return np.stack([rng.integers(config.speakers, size=shape), said, other], axis=-1)


class Programs(NamedTuple):
    """Jitted functions of all runs.

    Attributes:
      start: ``start(params) -> opt_state``.
      revive: ``revive(params, keys, x, kept) -> params``: codes that no training
        utterance uses become residuals of some; with ``kept`` 0 all of them do.
      advance: ``advance(fit, places, data) -> fit``, the steps of a round.
      judge: ``judge(fit, data) -> Coded``.
    """

    start: Any
    revive: Any
    advance: Any
    judge: Any


@functools.cache
def programs(config: Config, stages: int) -> Programs:
    """The programs of a number of stages, compiled once."""
    net = codec(config, stages)
    rate = optax.cosine_decay_schedule(config.rate, config.steps)
    tx = optax.flatten(optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate)))

    def loss(params: Any, state: Any, batch: Any) -> Any:
        out, state = net.apply(params, state, batch, train=True)
        alike = ssim(out.codes, out.prompt, window=7, data_range=4.0)
        total = jnp.mean((out.y - batch[0]) ** 2) + quantization_penalty(state)
        return total + batch[3].similarity * jnp.mean(alike), state

    step = step_of(loss, tx)

    def advance(fit: Fit, places: Any, data: Data) -> Fit:
        def one(fit: Fit, at: jax.Array) -> tuple[Fit, None]:
            voice, said, other = at[:, 0], at[:, 1], at[:, 2]
            x, vectors = data.x, data.vectors
            batch = x[voice, said], x[voice, other], vectors[voice, other], data.arm
            return step(fit, batch), None

        return jax.lax.scan(one, fit, places)[0]

    def revive(params: Any, key: Any, x: Any, kept: Any) -> Any:
        x = x[:, : config.train]
        z = latents(params, x.reshape(-1, *x.shape[2:]))
        tables = params["codes"]["codebooks"]
        new = _revived(jax.random.wrap_key_data(key), z, _of_groups(tables), kept)
        return {**params, "codes": {"codebooks": new.reshape(tables.shape)}}

    def judge(fit: Fit, data: Data) -> Any:
        x, last = data.x, lambda a: jnp.roll(a, 1, 1)
        flat = lambda a: a.reshape(-1, *a.shape[2:])
        given = flat(x), flat(last(x)), flat(last(data.vectors)), data.arm
        out, _ = net.apply(fit.params, fit.model_state, given, train=False)
        gap = out.y.reshape(x.shape) - x
        codes = out.codes.reshape(*x.shape[:2], *out.codes.shape[1:])
        z = latents(fit.params, flat(x[:, config.train :]))
        tables = _of_groups(fit.params["codes"]["codebooks"])
        return (
            jnp.mean(gap[:, config.train :] ** 2),
            codes,
            _perplexity(residual_vector_quantize(z, tables).codes, config.codes),
        )

    quick = lambda f: jax.jit(jax.vmap(f), compiler_options=_QUICKLY)
    every = jax.vmap(revive, in_axes=(0, 0, 0, None))
    return Programs(
        quick(tx.init),
        jax.jit(every, compiler_options=_QUICKLY),
        quick(advance),
        quick(judge),
    )


def _of_groups(tables: jax.Array) -> jax.Array:
    return tables if tables.ndim == 4 else tables[None]


def _revived(key: jax.Array, z: jax.Array, tables: jax.Array, kept: Any) -> jax.Array:
    """Tables ``(groups, stages, K, d)`` whose unused codes are residuals."""
    groups, stages, size, width = tables.shape
    rest = z.reshape(-1, groups, width).swapaxes(0, 1)
    keys = jax.random.split(key, (stages, groups))

    def nearest(table: jax.Array, rest: jax.Array) -> jax.Array:
        far = jnp.sum((rest[:, None] - table) ** 2, axis=-1)
        return 1.0 * (jnp.argmin(far, axis=1)[:, None] == jnp.arange(size))

    def stage(key: jax.Array, table: jax.Array, rest: jax.Array) -> Any:
        uses = kept * jnp.sum(nearest(table, rest), axis=0)
        table = replace_dead_codes(key, table, uses, rest)
        return table, rest - nearest(table, rest) @ table

    for i in range(stages):
        new, rest = jax.vmap(stage)(keys[i], tables[:, i], rest)
        tables = tables.at[:, i].set(new)
    return tables


def _perplexity(codes: jax.Array, size: int) -> jax.Array:
    """How many codes of a table are used, ``exp`` of the entropy; mean of all tables.

    Args:
      codes: ``(..., groups, stages)``.
      size: of a table.
    """
    hit = codes[..., None] == jnp.arange(size)
    share = jnp.mean(1.0 * hit, axis=tuple(range(codes.ndim - 2)))
    entropy = -jnp.sum(share * jnp.log(jnp.maximum(share, 1e-30)), axis=-1)
    return jnp.mean(jnp.exp(entropy))
