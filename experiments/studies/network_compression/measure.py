"""Rewards of policies and of random actions, and the students that they find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness.store import Store
from experiments.studies.network_compression.config import Config
from experiments.studies.network_compression.masked import (
    CLASSES,
    Result,
    Told,
    Trainer,
    as_chain,
    initial,
)
from experiments.studies.programs import digits
from experiments.studies.small_data import parts
from jaxopt_lab.search import (
    ConvSpec,
    Search,
    apply_actions,
    chain_parameters,
    compression_reward,
    random_search,
    reinforce,
    removal_space,
    run,
    shrink_space,
)
from jaxopt_lab.search.space import Space

POLICY, RANDOM = SEARCHES = ("policy", "random")
STAGES = ("removal", "shrinkage")
TRANSFERRED, FRESH = TRANSFERS = ("transferred", "fresh")
TEACHER = "teacher"
Specs = tuple[ConvSpec, ...]


class Measured(NamedTuple):
    """Everything that is measured.

    Attributes:
      reward: of the students, by stage and search, ``(seeds, students)``.
      transfer: of the removals for the other teacher, by policy at the start.
      best: the best reward of both stages, by search, ``(seeds,)``.
      ratio: parameters of the teacher over those of the best student, by search.
      accuracy: on the test, of the teacher and the best students, trained for long.
      table: the best student of all seeds, by search.
      compilations: of programs that train; of students and of long runs.
    """

    reward: Mapping[str, Mapping[str, np.ndarray]]
    transfer: Mapping[str, np.ndarray]
    best: Mapping[str, np.ndarray]
    ratio: Mapping[str, np.ndarray]
    accuracy: Mapping[str, np.ndarray]
    table: Mapping[str, str]
    compilations: int


def chain(config: Config, units: int) -> Specs:
    """The table of a teacher.

    Args:
      config: the size of the study.
      units: channels of every layer.

    Returns:
      The table; the first layer halves both sides.
    """
    return (ConvSpec(3, units, 2), *[ConvSpec(3, units)] * (config.layers - 1))


def measure(config: Config, store: Store) -> Measured:
    """Compress for every seed; see ``Experiment.measure``."""
    trainer, rows, found = Trainer(config), store.group("runs"), []
    for seed in range(config.first_seed, config.first_seed + config.seeds):
        take = lambda s=seed: _of_seed(config, s, trainer)
        found.append(rows.measured(f"seed {seed}", take))
    of = lambda name: np.array([row[name] for row in found])
    table = {}
    for name in SEARCHES:
        place = int(np.argmax(of(f"{name} best")))
        table[name] = str(found[place][f"{name} table"])
    return Measured(
        {s: {n: of(f"{n} {s}") for n in SEARCHES} for s in STAGES},
        {name: of(name) for name in TRANSFERS},
        {name: of(f"{name} best") for name in SEARCHES},
        {name: of(f"{name} ratio") for name in SEARCHES},
        {name: of(f"{name} accuracy") for name in (TEACHER, *SEARCHES)},
        table,
        max(int(row["compilations"]) for row in found),
    )


class Student(NamedTuple):
    """A table, and where its layers were in the teacher.

    Attributes:
      specs: the table.
      places: of its layers.
    """

    specs: Specs
    places: tuple[int, ...]


class Task:
    """A teacher, and the rewards of its students.

    Args:
      config: the size of the study.
      seed: of everything.
      units: channels of the teacher.
      trainer: of all networks.
    """

    def __init__(self, config: Config, seed: int, units: int, trainer: Trainer):
        self.config, self.seed, self.trainer = config, seed, trainer
        train, test = digits()
        valid, rest = parts(jax.random.key(seed), train, config.valid)
        self.specs, self.held = chain(config, units), (valid, test)
        labels = Told(rest.inputs, jax.nn.one_hot(rest.labels, CLASSES))
        start = initial(seed, self.specs, config.units)
        every = range(config.layers)
        whole = as_chain(self.specs, every, config.layers)
        self.teacher = trainer.train(whole, start, seed, labels, self.held, long=True)
        self.told = labels._replace(goals=jnp.asarray(self.teacher.goals))

    def student(self, student: Student, *, long: bool = False) -> Result:
        """A student that begins with the weights of the teacher and learns from it.

        Args:
          student: its table.
          long: whether as long as a teacher.

        Returns:
          What came of it.
        """
        chain = as_chain(student.specs, student.places, self.config.layers)
        start, seed = self.teacher.params, self.seed + (10_000 if long else 0)
        return self.trainer.train(chain, start, seed, self.told, self.held, long=long)

    def reward(self, specs: Sequence[ConvSpec], accuracy: float) -> float:
        """The reward of a student.

        Args:
          specs: its table.
          accuracy: on the examples for the rewards.

        Returns:
          The reward.
        """
        whole = max(self.teacher.valid, 1 / self.config.valid)
        return compression_reward(accuracy, whole, _count(specs), _count(self.specs))

    def searched(self, make: Any, space: Space, before: Student) -> tuple[Any, Any]:
        """Students of one stage.

        Args:
          make: makes the search of a space.
          space: of the actions.
          before: the student on which they act.

        Returns:
          The last state of the search, and the rewards in their order.
        """
        rewards: list[float] = []

        def score(actions: Any) -> float:
            student = after(before, actions)
            found = self.student(student)
            rewards.append(self.reward(student.specs, found.valid))
            return rewards[-1]

        count = self.config.epochs * self.config.rollouts
        state = run(make(space), score, jax.random.key(self.seed), count)
        return state, np.array(rewards)


def after(student: Student, actions: Mapping[str, Any]) -> Student:
    """A student after removals and shrinkages.

    Args:
      student: before.
      actions: by the places in its own table, see ``apply_actions``.

    Returns:
      The student.
    """
    kept = [p for i, p in enumerate(student.places) if actions.get(f"keep_{i}", True)]
    return Student(apply_actions(student.specs, actions), tuple(kept))


def _count(specs: Sequence[ConvSpec]) -> int:
    return chain_parameters(specs, 1, CLASSES)


def _of_seed(config: Config, seed: int, trainer: Trainer) -> dict[str, Any]:
    task = Task(config, seed, config.units, trainer)
    policy = lambda space: reinforce(space, learning_rate=config.learning_rate)
    found: dict[str, Any] = {f"{TEACHER} accuracy": task.teacher.test}
    taught: Any = None
    for name, make in ((POLICY, policy), (RANDOM, random_search)):
        whole = Student(task.specs, tuple(range(config.layers)))
        removed, rewards = task.searched(make, removal_space(task.specs), whole)
        found[f"{name} {STAGES[0]}"] = rewards
        taught = removed if name == POLICY else taught
        best = after(whole, removed["best"])
        shrunk, rewards = task.searched(make, shrink_space(best.specs), best)
        found[f"{name} {STAGES[1]}"] = rewards
        # Nothing shrunk may be better than all that was tried.
        if shrunk["score"] > removed["score"]:
            best = after(best, shrunk["best"])
        last = task.student(best, long=True)
        found[f"{name} best"] = max(shrunk["score"], removed["score"])
        found[f"{name} ratio"] = _count(task.specs) / _count(best.specs)
        found[f"{name} accuracy"] = last.test
        found[f"{name} table"] = ", ".join(
            f"{s.kernel} x {s.kernel} to {s.outputs}" for s in best.specs
        )
    other = Task(config, seed, config.other_units, trainer)

    def transferred(space: Space) -> Search:
        search = policy(space)
        start = {**search.init(), "logits": taught["logits"]}
        return search._replace(init=lambda: start)

    for name, make in ((TRANSFERRED, transferred), (FRESH, policy)):
        space = removal_space(other.specs)
        whole = Student(other.specs, tuple(range(config.layers)))
        found[name] = other.searched(make, space, whole)[1]
    return {**found, "compilations": trainer.compilations}
