"""The numbers of the study on network-to-network compression."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("reinforce",)

PAPER = "Ashok et al. 2018, arXiv:1709.06030"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study, smaller than the paper's for the processor time.

    The policies have a distribution for each action, not recurrent networks over the
    layers: another teacher must have as many layers. A student begins with the weights
    of its teacher, cut to its sizes, and learns the teacher's probabilities: from
    random weights and on logits, as in the paper, students of eight layers learned
    nothing in so few steps (a first run had test accuracies of 52 to 61 %, from which
    no claim could be decided).

    Attributes:
      layers: convolutions of both teachers, the first of which is strided.
      units: channels of all of them, in the teacher.
      other_units: in the teacher to which the policy is transferred.
      valid: examples of the rewards.
      batch: examples of a step.
      rate: of Adam, for all networks.
      rollouts: students between two points of the tables' epochs.
      epochs: of a policy.
      last: epochs at the end whose rewards are compared.
      learning_rate: of the policies.
      steps: of a student that is scored.
      long: of a teacher, and of the best student of a search.
    """

    layers: int = 6
    units: int = 16
    other_units: int = 12
    valid: int = 300
    batch: int = 32
    rate: float = 5e-3
    rollouts: int = 3
    epochs: int = 10
    last: int = 5
    learning_rate: float = 0.3
    steps: int = 60
    long: int = 400


SIZES = {
    QUICK: Config(
        seeds=2,
        layers=3,
        units=4,
        other_units=3,
        batch=8,
        rollouts=1,
        epochs=3,
        last=2,
        steps=2,
        long=4,
    ),
    STANDARD: Config(seeds=5),
}
