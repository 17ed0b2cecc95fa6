"""Sizes of the application on replica symmetry breaking."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from experiments.applications.application import QUICK, STANDARD, Settings
from experiments.spins.replicas import State

MODELS = ("glass", "Hopfield")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size.

    Attributes:
      spins: N, of the networks, in ascending order.
      load: alpha; :math:`K = \\alpha N^2` patterns. The terms of the patterns are far
        from Gaussian: their fourth cumulant alone adds about :math:`540 \\alpha
        \\beta^3 / N` to the size of the network's energy, less at larger loads in the
        units of the glass.
      temperatures: of the glass; those of the network are larger by
        :math:`\\sqrt{2 \\alpha 3!}`.
      samples: couplings or patterns drawn for each seed.
      steps: sweeps; the second half is measured.
      matrix: (N, patterns over N) of the spectrum of pair couplings.
      bins: of the histogram of overlaps.
      models: that are simulated.
    """

    spins: tuple[int, ...] = (32, 48)
    load: float = 0.2
    temperatures: tuple[float, ...] = (1.2, 1.0, 0.85, 0.75, 0.65, 0.55, 0.47, 0.4)
    samples: int = 2
    steps: int = 1200
    matrix: tuple[int, float] = (300, 2.0)
    bins: int = 24
    models: tuple[str, ...] = MODELS

    @property
    def scale(self) -> float:
        """Energy of the network over that of the glass."""
        return (12 * self.load) ** 0.5


SIZES = {
    QUICK: Config(
        seeds=2,
        spins=(12,),
        temperatures=(1.2, 0.6),
        samples=1,
        steps=60,
        matrix=(60, 2.0),
    ),
    STANDARD: Config(seeds=5),
}


class Measured(NamedTuple):
    """Theory at every temperature, and what was simulated, in units of the glass.

    Attributes:
      broken: with one step of breaking.
      symmetric: without breaking.
      energies: of a spin, ``(models, sizes, seeds, temperatures)``.
      lowest: least energy of a spin that was met, ``(models, sizes, seeds)``.
      overlaps: densities at the lowest temperature and largest N, ``(models, seeds,
        bins)`` over -1 to 1.
      distances: of the spectrum of pair couplings from Marchenko and Pastur's law and
        from the semicircle, ``(seeds, 2)``.
      spectrum: eigenvalues of the first seed.
    """

    broken: list[State]
    symmetric: list[State]
    energies: np.ndarray
    lowest: np.ndarray
    overlaps: np.ndarray
    distances: np.ndarray
    spectrum: np.ndarray
