"""Accuracies of merged perceptrons."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies import dense_nets, programs
from experiments.studies.adapters.measure import turned
from experiments.studies.merging.config import Config
from experiments.studies.programs import Labelled
from jaxopt_lab.inference import (
    apply_t3,
    delta_soup,
    fit_t3,
    t3_predict,
    uniform_soup,
)


class Measured(NamedTuple):
    """Everything that is measured.

    Attributes:
      upright: accuracies on upright digits, ``{model: (seeds,)}``.
      turned: those on turned digits.
      coefficients: smallest and largest share of the pretrained parameters that T3
        gives an example, ``(seeds, 2)``.
    """

    upright: dict[str, np.ndarray]
    turned: dict[str, np.ndarray]
    coefficients: np.ndarray


def measure(config: Config, store: Store) -> Measured:
    """Train, fine-tune and merge, for every seed; see ``Experiment.measure``."""
    train, test = programs.digits()
    run = lambda key, *data: _run(config, key, *data)
    take = lambda: programs.over_seeds(run, config, train, test)
    row = store.group("runs").measured("all", take)
    coefficients = row.pop("coefficients")
    parts: tuple[dict[str, np.ndarray], ...] = ({}, {})
    for name, values in row.items():
        for part, own in zip(parts, values.T, strict=True):
            part[name] = own
    return Measured(*parts, coefficients)


def _run(
    config: Config, key: jax.Array, train: Labelled, test: Labelled
) -> dict[str, jax.Array]:
    keys = jax.random.split(key, 5)
    both = Labelled(
        jnp.concatenate([test.inputs, turned(test).inputs]),
        jnp.concatenate([test.labels, test.labels]),
    )
    noisy = train.inputs + config.noise * jax.random.normal(keys[0], train.inputs.shape)
    start = dense_nets.dense_params(keys[1], 64, config.hidden, 10)

    def tuned(params: Any, key: jax.Array, inputs: jax.Array, steps: int) -> Any:
        at = programs.picks(key, steps, config.batch, len(train.labels))

        def loss(params: Any, at: jax.Array) -> jax.Array:
            scores = dense_nets.dense(params, inputs[at])
            return dense_nets.mean_cross_entropy(scores, train.labels[at])

        return programs.trained(loss, optax.adam(config.rate), params, at)[0]

    old = tuned(start, keys[2], train.inputs, config.steps)
    new = tuned(old, keys[3], turned(train).inputs, config.tuning)
    other = tuned(old, keys[4], noisy, config.tuning)
    logits = {
        "pretrained": dense_nets.dense(old, both.inputs),
        "finetuned": dense_nets.dense(new, both.inputs),
    }
    pair = {"pretrained": old, "finetuned": new}
    of = lambda params: dense_nets.dense(params, both.inputs)
    centred: Any = {"least": 0.0, "most": 1.0, "gamma": config.gamma}
    centred["center"] = math.log(2) / 2
    each, coefficients = _each(old, new, both.inputs)
    change = delta_soup(old, [new, other], temperature=config.temperature)
    scores = {
        **logits,
        "soup": of(uniform_soup([old, new])),
        "T3, batch": of(apply_t3(fit_t3(logits), pair)),
        "T3, examples": each,
        "T3, examples, centred": _each(old, new, both.inputs, **centred)[0],
        "soup of two tunings": of(uniform_soup([new, other])),
        "CoDiEmb of two tunings": of(change),
    }
    found = {name: _accuracies(values, test.labels) for name, values in scores.items()}
    ends = jnp.stack([coefficients.min(), coefficients.max()])
    return {**found, "coefficients": ends}


def _each(old: Any, new: Any, inputs: jax.Array, **options: Any) -> Any:
    apply: Callable[..., jax.Array] = dense_nets.dense
    return t3_predict(apply, old, new, inputs, chunk=64, **options)


def _accuracies(scores: jax.Array, labels: jax.Array) -> jax.Array:
    """Those on the first and the second half, upright and turned."""
    return dense_nets.accuracy(scores.reshape(2, -1, scores.shape[-1]), labels[None])
