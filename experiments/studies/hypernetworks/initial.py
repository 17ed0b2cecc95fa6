"""Initial weights of perceptrons that LoGAH predicts from their graphs."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from experiments.studies import dense_nets, programs
from experiments.studies.hypernetworks.config import Config
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.layers import logah, parameter_graph


def net(config: Config) -> Functional:
    """The hypernetwork of all perceptrons.

    Args:
      config: gives the widths.

    Returns:
      LoGAH, of rank 8.
    """
    most = max(64, *config.widths, *config.unseen)
    return logah(hidden=16, rank=8, max_width=most, layers=1, heads=4)


def graph(width: int) -> Any:
    """The graph of a perceptron of one hidden layer."""
    sizes = (64, width, 10)
    make = lambda key: dense_nets.dense_params(key, *sizes)
    shapes = jax.eval_shape(make, jax.random.key(0))
    x = jax.ShapeDtypeStruct((1, 64), jnp.float32)
    return parameter_graph(dense_nets.dense, shapes, x)


def run(
    config: Config, start: Any, key: jax.Array, train: Any, test: Any
) -> dict[str, Any]:
    """Losses and accuracies of perceptrons of unseen widths.

    Args:
      config: the size of the study.
      start: parameters of LoGAH.
      key: of batches and of random weights.
      train: digits.
      test: digits.

    Returns:
      ``untrained``, accuracies of predicted weights, ``(unseen,)``; ``predicted`` and
      ``random``, test losses after some steps, ``(unseen, rates)``.
    """
    hyper, keys = net(config), jax.random.split(key, 3)
    graphs = {w: graph(w) for w in (*config.widths, *config.unseen)}
    predict = lambda params, w: hyper.apply(params, {}, graphs[w], train=True)[0]

    def task(params: Any, at: jax.Array) -> jax.Array:
        scores = dense_nets.dense(params, train.inputs[at])
        return dense_nets.mean_cross_entropy(scores, train.labels[at])

    def meta(params: Any, at: jax.Array) -> jax.Array:
        each = [task(predict(params, w), at) for w in config.widths]
        return jnp.mean(jnp.stack(each))

    examples = len(train.labels)
    batch = 2 * config.batch
    at = programs.picks(keys[0], config.meta_steps, batch, examples)
    tx = optax.chain(optax.clip_by_global_norm(5.0), optax.adam(config.meta_rate))
    params, _ = programs.trained(meta, tx, start, at)
    later = programs.picks(keys[1], config.later, batch, examples)
    score = lambda own: dense_nets.dense(own, test.inputs)
    value = lambda own: dense_nets.mean_cross_entropy(score(own), test.labels)
    found: dict[str, list[Any]] = {"untrained": [], "predicted": [], "random": []}
    for i, width in enumerate(config.unseen):
        predicted = predict(params, width)
        drawn = dense_nets.dense_params(jax.random.fold_in(keys[2], i), 64, width, 10)
        right = dense_nets.accuracy(score(predicted), test.labels)
        found["untrained"].append(right)
        for name, own in (("predicted", predicted), ("random", drawn)):
            losses = programs.at_rates(task, own, later, config.rates, value, optax.sgd)
            found[name].append(losses)
    return {name: jnp.stack(values) for name, values in found.items()}
