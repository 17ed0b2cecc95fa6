"""Sizes and cells of multitasking Hebbian networks."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from experiments.applications.application import QUICK, STANDARD, Settings

STARTS = ("hierarchy", "majority")
PROTOCOLS = ("archetypes", "teacher", "examples")
TRANSITIONS = {0.05: 0.5, 0.3: 0.75, 0.7: 2 / 3}
"""Blanks at which the state changes its form, by temperature over the critical one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size.

    Attributes:
      spins: N; patterns overlap by about one over its root, which shifts the overlaps
        with the state.
      blocks: of spins that are drawn at once, a divisor of N.
      patterns: K.
      blanks: d.
      temperatures: over the critical one, 1 - d.
      learned: (d, temperature) at which examples are stored in place of archetypes.
      examples: of each archetype.
      quality: r; a sign of an example is right with probability (1 + r) / 2.
      steps: sweeps; overlaps are means over the second half.
    """

    spins: int = 20000
    blocks: int = 100
    patterns: int = 5
    blanks: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    temperatures: tuple[float, ...] = (0.05, 0.3, 0.7)
    learned: tuple[tuple[float, float], ...] = ((0.3, 0.05), (0.9, 0.7))
    examples: int = 50
    quality: float = 0.7
    steps: int = 100


SIZES = {
    QUICK: Config(
        seeds=2, spins=500, blocks=50, blanks=(0.3, 0.9), learned=(), steps=30
    ),
    STANDARD: Config(seeds=5),
}


class Cell(NamedTuple):
    """Blanks, temperature over the critical one, start, and what is stored."""

    blank: float
    temperature: float
    start: str
    protocol: str


class Measured(NamedTuple):
    """Overlaps with the archetypes, in descending order.

    Attributes:
      cells: of the first axis.
      theory: ``(cells, K)``.
      overlaps: ``(cells, seeds, K)``.
    """

    cells: list[Cell]
    theory: np.ndarray
    overlaps: np.ndarray


def cells(config: Config) -> list[Cell]:
    """All cells: archetypes everywhere, the other protocols where ``learned`` says."""
    found = [
        Cell(d, t, start, PROTOCOLS[0])
        for t in config.temperatures
        for d in config.blanks
        for start in STARTS
    ]
    more = [
        Cell(d, t, STARTS[0], protocol)
        for d, t in config.learned
        for protocol in PROTOCOLS[1:]
    ]
    return [*found, *more]
