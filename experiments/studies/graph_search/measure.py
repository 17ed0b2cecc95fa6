"""The best networks of all searches, and known layers beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.harness.store import Store
from experiments.studies.graph_search.config import Config
from experiments.studies.graph_search.training import (
    LAYERS,
    Nodes,
    Trainer,
    cells,
    nodes_of,
    space,
)
from experiments.studies.small_data import all_digits
from jaxopt_lab.layers.graph.searchable_conv import GraphCell, graph_cell
from jaxopt_lab.search import (
    Search,
    conservative_explorer,
    random_search,
    regularized_evolution,
    run,
)

EXPLORER, EVOLUTION, RANDOM = SEARCHES = ("explorer", "evolution", "random")
KNOWN = {"GCN": ("gcn", "sum", "relu"), "GAT": ("gat", "sum", "elu")}
"""Attention, aggregate and activation of both layers, of the largest width."""


class Measured(NamedTuple):
    """Everything that is measured.

    Attributes:
      curve: the best validation accuracy so far, by search, ``(seeds, budget)``.
      test: mean test accuracy of the best candidate, trained from other starts, by
        search; and of the known layers; ``(seeds,)``.
      best: the candidate of the best validation accuracy of all seeds, by search.
      compilations: of the program that trains; one for all candidates.
    """

    curve: Mapping[str, np.ndarray]
    test: Mapping[str, np.ndarray]
    best: Mapping[str, str]
    compilations: int


def measure(config: Config, store: Store) -> Measured:
    """Search for every seed; see ``Experiment.measure``."""
    whole = all_digits()
    inputs, labels = np.asarray(whole.inputs), np.asarray(whole.labels)
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    graphs = {seed: nodes_of(config, seed, inputs, labels) for seed in seeds}
    trainer = Trainer(config)
    rows, found = store.group("runs"), {}
    for name, search in searches(config).items():
        take = lambda s=search: _searched(s, trainer, graphs, config)
        found[name] = rows.measured(name, take)
    for name, functions in KNOWN.items():
        cell = graph_cell(*functions, config.units)
        take = lambda c=cell: _known(c, trainer, graphs, config)
        found[name] = rows.measured(name, take)
    return Measured(
        {name: np.asarray(found[name]["curve"]) for name in SEARCHES},
        {name: np.asarray(row["test"]) for name, row in found.items()},
        {name: str(found[name]["best"]) for name in SEARCHES},
        max(int(row["compilations"]) for row in found.values()),
    )


def searches(config: Config) -> dict[str, Search]:
    """The searches by name.

    Args:
      config: the size of the study.

    Returns:
      All over the same space.
    """
    own = space(config)
    return {
        EXPLORER: conservative_explorer(
            own, changed=config.changed, learning_rate=config.learning_rate
        ),
        EVOLUTION: regularized_evolution(
            own, population=config.population, tournament=config.tournament
        ),
        RANDOM: random_search(own),
    }


def _searched(
    search: Search, trainer: Trainer, graphs: Mapping[int, Nodes], config: Config
) -> dict[str, Any]:
    curves, tests, best = [], [], (-1.0, "")
    for seed, nodes in graphs.items():
        scores: list[float] = []

        def score(candidate: Any, seed: int = seed, nodes: Nodes = nodes) -> float:
            scores.append(trainer.train(cells(candidate), seed, nodes).valid)  # noqa: B023
            return scores[-1]  # noqa: B023

        state = run(search, score, jax.random.key(seed), config.budget)
        curves.append(np.maximum.accumulate(scores))
        tests.append(_tested(trainer, cells(state["best"]), seed, nodes, config))
        written = "; ".join(
            " ".join(
                f"{state['best'][f'{n}_{i}']}"
                for n in ("attention", "aggregate", "activation", "width")
            )
            for i in range(LAYERS)
        )
        best = max(best, (state["score"], written))
    return {
        "curve": np.array(curves),
        "test": np.array(tests),
        "best": best[1],
        "compilations": trainer.compilations,
    }


def _known(
    cell: GraphCell, trainer: Trainer, graphs: Mapping[int, Nodes], config: Config
) -> dict[str, Any]:
    tests = [
        _tested(trainer, (cell,) * LAYERS, seed, nodes, config)
        for seed, nodes in graphs.items()
    ]
    return {"test": np.array(tests), "compilations": trainer.compilations}


def _tested(
    trainer: Trainer,
    chosen: tuple[GraphCell, ...],
    seed: int,
    nodes: Nodes,
    config: Config,
) -> float:
    # Other starts than those of the search.
    starts = (10_000 + config.again * seed + i for i in range(config.again))
    return float(np.mean([trainer.train(chosen, s, nodes).test for s in starts]))
