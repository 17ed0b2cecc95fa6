"""The numbers of the study on metrics of two sets."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = (
    "mark_evaluate",
    "fuzzy_topology_impact",
    "lsh_precision_recall",
    "knn_coverage",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study.

    Attributes:
      points: of each set.
      modes: of the ring of the real set.
      noise: standard deviations that are added to the generated points; a mode has 0.3,
        neighbours on the ring are 3.1 apart.
      kept: modes of the ring that the generated set still has.
      invented: modes on a ring twice as wide that it has beside all others.
    """

    points: int = 400
    modes: int = 10
    noise: tuple[float, ...] = (0.0, 0.3, 0.6, 1.0, 2.0)
    kept: tuple[int, ...] = (10, 8, 6, 4, 2)
    invented: tuple[int, ...] = (0, 2, 5, 10)


SIZES = {
    QUICK: Config(
        seeds=2, points=100, noise=(0.0, 2.0), kept=(10, 2), invented=(0, 10)
    ),
    STANDARD: Config(seeds=10),
}
