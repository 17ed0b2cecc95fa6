"""Overlaps of multitasking Hebbian networks, by Monte Carlo and by the mean field."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.applications.multitasking_hebbian.config import (
    PROTOCOLS,
    STARTS,
    Cell,
    Config,
    Measured,
    cells,
)
from experiments.harness.store import Store
from experiments.spins import diluted


def start_overlaps(cell: Cell, patterns: int) -> np.ndarray:
    """Exact overlaps of the start of a cell."""
    of = diluted.hierarchy if cell.start == STARTS[0] else diluted.majority
    return of(patterns, cell.blank)


def theory(cell: Cell, patterns: int) -> np.ndarray:
    """Overlaps of the mean field from the start of a cell, in descending order."""
    beta = 1 / (cell.temperature * (1 - cell.blank))
    # Equal overlaps would stay equal where they are a saddle; those of spins do not.
    start = start_overlaps(cell, patterns) * (1 - 0.01 * np.arange(patterns))
    found = diluted.solution(start, cell.blank, beta)
    return np.sort(np.abs(found))[::-1]


def sweep(
    key: jax.Array,
    spins: jax.Array,
    overlaps: jax.Array,
    patterns: jax.Array,
    weights: jax.Array,
    beta: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    r"""One draw of every spin by Glauber's rule, a block of them at a time.

    Of few patterns the field of a spin is a function of their overlaps,
    :math:`h_i = \sum_r w_r \xi_i^r m_r`, so that a sweep takes a product with each
    pattern alone. The spins of a block see the overlaps before it, their own part of
    them included: a change of the order of one over the number of blocks.

    Args:
      key: of the draws.
      spins: ``(blocks, n)``, -1 or 1.
      overlaps: ``(rows,)``, the mean of pattern times spin of all spins.
      patterns: ``(blocks, rows, n)``.
      weights: ``(rows,)``.
      beta: inverse temperature.

    Returns:
      Spins and overlaps.
    """
    draws = jax.random.uniform(key, spins.shape)

    def block(overlaps: jax.Array, own: Any) -> tuple[jax.Array, jax.Array]:
        old, rows, u = own
        up = u < jax.nn.sigmoid(2 * beta * ((weights * overlaps) @ rows))
        new = jnp.where(up, 1.0, -1.0)
        return overlaps + rows @ (new - old) / spins.size, new

    overlaps, spins = jax.lax.scan(block, overlaps, (spins, patterns, draws))
    return spins, overlaps


@functools.cache
def program(config: Config, protocol: str) -> Any:
    """``run(keys, blank, beta, hierarchical) -> (seeds, K)``, jitted."""
    k, n = config.patterns, config.spins
    copies = 1 if protocol == PROTOCOLS[0] else config.examples
    blocked = lambda x: jnp.moveaxis(x.reshape(*x.shape[:-1], config.blocks, -1), -2, 0)

    def stored(key: jax.Array, archetypes: jax.Array) -> tuple[jax.Array, jax.Array]:
        if protocol == PROTOCOLS[0]:
            return archetypes, jnp.ones(k)
        right = (1 + config.quality) / 2
        signs = 2.0 * jax.random.bernoulli(key, right, (copies, k, n)) - 1
        if protocol == PROTOCOLS[1]:
            return archetypes * signs.mean(0) / config.quality, jnp.ones(k)
        rows = (archetypes * signs).reshape(copies * k, n)
        return rows, jnp.full(copies * k, 1 / (copies * config.quality**2))

    def lane(key, blank, beta, hierarchical):
        keys = jax.random.split(key, 4)
        drawn = jax.random.uniform(keys[0], (k, n))
        sign = jnp.where(drawn < blank + (1 - blank) / 2, 1.0, -1.0)
        archetypes = jnp.where(drawn < blank, 0.0, sign)
        patterns, weights = stored(keys[1], archetypes)
        first = jnp.argmax(jnp.abs(archetypes), axis=0)
        leader = jnp.take_along_axis(archetypes, first[None], 0)[0]
        spins = jnp.where(hierarchical, leader, jnp.sign(archetypes.sum(0)))
        coin = 2.0 * jax.random.bernoulli(keys[2], 0.5, (n,)) - 1
        spins = jnp.where(spins == 0, coin, spins)
        rows = blocked(patterns)

        def advance(carry, key):
            spins, overlaps = carry
            spins, overlaps = sweep(key, spins, overlaps, rows, weights, beta)
            return (spins, overlaps), archetypes @ spins.ravel() / n

        start = blocked(spins), patterns @ spins / n
        _, found = jax.lax.scan(advance, start, jax.random.split(keys[3], config.steps))
        return found[config.steps // 2 :].mean(0)

    @jax.jit
    def run(keys, blank, beta, hierarchical):
        return jax.vmap(lambda key: lane(key, blank, beta, hierarchical))(keys)

    return run


def simulated(config: Config, protocol: str, batch: list[Cell]) -> np.ndarray:
    """Overlaps of cells that store the same, of all seeds, ``(cells, seeds, K)``."""
    run, found = program(config, protocol), []
    count, seeds = len(cells(config)), config.first_seed + np.arange(config.seeds)
    for i, cell in enumerate(batch):
        keys = jnp.stack([jax.random.key(count * int(s) + i) for s in seeds])
        beta = 1 / (cell.temperature * (1 - cell.blank))
        numbers = np.float32(cell.blank), np.float32(beta), cell.start == STARTS[0]
        found.append(np.asarray(run(keys, *numbers)))
    return -np.sort(-np.abs(np.stack(found)), axis=-1)


def measure(config: Config, store: Store) -> Measured:
    """Measure; see ``Experiment.measure``."""
    rows, found = store.group("overlaps"), []
    for protocol in PROTOCOLS:
        batch = [c for c in cells(config) if c.protocol == protocol]
        if not batch:
            continue
        row = rows.measured(
            protocol, lambda p=protocol, b=batch: {"overlaps": simulated(config, p, b)}
        )
        found.append(row["overlaps"])
    every = sorted(cells(config), key=lambda c: PROTOCOLS.index(c.protocol))
    wanted = np.stack([theory(c, config.patterns) for c in every])
    return Measured(every, wanted, np.concatenate(found))
