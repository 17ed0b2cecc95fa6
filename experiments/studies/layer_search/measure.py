"""The best layers of both searches, and known layers beside them."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.harness.store import Store
from experiments.studies import programs
from experiments.studies.layer_search.config import Config
from experiments.studies.layer_search.training import Held, Trainer
from jaxopt_lab.search import (
    as_genome,
    genome_of,
    genome_space,
    random_search,
    regularized_evolution,
    run,
)

EVOLUTION, RANDOM = SEARCHES = ("evolution", "random search")
KNOWN = {
    "GN-ReLU": genome_of(
        ("mean_hwg", "x", "x"),
        ("neg", 0, 0),
        ("add", "x", 1),
        ("std_hwg", "x", "x"),
        ("div", 2, 3),
        ("max", 4, "zero"),
    ),
    "EvoNorm-S0": genome_of(
        ("mul", "x", "v1"),
        ("sigmoid", 0, 0),
        ("mul", "x", 1),
        ("std_hwg", "x", "x"),
        ("abs", 3, 3),
        ("div", 2, 4),
    ),
}
"""Genomes of six nodes; one of EvoNorm-S0's does nothing."""


class Measured(NamedTuple):
    """Everything that is measured; ``(seeds,)`` each.

    Attributes:
      best: validation accuracy of the best candidate, by search.
      steps: of all candidates of a search, over those without rejection.
      test: mean test accuracy of the best layers, trained from other starts, by search;
        and of the known layers.
      genome: of the best layers, by search, ``(seeds, nodes, 3)``.
    """

    best: dict[str, np.ndarray]
    steps: dict[str, np.ndarray]
    test: dict[str, np.ndarray]
    genome: dict[str, np.ndarray]


def measure(config: Config, store: Store) -> Measured:
    """Search for every seed; see ``Experiment.measure``."""
    train, test = programs.digits()
    count = len(test.labels)
    valid, rest = (
        Held(*jax.tree.map(lambda x, s=s: x[s], tuple(train)))
        for s in (slice(count), slice(count, None))
    )
    trainer, last = Trainer(rest, config), Held(*test)
    # Examples independent of each other: the judged data need no stored statistics.
    space = genome_space(config.nodes, batch_axes=False)
    sizes = {"population": config.population, "tournament": config.tournament}
    searches = {
        EVOLUTION: regularized_evolution(space, **sizes),
        RANDOM: random_search(space),
    }
    rows, found = store.group("searches"), {}
    for name, search in searches.items():
        take = lambda s=search: _searched(s, trainer, valid, last, config)
        found[name] = rows.measured(name, take)
    for name, genome in KNOWN.items():
        take = lambda g=genome: {"test": _tested(trainer, [g], last, config)}
        found[name] = rows.measured(name, take)
    of = lambda key: {n: row[key] for n, row in found.items() if key in row}
    return Measured(of("best"), of("steps"), of("test"), of("genome"))


def _searched(
    search: Any, trainer: Trainer, valid: Held, test: Held, config: Config
) -> dict[str, np.ndarray]:
    best, steps, genomes = [], [], []
    for seed in range(config.first_seed, config.first_seed + config.seeds):
        done = 0

        def score(candidate: Any, seed: int = seed) -> float:
            nonlocal done
            found = trainer.train(as_genome(candidate), seed, valid)
            done += found.steps
            return found.accuracy

        state = run(search, score, jax.random.key(seed), config.budget)
        best.append(state["score"])
        genomes.append(as_genome(state["best"]))
        steps.append(done / (config.budget * (config.first + config.rest)))
    return {
        "best": np.array(best),
        "steps": np.array(steps),
        "test": _tested(trainer, genomes, test, config),
        "genome": np.stack(genomes),
    }


def _tested(
    trainer: Trainer, genomes: list[np.ndarray], test: Held, config: Config
) -> np.ndarray:
    """Test accuracies for every seed, of its own genome or of the one for all."""
    means = []
    for i in range(config.seeds):
        genome = genomes[i % len(genomes)]
        # Other starts than those of the search.
        starts = [
            10_000 + config.again * (config.first_seed + i) + j
            for j in range(config.again)
        ]
        runs = [trainer.train(genome, s, test, reject=False).accuracy for s in starts]
        means.append(np.mean(runs))
    return np.array(means)
