"""Overlaps of multitasking Hebbian networks, by Monte Carlo and by the mean field."""

from __future__ import annotations

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
from experiments.spins.models import hopfield
from experiments.spins.monte_carlo import sweep


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


def simulated(config: Config, protocol: str, batch: list[Cell]) -> np.ndarray:
    """Overlaps of cells that store the same, of all seeds, ``(cells, seeds, K)``."""
    k, n = config.patterns, config.spins
    copies = 1 if protocol == PROTOCOLS[0] else config.examples

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
        # Squares of whole numbers are exact; H = -N sum m^2 / 2 has the other factor.
        model = hopfield(patterns, jnp.square, weights)

        def advance(spins, key):
            spins = sweep(key, model, spins, beta / (2 * n))
            return spins, archetypes @ spins / n

        _, overlaps = jax.lax.scan(
            advance, spins, jax.random.split(keys[3], config.steps)
        )
        return overlaps[config.steps // 2 :].mean(0)

    run = jax.vmap(lane, (0, None, None, None))
    blanks = jnp.array([c.blank for c in batch])
    betas = jnp.array([1 / (c.temperature * (1 - c.blank)) for c in batch])
    leading = jnp.array([c.start == STARTS[0] for c in batch])
    keys = jax.vmap(jax.random.key)(config.first_seed + jnp.arange(config.seeds))
    own = jax.vmap(lambda i: jax.vmap(lambda key: jax.random.fold_in(key, i))(keys))
    found = jax.jit(jax.vmap(run))(own(jnp.arange(len(batch))), blanks, betas, leading)
    return -np.sort(-np.abs(np.asarray(found)), axis=-1)


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
