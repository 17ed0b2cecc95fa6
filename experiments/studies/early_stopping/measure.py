"""Errors and activations of MAML at every checkpoint, and where to stop."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies.dense_nets import dense, dense_params
from experiments.studies.early_stopping.config import SAME, TARGETS, Config
from experiments.studies.programs import over_seeds
from jaxopt_lab.bilevel.metalearning import Task, maml, over_tasks, sinusoid_task
from jaxopt_lab.controllers import (
    Controller,
    activation_stopping,
    stopping_statistics,
    task_moments,
    validation_stopping,
)
from jaxopt_lab.core.typing import Batch, Params

VALIDATION, ABE, BEST = "validation", "abe", "best"


class Measured(NamedTuple):
    """Everything that is measured, by target.

    Attributes:
      errors: after adaptation at every checkpoint, ``(seeds, checkpoints)``.
      chosen: the checkpoint of each rule, ``(seeds,)``.
      still: whether ABE with an infinite threshold is the validation for every seed.
    """

    errors: dict[str, np.ndarray]
    chosen: dict[str, dict[str, np.ndarray]]
    still: bool


def measure(config: Config, store: Store) -> Measured:
    """Meta-train, and choose a checkpoint for every target.

    See ``Experiment.measure``.
    """
    found = store.group("runs").measured("all", lambda: _trained(config))
    accuracy, source = -found["validation"], found["source"]
    chosen, still = {}, True
    for name in TARGETS:
        rules = {VALIDATION: validation_stopping(), ABE: activation_stopping()}
        moments = found[f"{name} moments"]
        given = list(zip(accuracy, source, moments, strict=True))
        chosen[name] = {
            rule: np.array([kept(control, *one) for one in given])
            for rule, control in rules.items()
        }
        never = [kept(activation_stopping(float("inf")), *one) for one in given]
        still &= bool(np.array_equal(never, chosen[name][VALIDATION]))
        chosen[name][BEST] = found[name].argmin(axis=1)
    return Measured({name: found[name] for name in TARGETS}, chosen, still)


def kept(
    control: Controller, accuracy: np.ndarray, source: np.ndarray, target: np.ndarray
) -> int:
    """The checkpoint that a controller keeps once it has seen all.

    Args:
      control: the controller.
      accuracy: ``(checkpoints,)``.
      source: moments, ``(checkpoints, 4, layers)``.
      target: likewise.

    Returns:
      Its number.
    """
    state, decision = control.init(), {"checkpoint": 0}
    for given in zip(accuracy, source, target, strict=True):
        decision, state = control.decide(stopping_statistics(*given), state)
    return int(decision["checkpoint"])


def scaled(x: jax.Array) -> jax.Array:
    """Inputs of the source from -1 to 1: unscaled, inner steps diverge beyond them."""
    return x / TARGETS[SAME][1]


def activations(params: Any, support: Batch) -> list[jax.Array]:
    """Both hidden layers, behind their rectifiers.

    Args:
      params: of ``dense_params``.
      support: ``"x"`` of it, ``(points, 1)``.

    Returns:
      ``(points, width)`` each.
    """
    x, found = scaled(support["x"]), []
    for layer in params[:-1]:
        x = jax.nn.relu(x @ layer["kernel"] + layer["bias"])
        found.append(x)
    return found


def _loss(params: Params, batch: Batch) -> jax.Array:
    return jnp.mean((dense(params, scaled(batch["x"])) - batch["y"]) ** 2)


def _tasks(key: jax.Array, count: int, name: str) -> Task:
    draw = lambda key: sinusoid_task(key, interval=TARGETS[name])
    return jax.vmap(draw)(jax.random.split(key, count))


def _trained(config: Config) -> dict[str, np.ndarray]:
    meta_loss = over_tasks(maml(_loss, inner=optax.sgd(config.inner)))
    tx = optax.adam(config.rate)

    def run(key: jax.Array) -> dict[str, jax.Array]:
        own, train, valid, *of_targets = jax.random.split(key, 3 + len(TARGETS))
        held = _tasks(valid, config.judged, SAME)
        tests = {
            name: _tasks(key, config.judged, name)
            for name, key in zip(TARGETS, of_targets, strict=True)
        }

        def step(carry: Any, key: jax.Array) -> Any:
            params, state = carry
            tasks = _tasks(key, config.tasks, SAME)
            grads = jax.grad(meta_loss, has_aux=True)(params, tasks)[0]
            updates, state = tx.update(grads, state, params)
            return (optax.apply_updates(params, updates), state), None

        def checkpoint(carry: Any, keys: jax.Array) -> Any:
            carry, _ = jax.lax.scan(step, carry, keys)
            params = carry[0]
            moments = lambda tasks: task_moments(activations, params, tasks.support)
            # Of the target a few tasks alone are known.
            few = {
                name: jax.tree.map(lambda x: x[: config.given], tasks)
                for name, tasks in tests.items()
            }
            found = {"validation": meta_loss(params, held)[0], "source": moments(held)}
            found |= {name: meta_loss(params, t)[0] for name, t in tests.items()}
            return carry, found | {f"{n} moments": moments(t) for n, t in few.items()}

        params = dense_params(own, 1, config.width, config.width, 1)
        keys = jax.random.split(train, (config.checkpoints, config.every))
        return jax.lax.scan(checkpoint, (params, tx.init(params)), keys)[1]

    return over_seeds(run, config, loop=True)
