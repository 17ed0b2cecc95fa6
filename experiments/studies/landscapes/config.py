"""The numbers of the study on minima side by side."""

from __future__ import annotations

import dataclasses
from typing import Literal, NamedTuple

from experiments.studies.samples import Sizes
from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("sam", "msam", "adam_cm", "top_eigenvalues")

Network = Literal["mlp", "convnet"]
Loss = Literal["squared", "cross-entropy"]


class Case(NamedTuple):
    """A network and its loss.

    Attributes:
      network: name of the network.
      loss: ``"squared"``: half the squared distance to the one-hot label, whose
        curvature stays while the training loss goes to zero; ``"cross-entropy"``:
        whose curvature goes to zero with it, so that longer training looks flatter.
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study.

    A seed has its own split, initialisation, order of batches and random directions,
    the same for all methods.

    Attributes:
      steps: optimizer steps.
      cases: networks and losses.
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
      rise: rise of the quadratic model of SGD's loss after the unit step along Hessian
        directions, in units of the loss.
      hessian_reach: largest step along Hessian directions, in these unit steps.
      directions: random directions for each seed.
      noise: distance of the average-direction sharpness from the minimum: root mean
        square change of a weight.
      filter_step: step along filter-normalised directions at which the rise of the
        loss is told.
      lanczos_steps: Hessian products at most for the two largest eigenvalues.
    """

    steps: int
    cases: tuple[Case, ...] = _DENSE
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

    @property
    def sizes(self) -> Sizes:
        """Numbers of examples; the test has all that are left."""
        return Sizes(
            self.train_examples, self.validation_examples, None, self.batch_size
        )


SIZES = {
    QUICK: Config(
        seeds=2,
        steps=60,
        cases=_DENSE[:1],
        directions=2,
        points=7,
        rates=(0.05, 0.1),
        adam_rates=(2e-3, 5e-3),
        radii=(0.1, 0.2),
        shard_radii=(0.1, 0.2),
        lanczos_steps=20,
    ),
    # Planned with 8 seeds, 600 steps, finer landscapes and both losses of the
    # convolutional network, which trains run by run: over twenty minutes. Reduced
    # before any verdict was seen.
    STANDARD: Config(seeds=5, steps=300, points=15),
}
