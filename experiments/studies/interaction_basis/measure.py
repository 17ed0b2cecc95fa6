"""Networks, their bases, and the shares of interactions that hold the strength."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies import dense_nets, programs
from experiments.studies.interaction_basis.bases import (
    BASES,
    Layers,
    first,
    other_coordinates,
    then,
)
from experiments.studies.interaction_basis.config import Config
from jaxopt_lab.diagnostics import Basis, edge_share, folded_layer, interaction_edges


class Measured(NamedTuple):
    """Everything that is measured.

    Attributes:
      shares: of the interactions that hold the strength, ``{basis: (seeds, layers)}``.
      counts: the numbers of these interactions, likewise.
      moved: largest change of a share with other coordinates of a hidden layer,
        ``{basis: (seeds,)}``.
      eigenvalues: largest change of an eigenvalue of the local interaction basis, over
        the largest eigenvalue, ``(seeds,)``.
      accuracy: of the networks on the test images, ``(seeds,)``.
    """

    shares: dict[str, np.ndarray]
    counts: dict[str, np.ndarray]
    moved: dict[str, np.ndarray]
    eigenvalues: np.ndarray
    accuracy: np.ndarray


def measure(config: Config, store: Store) -> Measured:
    """Train the networks, then take the bases of each; see ``Experiment.measure``."""
    train, test = programs.digits()
    sizes = (64, *config.hidden, 10)

    def run(key: jax.Array, train: Any, test: Any) -> dict[str, Any]:
        keys = jax.random.split(key)
        start = dense_nets.dense_params(keys[0], *sizes)
        at = programs.picks(keys[1], config.steps, config.batch, len(train.labels))

        def loss(params: Any, at: jax.Array) -> jax.Array:
            scores = dense_nets.dense(params, train.inputs[at])
            return dense_nets.mean_cross_entropy(scores, train.labels[at])

        params, _ = programs.trained(loss, optax.adam(config.rate), start, at)
        right = dense_nets.accuracy(dense_nets.dense(params, test.inputs), test.labels)
        flat = {f"{n} {i}": v for i, p in enumerate(params) for n, v in p.items()}
        return {"accuracy": right, **flat}

    rows = store.group("runs")
    trained = rows.measured(
        "networks", lambda: programs.over_seeds(run, config, train, test)
    )
    inputs = np.asarray(test.inputs[: config.images], np.float64)
    x = np.append(inputs, np.ones((len(inputs), 1)), axis=1)
    found = []
    for i in range(config.seeds):
        given = [
            (trained[f"kernel {n}"][i], trained[f"bias {n}"][i])
            for n in range(len(sizes) - 1)
        ]
        take = lambda given=given, i=i: _of_network(config, given, x, i)
        found.append(rows.measured(f"bases {i}", take))
    of = lambda name: {
        basis: np.stack([row[f"{name} {basis}"] for row in found]) for basis in BASES
    }
    return Measured(
        of("share"),
        of("count"),
        of("moved"),
        np.array([float(row["eigenvalues"]) for row in found]),
        trained["accuracy"],
    )


def _of_network(
    config: Config, given: Any, x: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    with jax.enable_x64(True):
        arrays = [tuple(jnp.asarray(a, jnp.float64) for a in pair) for pair in given]
        last = len(arrays) - 1
        layers = [
            folded_layer(
                kernel, bias, None if i == last else jax.nn.relu, last=i == last
            )
            for i, (kernel, bias) in enumerate(arrays)
        ]
        mix = other_coordinates(rng, len(given[0][1]) + 1, config.stretch)
        mixed = [then(layers[0], mix), first(layers[1], np.linalg.inv(mix))]
        inputs = jnp.asarray(x)
        both = layers, [*mixed, *layers[2:]]
        found, values = {}, []
        for name, basis in BASES.items():
            bases = [basis(config, own, inputs) for own in both]
            if name == "local":
                values = [[one.eigenvalues for one in own] for own in bases]
            before, after = (
                _shares(config, *pair, inputs) for pair in zip(bases, both, strict=True)
            )
            found[f"share {name}"] = np.array([s for s, _ in before])
            found[f"count {name}"] = np.array([n for _, n in before])
            gaps = [abs(a[0] - b[0]) for a, b in zip(before, after, strict=True)]
            found[f"moved {name}"] = np.array(max(gaps))
        changes = [
            np.abs(a[: len(b)] - b[: len(a)]).max() / a[0]
            for a, b in zip(*values, strict=True)
        ]
        found["eigenvalues"] = np.array(max(changes))
    return found


def _shares(
    config: Config, bases: Sequence[Basis], layers: Layers, x: jax.Array
) -> list[tuple[float, int]]:
    edges = interaction_edges(bases, layers, x, points=config.points)
    found = []
    for own in edges:
        share = edge_share(own, config.share)
        found.append((share, round(share * own.size)))
    return found
