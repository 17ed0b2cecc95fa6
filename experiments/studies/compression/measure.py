"""Accuracies at every budget, by method."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness.store import Store
from experiments.studies import dense_nets, programs
from experiments.studies.compression import dense_arms, expert_arms
from experiments.studies.compression.config import Config
from experiments.studies.compression.sizes import widths
from experiments.studies.programs import Labelled

SMALL, UNITS, SORTED = (
    "trained at its width",
    "units of the largest weights",
    "SortedNet",
)
VALUES, MAESTRO, EVERY = "singular values", "Maestro", "Maestro, ranks of all layers"
MERGED, PRUNED = "MC-SMoE", "most used experts"
METHODS = SMALL, UNITS, SORTED, VALUES, MAESTRO, EVERY, PRUNED, MERGED


class Measured(NamedTuple):
    """Everything that is measured on the test set.

    Attributes:
      accuracy: ``{method: (budgets, seeds)}``.
      whole: of the networks before, ``{network: (seeds,)}``.
    """

    accuracy: dict[str, np.ndarray]
    whole: dict[str, np.ndarray]


def measure(config: Config, store: Store) -> Measured:
    """Train, cut and test; see ``Experiment.measure``."""
    data, rows = programs.digits(), store.group("runs")
    runs = {"cut": _cut, "small": _small, "maestro": _maestro}
    found: dict[str, np.ndarray] = {}
    for name, run in runs.items():
        bound = lambda key, *sets, run=run: run(config, key, *sets)
        take = lambda bound=bound: programs.over_seeds(bound, config, *data)
        found.update(rows.measured(name, take))
    found.update(rows.measured("experts", lambda: _experts(config, *data)))
    whole = {n: found.pop(n) for n in ("dense", "sorted, whole", "mixture")}
    return Measured({n: np.asarray(found[n]).T for n in METHODS}, whole)


def _cut(
    config: Config, key: jax.Array, train: Labelled, test: Labelled
) -> dict[str, Any]:
    keys = jax.random.split(key)
    plain = dense_arms.plain(config, keys[0], train, config.width)
    nested = dense_arms.sorted_net(config, keys[1], train)
    pairs = []
    for w in plain.values():
        u, v = dense_arms.factors(w, min(w.shape))
        pairs.append({"u": u, "v": v})
    score = lambda p: dense_nets.accuracy(
        dense_arms.scores(p, test.inputs), test.labels
    )
    return {
        UNITS: dense_arms.cut_widths(config, dense_arms.by_norm(plain), test),
        SORTED: dense_arms.cut_widths(config, nested, test),
        VALUES: dense_arms.cut_ranks(config, pairs, test),
        "dense": score(plain),
        "sorted, whole": score(nested),
    }


def _small(
    config: Config, key: jax.Array, train: Labelled, test: Labelled
) -> dict[str, Any]:
    found = []
    for i, width in enumerate(widths(config)):
        params = dense_arms.plain(config, jax.random.fold_in(key, i), train, width)
        scores = dense_arms.scores(params, test.inputs)
        found.append(dense_nets.accuracy(scores, test.labels))
    return {SMALL: jnp.stack(found)}


def _maestro(
    config: Config, key: jax.Array, train: Labelled, test: Labelled
) -> dict[str, Any]:
    found = {}
    for name, every in ((MAESTRO, False), (EVERY, True)):
        params = dense_arms.maestro(config, key, train, every=every)
        found[name] = dense_arms.cut_ranks(config, params, test)
    return found


def _experts(config: Config, train: Labelled, test: Labelled) -> dict[str, Any]:
    run = lambda key, train: expert_arms.trained(config, key, train)
    whole, logits = programs.over_seeds(run, config, train)
    of = lambda i: jax.tree.map(lambda a: jnp.asarray(a[i]), whole)
    score = lambda p, test: dense_nets.accuracy(
        expert_arms.scores(config, p, test.inputs), test.labels
    )
    found: dict[str, list[Any]] = {MERGED: [], PRUNED: []}
    for place, groups in enumerate(config.groups):
        parts = [
            expert_arms.grouped(of(i), logits[i], groups) for i in range(config.seeds)
        ]
        small = jax.tree.map(lambda *x: jnp.stack([*map(jnp.asarray, x)]), *parts)

        def tuned(key: jax.Array, own: Any, *data: Any, place: int = place) -> Any:
            whole, small = own
            train, test = data
            made = {}
            for name, kind in ((MERGED, "merged"), (PRUNED, "pruned")):
                net = expert_arms.distilled(config, whole, small[kind], key, train)
                net = expert_arms.compressed(config, net, place)
                made[name] = score(expert_arms.spread(net, small[kind]), test)
            return made

        row = programs.over_seeds(tuned, config, train, test, own=(whole, small))
        for name, values in row.items():
            found[name].append(values)
    mixture = np.asarray(jax.jit(jax.vmap(score, (0, None)))(whole, test))
    return {"mixture": mixture, **{n: np.stack(v, 1) for n, v in found.items()}}
