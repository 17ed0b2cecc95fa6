"""Signal-to-noise ratios and bytes of stored clips."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies.video.clip import clip
from experiments.studies.video.config import Config
from experiments.video.compressed import compress_video, decompress_video, psnr
from experiments.video.hnerv import (
    HNeRV,
    decode,
    encode,
    init_hnerv,
    solve_width,
    time_codes,
)

HNERV, NERV = "hnerv", "nerv"


class Measured(NamedTuple):
    """Everything that is measured, by network, ``(budgets, seeds)``.

    Attributes:
      trained: decibels of the frames that are trained on.
      between: of those between, by interpolated embeddings or times.
      quantized: of the trained ones from the quantized network.
      size: bytes of all codes, their tables and their ranges.
    """

    trained: dict[str, np.ndarray]
    between: dict[str, np.ndarray]
    quantized: dict[str, np.ndarray]
    size: dict[str, np.ndarray]


def measure(config: Config, store: Store) -> Measured:
    """Store every clip in every network; see ``Experiment.measure``."""
    rows = store.group("runs")
    found = {
        name: [
            rows.measured(
                f"{name} {budget}",
                lambda name=name, budget=budget: _stored(name, budget, config),
            )
            for budget in config.budgets
        ]
        for name in (HNERV, NERV)
    }
    of = lambda key: {n: np.stack([row[key] for row in r]) for n, r in found.items()}
    return Measured(*(of(name) for name in Measured._fields))


def network(name: str, budget: int, config: Config) -> HNeRV:
    """The widest network of a kind within a budget.

    Args:
      name: ``"hnerv"`` or ``"nerv"``.
      budget: most numbers, with the embeddings of the trained frames.
      config: the size of the study.

    Returns:
      Its sizes.
    """
    sizes = HNeRV(
        height=config.height,
        width=config.width,
        encoder=config.strides,
        decoder=config.strides,
        hidden=32,
        lower=4,
        frequencies=config.frequencies,
    )
    if name == NERV:
        sizes = dataclasses.replace(sizes, encoder=(), kernels=(3, 3), reduce=2.0)
    return solve_width(sizes, len(range(0, config.frames, 2)), budget)


def _stored(name: str, budget: int, config: Config) -> dict[str, np.ndarray]:
    sizes = network(name, budget, config)
    peak = optax.warmup_cosine_decay_schedule(
        0.1 * config.rate, config.rate, max(config.steps // 10, 1), config.steps
    )
    tx = optax.adam(peak)
    given, between = (jnp.linspace(0, 1, config.frames)[i::2] for i in (0, 1))

    def embedded(params: Any, frames: jax.Array) -> jax.Array:
        if name == NERV:
            return time_codes(sizes, given)
        return encode(sizes, params, frames)

    def loss(params: Any, frames: jax.Array) -> jax.Array:
        made = decode(sizes, params, embedded(params, frames))
        return jnp.mean((made - frames) ** 2)

    @jax.jit
    def step(params: Any, state: Any, frames: jax.Array) -> Any:
        updates, state = tx.update(jax.grad(loss)(params, frames), state, params)
        return optax.apply_updates(params, updates), state

    @jax.jit
    def seen(params: Any, frames: jax.Array) -> Any:
        codes = embedded(params, frames[::2])
        middle = (codes[1:] + codes[:-1]) / 2
        if name == NERV:
            middle = time_codes(sizes, between)
        ratio = lambda codes, x: psnr(decode(sizes, params, codes), x)
        return codes, ratio(codes, frames[::2]), ratio(middle, frames[1::2])

    found: dict[str, list[float]] = {key: [] for key in Measured._fields}
    start = jax.jit(lambda key: init_hnerv(key, sizes))
    for seed in range(config.first_seed, config.first_seed + config.seeds):
        frames = jnp.asarray(clip(seed, config))
        params = start(jax.random.key(seed))
        state = tx.init(params)
        # No loop of XLA: convolutions in it are slow on a CPU.
        for _ in range(config.steps):
            params, state = step(params, state, frames[::2])
        codes, own, other = seen(params, frames)
        bits = {
            "weight_bits": config.weight_bits,
            "embedding_bits": config.embedding_bits,
        }
        kept = compress_video(params, None if name == NERV else codes, **bits)
        made = decompress_video(sizes, kept, codes)
        values = own, other, psnr(made, frames[::2]), kept.sizes.total / 8
        for key, value in zip(Measured._fields, values, strict=True):
            found[key].append(float(value))
    return {key: np.asarray(values) for key, values in found.items()}
