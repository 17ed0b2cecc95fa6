"""Training of many small models, and the two ways to move them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.studies.dense_nets import dense, dense_params
from experiments.studies.programs import Labelled, trained
from experiments.studies.unlearning.config import Config
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.recipes import init_oracle_matching, make_oracle_matching_step


def train_all(data: Labelled, weights: np.ndarray, config: Config) -> Any:
    """Parameters of one model a row of weights.

    Args:
      data: the examples.
      weights: 1 for those that a model sees, ``(models, examples)``.
      config: the size of the study.

    Returns:
      Parameters, stacked; every model starts from its own numbers.
    """

    def one(key: jax.Array, weight: jax.Array, data: Labelled) -> Any:
        params = dense_params(key, 64, config.width, 10)
        tx = optax.sgd(config.rate, 0.9)
        return _descend(params, tx, data, weight, config.steps)

    def run(keys: jax.Array, weights: jax.Array, data: Labelled) -> Any:
        each = lambda given: one(given[0], given[1], data)
        return jax.lax.map(each, (keys, weights), batch_size=50)

    keys = jax.random.split(jax.random.key(0), len(weights))
    return jax.jit(run)(keys, jnp.asarray(weights, jnp.float32), data)


def tune_all(
    data: Labelled, starts: Any, weights: np.ndarray, config: Config
) -> jax.Array:
    """Parameters after fine-tuning on the examples of each row of weights.

    Args:
      data: the examples.
      starts: parameters, stacked over models.
      weights: ``(sets, examples)``.
      config: the size of the study.

    Returns:
      Parameters, stacked over rates, sets and models.
    """

    def run(starts: Any, weights: jax.Array, data: Labelled, rates: jax.Array) -> Any:
        one = lambda rate, weight, start: _descend(
            start, optax.adam(rate), data, weight, config.moves
        )
        models = jax.vmap(one, (None, None, 0))
        sets = lambda rate: jax.lax.map(lambda w: models(rate, w, starts), weights)
        return jax.lax.map(sets, rates)

    given = jnp.asarray(weights, jnp.float32), data, jnp.asarray(config.rates)
    return jax.jit(run)(starts, *given)


def match_all(
    inputs: jax.Array, starts: Any, targets: dict[str, Any], config: Config
) -> Any:
    """Parameters after oracle matching.

    Args:
      inputs: of all examples.
      starts: parameters, stacked over models.
      targets: by ``"forget"`` and ``"retain"`` places of the examples, ``(sets, k)``,
        and the outputs wanted there, ``(sets, models, k, classes)``.
      config: the size of the study.

    Returns:
      Parameters, stacked over rates, sets and models.
    """
    apply = lambda params, state, x, *, train, key=None: (dense(params, x), state)
    network = Functional(lambda key: (dense_params(key, 64, 10), {}), apply)

    def one(rate: jax.Array, start: Any, batch: Any) -> Any:
        tx = optax.adam(rate)
        step = make_oracle_matching_step(network, tx)
        state = init_oracle_matching(tx, start, jax.random.key(0))
        moves = jnp.arange(config.moves)
        state, _ = jax.lax.scan(lambda s, _: (step(s, batch)[0], None), state, moves)
        return state.params["model"]

    def run(starts: Any, targets: Any, inputs: jax.Array, rates: jax.Array) -> Any:
        def of_set(rate: jax.Array, wanted: Any) -> Any:
            def of_model(start: Any, outputs: Any) -> Any:
                batch = {
                    role: {"image": inputs[places], "target": outputs[role]}
                    for role, (places, _) in wanted.items()
                }
                return one(rate, start, batch)

            outputs = {role: each for role, (_, each) in wanted.items()}
            return jax.vmap(of_model)(starts, outputs)

        sets = lambda rate: jax.lax.map(lambda t: of_set(rate, t), targets)
        return jax.lax.map(sets, rates)

    return jax.jit(run)(starts, targets, inputs, jnp.asarray(config.rates))


def _descend(
    params: Any,
    tx: optax.GradientTransformation,
    data: Labelled,
    weight: jax.Array,
    steps: int,
) -> Any:
    def loss(params: Any, _: jax.Array) -> jax.Array:
        scores = dense(params, data.inputs)
        each = optax.softmax_cross_entropy_with_integer_labels(scores, data.labels)
        return jnp.sum(weight * each) / jnp.sum(weight)

    return trained(loss, tx, params, jnp.arange(steps))[0]
