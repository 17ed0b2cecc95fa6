"""All metrics of sets that are spoiled in three ways."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.harness.store import Store
from experiments.studies.set_metrics.config import Config
from jaxopt_lab.metrics import compare_sets

WAYS = ("noise", "kept", "invented")


class Measured(NamedTuple):
    """Everything that is measured, by way of spoiling.

    Attributes:
      noise: values ``(levels, seeds)`` by metric and measure.
      kept: likewise.
      invented: likewise.
    """

    noise: dict[str, np.ndarray]
    kept: dict[str, np.ndarray]
    invented: dict[str, np.ndarray]


def spoiled(
    rng: np.random.Generator, way: str, level: float, config: Config
) -> tuple[np.ndarray, np.ndarray]:
    """A real set and a generated one.

    Args:
      rng: of the points.
      way: one of ``WAYS``.
      level: of the spoiling.
      config: the size of the study.

    Returns:
      Points in the plane, float32.
    """
    count = config.points

    def ring(which: np.ndarray) -> np.ndarray:
        angles = 2 * np.pi * which / config.modes
        return 5 * np.stack([np.cos(angles), np.sin(angles)], axis=1)

    around = lambda centers: centers + 0.3 * rng.normal(size=centers.shape)
    real = around(ring(rng.integers(0, config.modes, count)))
    modes = int(level) if way == "kept" else config.modes
    more = int(level) if way == "invented" else 0
    which = rng.integers(0, modes + more, count)
    own = np.where(which < modes, which, which - modes)
    wide = np.where(which < modes, 1, 2)[:, None]
    generated = around(wide * ring(own))
    if way == "noise":
        generated = generated + level * rng.normal(size=generated.shape)
    return real.astype(np.float32), generated.astype(np.float32)


def measure(config: Config, store: Store) -> Measured:
    """Score every level of every way of spoiling; see ``Experiment.measure``."""
    rows = store.group("levels")
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    found: dict[str, dict[str, np.ndarray]] = {}
    for way in WAYS:
        levels = getattr(config, way)
        taken = [
            rows.measured(
                f"{way} {level:g}",
                lambda way=way, level=level: _scores(way, level, seeds, config),
            )
            for level in levels
        ]
        found[way] = {
            name: np.stack([np.asarray(row[name]) for row in taken])
            for name in taken[0]
        }
    return Measured(**found)


def _scores(way: str, level: float, seeds: range, config: Config) -> dict[str, Any]:
    found: dict[str, list[float]] = {}
    for seed in seeds:
        # The same real set and draws at every level.
        sets = spoiled(np.random.default_rng(seed), way, level, config)
        table = compare_sets(*sets, key=jax.random.key(seed))
        for row in table.rows:
            name = f"{row.metric}, {row.setting}: {row.measure}"
            found.setdefault(name, []).append(row.value)
    return {name: np.asarray(values) for name, values in found.items()}
