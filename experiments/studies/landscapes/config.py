"""The settings of the experiment: everything that is a number."""

from __future__ import annotations

import dataclasses
from typing import Literal, NamedTuple

Network = Literal["mlp", "convnet"]
Loss = Literal["squared", "cross-entropy"]


class Case(NamedTuple):
    """What is trained.

    Attributes:
      network: name of the network.
      loss: ``"squared"``: half the squared distance to the one-hot label, whose
        curvature stays where the training loss goes to zero; ``"cross-entropy"``:
        whose curvature goes there with it, so that whoever trains further is flatter.
    """

    network: Network
    loss: Loss

    @property
    def name(self) -> str:
        """Heading, and beginning of the names of its files."""
        return f"{self.network}-{self.loss}"

    @property
    def unit(self) -> str:
        """Unit of the loss."""
        return "nats" if self.loss == "cross-entropy" else "half squared error"


_DENSE = (Case("mlp", "squared"), Case("mlp", "cross-entropy"))


@dataclasses.dataclass(frozen=True)
class Config:
    """One size of the experiment.

    Attributes:
      seeds: number of seeds; each has its own split, initialisation, order of batches
        and random directions, the same for all methods.
      steps: optimizer steps.
      cases: networks and losses.
      first_seed: the first of consecutive seeds.
      train_examples: examples trained on; the landscapes are theirs.
      validation_examples: examples on which settings are chosen; the rest is the test.
      batch_size: examples in a batch of training.
      width: units of each hidden layer of the perceptron.
      depth: number of its hidden layers.
      channels: channels of the convolutions of the small convolutional network.
      dense: units of its dense layer.
      momentum: momentum of SGD, also under SAM and mSAM.
      learning_rate: step size of SAM and mSAM before the cosine; they tune their
        radius.
      rates: step sizes of SGD to choose from.
      adam_rates: step sizes of the Adams to choose from.
      radii: radii of SAM to choose from.
      shard_radii: radii of mSAM to choose from.
      num_shards: shards of mSAM.
      memories: critical momenta that Adam+CM keeps.
      points: points along an axis of a landscape, odd.
      filter_reach: largest step along filter-normalised directions, in the norms of
        the filters.
      rise: how much the unit step along Hessian directions raises the quadratic model
        of SGD's loss, in units of the loss.
      hessian_reach: largest step along Hessian directions, in these unit steps.
      directions: random directions for each seed.
      noise: how far the average-direction sharpness goes from the minimum: root mean
        square change of a weight.
      filter_step: step along filter-normalised directions at which the rise of the
        loss is told.
      lanczos_steps: Hessian products at most for the two largest eigenvalues.
      confidence: confidence of the intervals.
    """

    seeds: int
    steps: int
    cases: tuple[Case, ...] = _DENSE
    first_seed: int = 0
    train_examples: int = 400
    validation_examples: int = 400
    batch_size: int = 32
    width: int = 100
    depth: int = 2
    channels: tuple[int, ...] = (8, 16)
    dense: int = 32
    momentum: float = 0.9
    learning_rate: float = 0.05
    rates: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2)
    adam_rates: tuple[float, ...] = (1e-3, 2e-3, 5e-3, 1e-2)
    radii: tuple[float, ...] = (0.05, 0.1, 0.2, 0.5)
    shard_radii: tuple[float, ...] = (0.05, 0.1, 0.2, 0.5)
    num_shards: int = 4
    memories: int = 5
    points: int = 21
    filter_reach: float = 1.0
    rise: float = 0.5
    hessian_reach: float = 2.0
    directions: int = 8
    noise: float = 0.03
    filter_step: float = 0.2
    lanczos_steps: int = 40
    confidence: float = 0.95


CONFIGS = {
    "quick": Config(seeds=4, steps=400, directions=6),
    "full": Config(
        seeds=8,
        steps=600,
        cases=(
            *_DENSE,
            Case("convnet", "squared"),
            Case("convnet", "cross-entropy"),
        ),
        points=31,
        directions=16,
    ),
}
