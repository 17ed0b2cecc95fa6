"""Accuracy after all tasks, and the stored statistics beside those of all classes."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies import dense_nets, normed, programs
from experiments.studies.continual_statistics.config import Config
from experiments.studies.programs import Labelled
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.layers import (
    adab2n,
    at_task,
    ghost_batch_norm,
    statistics_penalty,
)
from jaxopt_lab.losses.classification import cross_entropy
from jaxopt_lab.recipes import replay_memory

BN, BALANCED, WHOLE = ARMS = ("BN", "AdaB2N without its penalty", "AdaB2N")


class Measured(NamedTuple):
    """Everything that is measured, by arm; ``(seeds, rates)`` each.

    Attributes:
      accuracy: on the test set of all classes, after the last task.
      before: on the classes of all tasks but the last.
      distance: mean over the units of the first layer of the squared distance of the
        stored mean from that of all classes, over the variance of these.
    """

    accuracy: dict[str, np.ndarray]
    before: dict[str, np.ndarray]
    distance: dict[str, np.ndarray]


def task_batches(
    key: jax.Array, labels: jax.Array, config: Config
) -> tuple[jax.Array, jax.Array]:
    """The batches of all tasks, one task after the other.

    Args:
      key: PRNG key.
      labels: of the training set; task t has the classes 2 t and 2 t + 1.
      config: the size of the study.

    Returns:
      Places, ``(steps of all tasks, batch)``, and the task of each step.
    """
    task = jnp.repeat(jnp.arange(config.tasks), config.steps)

    def one(key: jax.Array, task: jax.Array) -> jax.Array:
        logits = jnp.where(labels // 2 == task, 0.0, -jnp.inf)
        return jax.random.categorical(key, logits, shape=(config.batch,))

    keys = jax.random.split(key, len(task))
    return jax.lax.map(lambda given: one(*given), (keys, task)), task


def measure(config: Config, store: Store) -> Measured:
    """Learn the tasks with every arm; see ``Experiment.measure``."""
    data, rows = programs.digits(), store.group("runs")
    plain = ghost_batch_norm(config.width, ghost_size=config.batch + config.replayed)
    balanced = adab2n(config.width, tasks=config.tasks, kappa=config.kappa)
    found = {}
    for name, norm, penalties in (
        (BN, plain, (0.0,)),
        (WHOLE, balanced, (0.0, config.penalty)),
    ):
        net = normed.network(norm, config.width, image=False)
        run = lambda key, point, *data, net=net, own=name != BN: _run(
            key, point, data, net, own, config
        )
        axes = penalties, config.rates
        take = lambda run=run, axes=axes: programs.over_grid(run, config, axes, *data)
        row = rows.measured(name, take)
        for i, arm in enumerate(ARMS[1:] if name == WHOLE else (BN,)):
            found[arm] = {key: values[:, i] for key, values in row.items()}
    of = lambda key: {arm: found[arm][key] for arm in ARMS}
    return Measured(of("accuracy"), of("before"), of("distance"))


def _run(
    key: jax.Array,
    point: Any,
    data: tuple[Labelled, ...],
    net: Functional,
    balanced: bool,
    config: Config,
) -> dict[str, jax.Array]:
    (penalty, rate), (train, test) = point, data
    start, order, recall_key = jax.random.split(key, 3)
    params, states = net.init(start)
    places, tasks = task_batches(order, train.labels, config)
    tx = optax.sgd(rate)
    count = config.replayed

    def step(carry: Any, given: Any) -> Any:
        params, states, opt_state, memory = carry
        index, task, key = given
        draw, keep = jax.random.split(key)
        batch = {
            "image": train.inputs[index],
            "label": train.labels[index],
            "task": jnp.full(config.batch, task),
        }
        both = replay_memory.with_recalled(draw, memory, batch, 1.0, count)
        x, labels, weights = replay_memory.joined(both, "image", "label")
        old = both[replay_memory.REPLAY]["examples"]["task"]
        inputs = (x, jnp.concatenate([batch["task"], old])) if balanced else x
        current = at_task({"all": states}, task)["all"] if balanced else states

        def loss(params: Any) -> tuple[jax.Array, Any]:
            scores, after = net.apply(params, current, inputs, train=True)
            value = replay_memory.weighted_mean(cross_entropy(scores, labels), weights)
            if balanced:
                factor = jnp.where(task > 0, penalty, 0)
                value = value + factor * statistics_penalty({"all": after})
            return value, after

        grads, states = jax.grad(loss, has_aux=True)(params)
        updates, opt_state = tx.update(grads, opt_state, params)
        params = optax.apply_updates(params, updates)
        memory = replay_memory.remember(keep, memory, batch)
        return (params, states, opt_state, memory), None

    first = {
        "image": train.inputs[:1],
        "label": train.labels[:1],
        "task": tasks[:1],
    }
    memory = replay_memory.empty_memory(first, config.memory)
    keys = jax.random.split(recall_key, len(tasks))
    carry = (params, states, tx.init(params), memory)
    (params, states, *_), _ = jax.lax.scan(step, carry, (places, tasks, keys))
    scores, _ = net.apply(params, states, test.inputs, train=False)
    earlier = test.labels // 2 < config.tasks - 1
    right = jnp.argmax(scores, axis=-1) == test.labels
    values = test.inputs @ params["layers"][0]["kernel"]
    apart = jnp.square(states[0]["mean"] - jnp.mean(values, axis=0))
    return {
        "accuracy": dense_nets.accuracy(scores, test.labels),
        "before": jnp.mean(right, where=earlier),
        "distance": jnp.mean(apart / (jnp.var(values, axis=0) + 1e-6)),
    }
