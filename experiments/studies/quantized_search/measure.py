"""Hypervolumes of accuracy and bit operations for every search."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness.store import Store
from experiments.studies.dense_nets import accuracy
from experiments.studies.programs import digits, over_seeds
from experiments.studies.quantized_search import elastic, gradients
from experiments.studies.quantized_search.config import Config
from jaxopt_lab.search import hypervolume, linas, nsga2, random_search, run

ARMS = ("LINAS", "NSGA-II", "random", "bits alone", "sizes alone")
_LOWEST = 0.1
_MOST = gradients.EDGES * gradients.MACS[0] * max(gradients.BITS) ** 2


class Measured(NamedTuple):
    """Everything that is measured.

    Attributes:
      volume: by arm of SimQ-NAS, after every measurement, ``(seeds, evaluations)``.
      front: by arm, scores of the first seed, ``(evaluations, 2)``: accuracy, and minus
        the binary logarithm of the bit operations.
      gradient_volume: by search of QuantNAS, ``(seeds,)``.
      points: by search, accuracy and bit operations, ``(seeds, costs, 2)``.
    """

    volume: Mapping[str, np.ndarray]
    front: Mapping[str, np.ndarray]
    gradient_volume: Mapping[str, np.ndarray]
    points: Mapping[str, np.ndarray]


def measure(config: Config, store: Store) -> Measured:
    """Search in all ways; see ``Experiment.measure``."""
    train, test = digits()
    rows = store.group("runs")
    found = rows.measured("sub-networks", lambda: _sub_networks(config, train, test))
    points = {}
    for kind in gradients.DIRECT:
        take = lambda k=kind: {"points": _by_gradients(config, k, train, test)}
        points[kind] = np.asarray(rows.measured(kind, take)["points"])
    scores = {arm: np.asarray(found[arm]) for arm in ARMS}
    volume = {
        arm: np.array([grown(own, elastic.MOST) for own in each])
        for arm, each in scores.items()
    }
    of_points = {
        kind: np.array([grown(_scored(own), 1.0)[-1] for own in each])
        for kind, each in points.items()
    }
    return Measured(volume, {a: s[0] for a, s in scores.items()}, of_points, points)


def grown(scores: np.ndarray, most: float) -> np.ndarray:
    """The hypervolume of the first points, for every number of them.

    Args:
      scores: ``(n, 2)``, accuracy and minus the work, or minus its logarithm.
      most: the largest work, or its logarithm.

    Returns:
      ``(n,)``; 1 for a perfect accuracy without work.
    """
    shown = scores.astype(float)
    whole = (1 - _LOWEST) * most
    parts = [hypervolume(shown[: i + 1], (_LOWEST, -most)) for i in range(len(shown))]
    return np.array(parts) / whole


def _scored(points: np.ndarray) -> np.ndarray:
    return np.stack([points[:, 0], -points[:, 1] / _MOST], axis=1)


def _sub_networks(config: Config, train: Any, test: Any) -> dict[str, np.ndarray]:
    nets = over_seeds(
        lambda key, train: elastic.supernet(config, key, train),
        config,
        train,
        loop=True,
    )

    @jax.jit
    def tested(params: Any, arch: Any, test: Any) -> jax.Array:
        scores = elastic.outputs(params, arch, test.inputs, exact=False)
        return accuracy(scores, test.labels)

    found: dict[str, list[Any]] = {arm: [] for arm in ARMS}
    for i in range(config.seeds):
        params = jax.tree.map(lambda a, i=i: jnp.asarray(a[i]), nets)
        for arm in ARMS:
            scores: list[tuple[float, float]] = []

            def score(candidate: Any, arm: str = arm, scores: Any = scores) -> Any:
                fixed = {
                    "bits alone": elastic.LARGEST,
                    "sizes alone": elastic.EIGHT,
                }.get(arm, {})
                arch = {**candidate, **fixed}
                share = float(tested(params, elastic.as_arrays(arch), test))  # noqa: B023
                scores.append((share, -math.log2(elastic.bit_work(arch))))
                return scores[-1] if arm != "random" else share

            key = jax.random.key(config.first_seed + i)
            run(_driver(arm, config), score, key, config.evaluations)
            found[arm].append(scores)
    return {arm: np.array(scores) for arm, scores in found.items()}


def _driver(arm: str, config: Config) -> Any:
    space = dict(elastic.SPACE)
    if arm in ("bits alone", "sizes alone"):
        fixed = elastic.LARGEST if arm == "bits alone" else elastic.EIGHT
        space = {n: d for n, d in space.items() if n not in fixed}
    if arm == "random":
        return random_search(space)
    if arm == "NSGA-II":
        return nsga2(space, population=config.population)
    active = elastic.active if arm == "LINAS" else None
    sizes = {"population": config.population, "generations": config.generations}
    return linas(space, active=active, **sizes)


def _by_gradients(config: Config, kind: str, train: Any, test: Any) -> np.ndarray:
    costs = jnp.asarray(config.costs, jnp.float32)

    def one(key: jax.Array, train: Any, test: Any) -> jax.Array:
        def at(cost: jax.Array) -> jax.Array:
            logits = gradients.searched(config, kind, cost, key, train)
            return jnp.stack(gradients.retrained(config, logits, key, train, test))

        return jax.lax.map(at, costs)

    return over_seeds(one, config, train, test, loop=True)
