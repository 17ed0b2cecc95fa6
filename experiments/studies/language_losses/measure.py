"""Losses on held-out text and 3-grams of samples after every fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.applications import corpus
from experiments.harness.store import Store
from experiments.studies import dense_nets, programs
from experiments.studies.language_losses.config import Config
from jaxopt_lab.core.unit import unit_rows
from jaxopt_lab.losses import emo

PLAIN = "cross-entropy"
ARMS: Mapping[str, Mapping[str, Any]] = {
    PLAIN: {"share": 0.0},
    "EMO": {},
    "EMO, adaptive": {"form": "adaptive"},
}
"""Options of ``emo`` by arm."""


class Measured(NamedTuple):
    """Everything that is measured, by arm; ``(seeds,)`` each.

    Attributes:
      entropy: cross-entropy of held-out text.
      distance: earth mover's distance to its characters.
      apart: Jensen-Shannon distance between the 3-grams of samples and of the text.
      distinct: share of different 3-grams among those of samples.
    """

    entropy: dict[str, np.ndarray]
    distance: dict[str, np.ndarray]
    apart: dict[str, np.ndarray]
    distinct: dict[str, np.ndarray]


def prepare(config: Config, text: str = "") -> tuple[Config, dict[str, Any]]:
    """Read the text, so that a typo in its path ends the run at once.

    Args:
      config: the size of the study.
      text: a file; empty: the standard library.

    Returns:
      The settings, and the arguments of ``measure``.
    """
    found = corpus.sources(text, count=config.sources, least=config.characters)
    parts = [corpus.encoded(x)[: config.characters] for x in found.values()]
    cut = 4 * config.characters // 5
    train, held = ([x[at] for x in parts] for at in (slice(cut), slice(cut, None)))
    return config, {"train": np.concatenate(train), "held": np.concatenate(held)}


def measure(
    config: Config, store: Store, train: np.ndarray, held: np.ndarray
) -> Measured:
    """Train, fine-tune with every loss, sample; see ``Experiment.measure``.

    Args:
      train: tokens.
      held: tokens of the text that is held out.
    """
    run = lambda key, train, held: _run(key, train, held, config)

    def take() -> dict[str, np.ndarray]:
        row = programs.over_seeds(run, config, train, held, loop=True)
        for arm in ARMS:
            texts = row.pop(f"text/{arm}")
            row[f"apart/{arm}"] = np.array([grams_apart(t, held) for t in texts])
            row[f"distinct/{arm}"] = np.array([distinct(t) for t in texts])
        return row

    row = store.group("runs").measured("all arms", take)
    of = lambda name: {arm: row[f"{name}/{arm}"] for arm in ARMS}
    return Measured(*map(of, Measured._fields))


def _grams(text: np.ndarray) -> np.ndarray:
    """A number for each 3-gram of ``(..., length)`` tokens."""
    base = len(corpus.VOCABULARY)
    a, b, c = (text[..., i : text.shape[-1] - 2 + i].astype(np.int64) for i in range(3))
    return ((a * base + b) * base + c).ravel()


def grams_apart(text: np.ndarray, other: np.ndarray) -> float:
    """Jensen-Shannon distance between the 3-grams of two texts, in nats to one half.

    Args:
      text: tokens, ``(..., length)``.
      other: tokens.

    Returns:
      From 0 to the root of log 2.
    """
    size = len(corpus.VOCABULARY) ** 3
    p, q = (np.bincount(_grams(x), minlength=size) for x in (text, other))
    p, q = p / p.sum(), q / q.sum()
    mean = (p + q) / 2
    each = [np.sum(x[x > 0] * np.log(x[x > 0] / mean[x > 0])) for x in (p, q)]
    return float(np.sqrt(sum(each) / 2))


def distinct(text: np.ndarray) -> float:
    """Different 3-grams over all.

    Args:
      text: tokens, ``(..., length)``.

    Returns:
      The share.
    """
    grams = _grams(text)
    return len(np.unique(grams)) / len(grams)


def _logits(params: Any, context: jax.Array) -> jax.Array:
    x = params["embedding"][context].reshape(*context.shape[:-1], -1)
    return dense_nets.dense(params["dense"], x) @ params["embedding"].T


def _distance(params: Any, test: jax.Array) -> jax.Array:
    """Mean cosine distance of what the model expects from what is there."""
    rows = unit_rows(params["embedding"])
    expected = jax.nn.softmax(_logits(params, test[:, :-1])) @ rows
    return 1 - jnp.mean(jnp.sum(rows[test[:, -1]] * expected, axis=1))


def _run(
    key: jax.Array, train: jax.Array, held: jax.Array, config: Config
) -> dict[str, jax.Array]:
    """The values and samples of one seed."""
    keys = jax.random.split(key, 6)
    size, inputs = len(corpus.VOCABULARY), config.context * config.width
    embedding = jax.random.normal(keys[0], (size, config.width))
    start = {
        "embedding": embedding * config.width**-0.5,
        "dense": dense_nets.dense_params(keys[1], inputs, config.hidden, config.width),
    }
    reach = jnp.arange(config.context + 1)

    def windows(key: jax.Array, text: jax.Array, *shape: int) -> jax.Array:
        places = jax.random.randint(key, shape, 0, len(text) - config.context)
        return text[places[..., None] + reach]

    def losses(params: Any, batch: jax.Array, options: Mapping[str, Any]) -> jax.Array:
        scores, own = _logits(params, batch[..., :-1]), params["embedding"]
        return emo(scores, batch[..., -1], embedding=own, **options)

    def tuned(params: Any, key: jax.Array, steps: int, options: Any) -> Any:
        loss = lambda p, batch: jnp.mean(losses(p, batch, options))
        batches = windows(key, train, steps, config.batch)
        return programs.trained(loss, optax.adam(config.rate), params, batches)[0]

    warm = tuned(start, keys[2], config.warm, ARMS[PLAIN])
    test = windows(keys[4], held, config.held)
    found = {}
    for arm, options in ARMS.items():
        params = tuned(warm, keys[3], config.steps, options)
        found[f"entropy/{arm}"] = jnp.mean(losses(params, test, ARMS[PLAIN]))
        found[f"distance/{arm}"] = _distance(params, test)
        found[f"text/{arm}"] = _sampled(params, test[: config.streams], keys[5], config)
    return found


def _sampled(
    params: Any, start: jax.Array, key: jax.Array, config: Config
) -> jax.Array:
    """Characters that the model draws behind some contexts, ``(streams, length)``."""

    def step(context: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        drawn = jax.random.categorical(key, _logits(params, context))
        return jnp.concatenate([context[:, 1:], drawn[:, None]], axis=1), drawn

    keys = jax.random.split(key, config.length)
    return jax.lax.scan(step, start[:, 1:], keys)[1].T
