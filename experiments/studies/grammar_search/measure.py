"""The best architectures of all searches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.harness.store import Store
from experiments.studies.grammar_search.config import GRAMMAR, Config
from experiments.studies.grammar_search.training import (
    SHAPE,
    Trainer,
    residual_network,
)
from experiments.studies.programs import digits
from experiments.studies.small_data import parts
from jaxopt_lab.search import (
    Search,
    as_text,
    count_parameters,
    einspace_evolution,
    from_text,
    run,
)

SEEDED, SCRATCH, RANDOM = SEARCHES = ("seeded", "scratch", "random")
START = "residual network"


class Measured(NamedTuple):
    """Everything that is measured.

    Attributes:
      curve: the best validation accuracy so far, by search, ``(seeds, budget)``.
      test: mean test accuracy of the best candidate, trained from other starts, by
        search; and of the network that seeds one of them; ``(seeds,)``.
      parameters: of the best candidates, by search, without the last layer.
      best: the candidate of the best validation accuracy of all seeds, by search.
      compilations: of all searches of a seed together, ``(seeds,)``.
    """

    curve: Mapping[str, np.ndarray]
    test: Mapping[str, np.ndarray]
    parameters: Mapping[str, np.ndarray]
    best: Mapping[str, str]
    compilations: np.ndarray


def measure(config: Config, store: Store) -> Measured:
    """Search for every seed; see ``Experiment.measure``."""
    rows, found = store.group("runs"), []
    for seed in range(config.first_seed, config.first_seed + config.seeds):
        take = lambda s=seed: _of_seed(config, s)
        found.append(rows.measured(f"seed {seed}", take))
    of = lambda name: np.array([row[name] for row in found])
    curve = {name: of(f"{name} curve") for name in SEARCHES}
    best = {}
    for name, own in curve.items():
        best[name] = str(found[int(np.argmax(own[:, -1]))][f"{name} best"])
    return Measured(
        curve,
        {name: of(f"{name} test") for name in (*SEARCHES, START)},
        {name: of(f"{name} parameters") for name in SEARCHES},
        best,
        of("compilations"),
    )


def searches(config: Config) -> dict[str, Search]:
    """The searches by name.

    Args:
      config: the size of the study.

    Returns:
      All over the same grammar. Random draws and the evolution from scratch begin with
      the same candidates.
    """

    def make(population: int, **more: Any) -> Search:
        return einspace_evolution(
            SHAPE,
            population=population,
            tournament=config.tournament,
            grammar=GRAMMAR,
            **more,
        )

    return {
        SEEDED: make(config.population, starts=[residual_network()]),
        SCRATCH: make(config.population),
        RANDOM: make(config.budget),
    }


def _of_seed(config: Config, seed: int) -> dict[str, Any]:
    train, test = digits()
    valid, rest = parts(jax.random.key(seed), train, config.valid)
    held, trainer = (valid, test), Trainer(config)
    known: dict[str, float] = {}

    def score(candidate: Any) -> float:
        # Equal candidates of two searches have equal scores.
        text = candidate["architecture"]
        if text not in known:
            known[text] = trainer.train(text, seed, rest, held).valid
        return known[text]

    def tested(text: str) -> float:
        starts = (10_000 + config.again * seed + i for i in range(config.again))
        return float(np.mean([trainer.train(text, s, rest, held).test for s in starts]))

    found: dict[str, Any] = {f"{START} test": tested(as_text(residual_network()))}
    for name, search in searches(config).items():
        scores: list[float] = []

        def kept(candidate: Any, scores: list[float] = scores) -> float:
            scores.append(score(candidate))
            return scores[-1]

        best = run(search, kept, jax.random.key(seed), config.budget)["best"]
        text = best["architecture"]
        found[f"{name} curve"] = np.maximum.accumulate(scores)
        found[f"{name} test"] = tested(text)
        found[f"{name} parameters"] = count_parameters(from_text(text), SHAPE)
        found[f"{name} best"] = text
    return {**found, "compilations": trainer.compilations}
