"""The numbers of the study on batch sizes."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("top_eigenvalues", "spectral_rates")

PAPER = "Granziol, Zohren and Roberts 2022, arXiv:2006.09092"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study; a seed is an order of batches.

    Attributes:
      examples: digits of the data set, N.
      width: units of the hidden layer.
      warm_steps: steps of full-batch gradient descent before anything is measured.
      warm_rate: their learning rate.
      batch_sizes: batch sizes, ascending.
      batches: batches of each size whose eigenvalues are averaged.
      lanczos_steps: products for both ends of a batch's spectrum.
      variance_batch_size: batch size at which the variance of the elements is measured.
      variance_batches: number of those batches.
      variance_probes: number of probes.
      gram_examples: examples whose Gauss-Newton matrices give the threshold of the
        linearised SGD.
      gram_draws: number of such subsamples.
      steps: steps of a training whose stability is tested.
      sgd_rates: smallest and largest learning rate of SGD.
      adam_rates: smallest and largest learning rate of Adam.
      rates: learning rates between them, equidistant in the logarithm.
      tolerance: how far a slope may be from the claimed one.
      formula_tolerance: relative error allowed to the eigenvalue formula.
    """

    examples: int = 1024
    width: int = 16
    warm_steps: int = 100
    warm_rate: float = 0.3
    batch_sizes: tuple[int, ...] = (1, 2, 4, 8, 32, 128, 512)
    batches: int = 3
    lanczos_steps: int = 30
    variance_batch_size: int = 16
    variance_batches: int = 16
    variance_probes: int = 4
    gram_examples: int = 32
    gram_draws: int = 3
    steps: int = 100
    seeds: int = 2
    sgd_rates: tuple[float, float] = (0.03, 100.0)
    adam_rates: tuple[float, float] = (3e-4, 3.0)
    rates: int = 25
    tolerance: float = 0.2
    formula_tolerance: float = 0.2


SIZES = {
    QUICK: Config(
        batch_sizes=(1, 8, 64, 512),
        batches=2,
        lanczos_steps=15,
        variance_batches=8,
        variance_probes=2,
        gram_examples=16,
        gram_draws=2,
        steps=20,
        rates=7,
    ),
    # Planned with 41 rates, 300 steps, 10 seeds, 32 units and 16 batches: about fifteen
    # minutes. Reduced before any verdict was seen; rates are a factor of 1.5 apart.
    STANDARD: Config(
        batch_sizes=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
        batches=5,
        lanczos_steps=40,
        gram_examples=48,
        gram_draws=5,
        seeds=5,
        rates=21,
    ),
}
