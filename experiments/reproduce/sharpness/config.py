"""The settings of the experiment: everything that is a number."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Config:
    """One size of the experiment.

    Attributes:
      seeds: number of seeds; each has its own split, initialisation and order of
        batches, the same for all methods.
      steps: optimizer steps.
      first_seed: the first of consecutive seeds.
      train_examples: examples trained on.
      validation_examples: examples on which settings are chosen; the rest is the test.
      batch_size: examples in a batch.
      width: units of each hidden layer.
      depth: number of hidden layers.
      momentum: momentum of SGD, which is the base of every method.
      learning_rate: step size of the rows that tune their radius, before the cosine.
      radius_decays: weight decays beside each radius.
      rates: step sizes of the rows that tune their step size.
      decays: weight decays of the row that tunes its decay.
      decay_rates: step sizes beside each of them.
      noise_levels: standard deviations of the weight noise, as parts of the largest
        weight of a kernel.
      noise_draws: draws of the noise over which an accuracy is averaged.
      flipped: part of the training labels that are replaced by wrong ones.
      resamples: resamples of the bootstrap.
      confidence: confidence of its intervals.
    """

    seeds: int
    steps: int
    first_seed: int = 0
    train_examples: int = 400
    validation_examples: int = 400
    batch_size: int = 32
    width: int = 100
    depth: int = 2
    momentum: float = 0.9
    learning_rate: float = 0.05
    radius_decays: tuple[float, ...] = (0.0,)
    rates: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2)
    decays: tuple[float, ...] = (1e-3, 5e-3, 2e-2, 5e-2)
    decay_rates: tuple[float, ...] = (0.05,)
    noise_levels: tuple[float, ...] = (0.1, 0.2)
    noise_draws: int = 4
    flipped: float = 0.2
    resamples: int = 10_000
    confidence: float = 0.95


CONFIGS = {
    "quick": Config(seeds=6, steps=400),
    "full": Config(
        seeds=10,
        steps=800,
        radius_decays=(0.0, 1e-2),
        rates=(0.01, 0.02, 0.035, 0.05, 0.07, 0.1, 0.15, 0.2),
        decay_rates=(0.05, 0.1),
        noise_draws=8,
    ),
}
