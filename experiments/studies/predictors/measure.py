"""Benches of trained networks, and how predictors rank them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies.dense_nets import accuracy, dense, dense_params
from experiments.studies.predictors.config import Config
from experiments.studies.predictors.spaces import SPACES, Space, draw, initial
from experiments.studies.programs import digits, picks, trained
from jaxopt_lab.core.rank_correlation import kendall_tau
from jaxopt_lab.search import (
    fit_kernel_ridge,
    hashed_ngrams,
    predict_kernel_ridge,
    program_text,
)

PREDICTORS = ("kernel ridge", "network", "parameters", "multiplications")
LEARNED = PREDICTORS[:2]


class Measured(NamedTuple):
    """Kendall's tau by space and predictor, ``(seeds,)`` each.

    Attributes:
      within: on the second half of a space, trained on the first.
      zero_shot: on a space, trained on the other ones.
      spread: deviation of the accuracies of a space, ``(seeds,)``.
    """

    within: Mapping[str, Mapping[str, np.ndarray]]
    zero_shot: Mapping[str, Mapping[str, np.ndarray]]
    spread: Mapping[str, np.ndarray]


def measure(config: Config, store: Store) -> Measured:
    """Train the networks of every space, and rank them; see ``Experiment.measure``."""
    rows = store.group("benches")
    benches: dict[str, dict[str, np.ndarray]] = {}
    for name, space in SPACES.items():
        take = lambda n=name, s=space: _bench(config, n, s)
        benches[name] = {k: np.asarray(v) for k, v in rows.measured(name, take).items()}
    found = store.group("taus").measured("all", lambda: _taus(config, benches))
    of = lambda kind: {
        name: {p: np.asarray(found[f"{kind} {name} {p}"]) for p in PREDICTORS}
        for name in SPACES
    }
    spread = {n: b["accuracy"].std(axis=1) for n, b in benches.items()}
    return Measured(of("within"), of("zero shot"), spread)


def networks(config: Config, name: str, seed: int) -> dict[str, np.ndarray]:
    """The networks of a bench.

    Args:
      config: the size of the study.
      name: of the space.
      seed: of the bench.

    Returns:
      ``(networks,)`` by choice.
    """
    rng = np.random.default_rng([seed, list(SPACES).index(name)])
    return draw(SPACES[name], rng, config.networks)


def _bench(config: Config, name: str, space: Space) -> dict[str, np.ndarray]:
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    drawn = [networks(config, name, seed) for seed in seeds]
    data: Any = digits()

    def run(seed: jax.Array, arch: Any, number: jax.Array, data: Any) -> jax.Array:
        train, test = data
        key = jax.random.fold_in(jax.random.key(seed), number)
        params = initial(key, name, arch)
        index = picks(key, config.steps, config.batch, train.labels.shape[0])

        def loss(params: Any, index: jax.Array) -> jax.Array:
            scores = space.masked(arch, params, train.inputs[index])
            labels = train.labels[index]
            return jnp.mean(
                optax.softmax_cross_entropy_with_integer_labels(scores, labels)
            )

        params, _ = trained(loss, optax.adam(config.rate), params, index)
        return accuracy(space.masked(arch, params, test.inputs), test.labels)

    program = jax.jit(
        lambda seed, archs, data: jax.lax.map(
            lambda each: run(seed, each[0], each[1], data),
            (archs, jnp.arange(config.networks)),
        )
    )
    values = [
        np.asarray(program(jnp.asarray(seed), archs, data))
        for seed, archs in zip(seeds, drawn, strict=True)
    ]
    return {"accuracy": np.stack(values)}


def described(name: str, arch: Mapping[str, int], config: Config) -> np.ndarray:
    """N-grams of a network's text, and the logarithms of its two counts.

    Args:
      name: of the space.
      arch: the network.
      config: the size of the study.

    Returns:
      ``(features + 2,)``.
    """
    space = SPACES[name]
    shapes = space.shapes(arch)
    struct = lambda shape: jax.ShapeDtypeStruct(shape, jnp.float32)
    params = {part: struct(shape) for part, shape in shapes.items()}
    plain = lambda p, x: space.plain(arch, p, x)
    text = program_text(plain, params, struct((1, 64)))
    grams = hashed_ngrams(text, config.features, config.longest)
    count = sum(np.prod(shape) for shape in shapes.values())
    places = {"windows": 16, "attention": 8, "dense": 1}[name]
    work = sum(
        np.prod(shape) * (1 if part == "head" else places)
        for part, shape in shapes.items()
        if part != "place"
    )
    return np.concatenate([grams, np.log(np.array([count, work], float))])


def _taus(
    config: Config, benches: Mapping[str, Mapping[str, np.ndarray]]
) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    half = config.networks // 2
    for i in range(config.seeds):
        seed = config.first_seed + i
        features, scores = {}, {}
        for name in SPACES:
            archs = networks(config, name, seed)
            features[name] = np.stack(
                [
                    described(name, {k: int(v[j]) for k, v in archs.items()}, config)
                    for j in range(config.networks)
                ]
            )
            raw = benches[name]["accuracy"][i]
            scores[name] = (raw - raw.mean()) / max(raw.std(), 1e-6)
        for name in SPACES:
            others = [n for n in SPACES if n != name]
            splits = {
                "within": (
                    features[name][:half],
                    scores[name][:half],
                    features[name][half:],
                    scores[name][half:],
                ),
                "zero shot": (
                    np.concatenate([features[n] for n in others]),
                    np.concatenate([scores[n] for n in others]),
                    features[name],
                    scores[name],
                ),
            }
            for kind, (x, y, at, wanted) in splits.items():
                for predictor in PREDICTORS:
                    tau = kendall_tau(_predicted(predictor, x, y, at, config), wanted)
                    found.setdefault(f"{kind} {name} {predictor}", []).append(tau)
    return found


def _predicted(
    predictor: str, x: np.ndarray, y: np.ndarray, at: np.ndarray, config: Config
) -> np.ndarray:
    if predictor in PREDICTORS[2:]:
        return at[:, PREDICTORS.index(predictor) - 4]
    x, at = x[:, :-2], at[:, :-2]
    if predictor == "kernel ridge":
        fit = fit_kernel_ridge(x, y, ridge=config.ridge, length=config.length)
        return predict_kernel_ridge(fit, at)[0]
    scale = config.features**0.5 / 4
    inputs, wanted, asked = (
        jnp.asarray(a, jnp.float32) for a in (scale * x, y, scale * at)
    )
    return np.asarray(_network(inputs, wanted, asked, config))


def _network(x: jax.Array, y: jax.Array, at: jax.Array, config: Config) -> jax.Array:
    """Predictions of a small network, fitted to all examples in every step."""

    def run(x: jax.Array, y: jax.Array, at: jax.Array) -> jax.Array:
        params = dense_params(jax.random.key(0), x.shape[1], config.hidden, 1)

        def loss(params: Any, number: jax.Array) -> jax.Array:
            del number
            return jnp.mean((dense(params, x)[:, 0] - y) ** 2)

        tx = optax.adamw(config.fit_rate, weight_decay=1e-2)
        params, _ = trained(loss, tx, params, jnp.arange(config.fitted))
        return dense(params, at)[:, 0]

    return _JITTED.setdefault(config, jax.jit(run))(x, y, at)


_JITTED: dict[Config, Any] = {}
