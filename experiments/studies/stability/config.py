"""The numbers of the study on the stability of SGD."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings
from jaxopt_lab.curvature import Sampling

PAPER = "Dexter et al. 2024, arXiv:2401.12332"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study; a seed is an independent repetition of a simulation.

    Attributes:
      factors: learning rates, in multiples of the exact threshold.
      samplings: how batches are drawn.
      runs: directions of a simulation.
      steps: its steps.
      network_runs: directions of the network's simulation.
      network_steps: its steps.
      groups: examples, directions and curvature of the groups of identical Hessians:
        the coherence is the first over the second.
      groups_batch_sizes: batch sizes with the groups.
      linear_examples: examples of the two-layer linear network.
      linear_sizes: its inputs, hidden units and outputs.
      linear_batch_sizes: batch sizes with it.
      network_examples: digits that the network interpolates.
      network_width: its hidden units.
      network_batch_sizes: batch sizes with it.
      perturbation: distance from the minimum at which the network's steps are taken.
      plain_runs: independent runs of the illustration.
      plain_steps: their steps.
      plain_factor: their learning rate, in multiples of the exact threshold.
      plain_batch_size: their batch size.
      tolerance: how far the measured growth may be from the predicted one, above the
        threshold.
      problems: among ``"groups"``, ``"linear"`` and ``"network"``.
    """

    factors: tuple[float, ...] = (0.9, 0.97, 1.03, 1.1, 1.2, 1.5)
    samplings: tuple[Sampling, ...] = ("bernoulli", "without_replacement")
    runs: int = 500
    steps: int = 120
    seeds: int = 2
    network_runs: int = 200
    network_steps: int = 75
    groups: tuple[int, int, float] = (8, 4, 3.0)
    groups_batch_sizes: tuple[int, ...] = (1, 2, 4)
    linear_examples: int = 6
    linear_sizes: tuple[int, int, int] = (3, 2, 1)
    linear_batch_sizes: tuple[int, ...] = (1, 2, 4)
    network_examples: int = 12
    network_width: int = 12
    network_batch_sizes: tuple[int, ...] = (1, 3, 6)
    perturbation: float = 1e-6
    plain_runs: int = 1000
    plain_steps: int = 150
    plain_factor: float = 1.1
    plain_batch_size: int = 4
    tolerance: float = 0.03
    problems: tuple[str, ...] = ("groups", "linear", "network")


SIZES = {
    # Most of its time goes into compiling, problem by sampling by batch size.
    QUICK: Config(
        factors=(0.9, 1.1, 1.5),
        samplings=("bernoulli",),
        runs=200,
        steps=60,
        network_runs=50,
        network_steps=30,
        groups_batch_sizes=(1, 4),
        linear_batch_sizes=(1, 4),
        network_batch_sizes=(1, 6),
    ),
    # The defaults, with the third sampling and two more rates: 2,000 runs of 240 steps
    # at eleven rates, the size planned first, took over ten minutes. Reduced before any
    # verdict was seen; the tolerance is the default one, made for these numbers.
    STANDARD: Config(
        factors=(0.7, 0.9, 0.97, 1.03, 1.1, 1.2, 1.5, 2.0),
        samplings=("bernoulli", "without_replacement", "with_replacement"),
        seeds=5,
    ),
}
