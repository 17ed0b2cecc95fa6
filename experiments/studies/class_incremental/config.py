"""The numbers of the study on class-incremental learning."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("replay", "podnet", "ghost")

POD = "Douillard et al. 2020, arXiv:2004.13513 (PODNet)"
GHOST = "Douillard et al. 2020, Insights from the Future for Continual Learning"
REPLAY = "Chaudhry et al. 2019, arXiv:1902.10486"

TASKS, NEW = 5, 2
"""Number of tasks, and new classes of each."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study.

    Dense networks on digits alone, for the processor time. Simpler than the papers':
    every arm has the same memory, a reservoir instead of chosen exemplars; old proxies
    are trained on, and the classifier is not tuned on a balanced memory at the end of a
    task; ghosts are those of the next task alone, and the first come from a generator
    that has seen two classes, where the paper starts with many. Every arm has the rate
    of PODNet's paper.

    Attributes:
      memory: examples of all classes together that are kept.
      width: hidden units.
      features: of the classifier.
      proxies: of a class.
      batch: new examples of a step, beside as many from the memory.
      steps: of a task.
      rate: learning rate at the start of a task, which falls along a cosine.
      imprint: examples of a new class from which its proxies start.
      noise: normal numbers of the ghosts' generator.
      fit: steps of the generator in a task, by Adam.
      drop: by how much fine-tuning shall forget the first task.
    """

    memory: int = 50
    width: int = 64
    features: int = 32
    proxies: int = 3
    batch: int = 32
    steps: int = 150
    rate: float = 0.1
    imprint: int = 100
    noise: int = 8
    fit: int = 100
    drop: float = 0.1


SIZES = {
    QUICK: Config(seeds=2, width=16, features=8, batch=8, steps=10, fit=5),
    STANDARD: Config(seeds=8),
}
