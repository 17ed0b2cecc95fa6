"""The numbers of the study on unnormalized models."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("meco",)

PAPER = "MECO, from the abstract; closed forms and constants are ours"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study.

    The energy network of the specification is left out: its likelihood is known only
    by sampling, that of the binary models here is exact. Their noise is of independent
    bits, far from a model with couplings: weights of importance have heavy tails there,
    those of noise contrast are at most 1.

    Attributes:
      mean: of the Gaussian data, of standard deviation 1; the model starts at 0.
      width: standard deviation of the noise, which has mean 0.
      batch: examples of data, and of noise, in a step.
      averaging: of MECO.
      near: distance from the mean at which a run has arrived.
      limit: steps of a run, the value of one that never arrives.
      gaussian_rates: learning rates of the runs to the mean, of plain descent.
      judged: the largest of them that has a claim: at 1 the first step of noise
        contrast happens to have the right length.
      bits: of the binary model, of 2 to this power states.
      coupling: standard deviation of the weights of the model that draws the data.
      steps: of a run of the binary model; the learning rate falls to 0.
      rates: its learning rates; every method chooses one on the first half of the
        seeds, the second half is judged.
      gap: nats that MECO may stay above the exact gradient.
    """

    mean: float = 6.0
    width: float = 4.0
    batch: int = 64
    averaging: float = 0.5
    near: float = 0.1
    limit: int = 1000
    gaussian_rates: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0)
    judged: float = 0.3
    bits: int = 10
    coupling: float = 0.4
    steps: int = 1000
    rates: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
    gap: float = 0.01


SIZES = {
    QUICK: Config(seeds=4, limit=200, bits=4, steps=50, rates=(0.1, 0.3, 1.0)),
    STANDARD: Config(seeds=16),
}
