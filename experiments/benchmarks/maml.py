"""Meta-learning on sinusoids: the error before and after adapting to ten points.

Run as ``python -m experiments.benchmarks.maml [METHOD ...]``. Tasks are sinusoids of
random amplitude and phase, ten points each; the network has two hidden layers of 40
and is meta-trained with Adam on 25 tasks a step, drawn inside of the program. The
error is the mean square over [-5, 5], averaged over 600 new tasks, with a 95 %
interval over them. Seconds by the processor are those on one core under
``taskset -c 0``. Few-shot images: ``experiments.benchmarks.few_shot``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.benchmarks.options import meta_parser
from experiments.benchmarks.paired import report
from jaxopt_lab.bilevel.metalearning import (
    MetaLoss,
    Task,
    adaptation_losses,
    anil,
    imaml,
    maml,
    over_tasks,
    reptile,
    sinusoid_task,
)
from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import unknown
from jaxopt_lab.core.typing import Batch, Params
from jaxopt_lab.lab.statistics import mean_interval

Draw: TypeAlias = Callable[[jax.Array], Task]

STEPS, RATE, TASKS, SHOTS = 25_000, 1e-3, 25, 10
WIDTHS = (1, 40, 40, 1)
INNER_RATE, ADAPTATION_STEPS, TEST_TASKS = 0.01, 10, 600
# Largest error after one and after ten inner steps, smallest ratio of the error
# without adaptation to that with one step, and processor seconds of the training.
ONE_STEP_BAR, TEN_STEPS_BAR, GAIN_BAR, SECONDS_BAR = 0.6, 0.25, 5.0, 60.0
IMAML = "imaml"
HEAD = trees.matching(f"^{len(WIDTHS) - 2}/")


class Layer(NamedTuple):
    """Weights of one dense layer: float32 ``(inputs, outputs)`` and ``(outputs,)``."""

    kernel: jax.Array
    bias: jax.Array


def network(key: jax.Array, widths: Sequence[int] = WIDTHS) -> list[Layer]:
    """A dense network, He-normal kernels and no biases.

    Args:
      key: typed key.
      widths: inputs, hidden units, outputs.

    Returns:
      The layers.
    """
    draw = jax.nn.initializers.he_normal()
    keys = jax.random.split(key, len(widths) - 1)
    sizes = zip(keys, widths[:-1], widths[1:], strict=True)
    return [Layer(draw(k, (n, m)), jnp.zeros(m)) for k, n, m in sizes]


def outputs(layers: Sequence[Layer], x: jax.Array) -> jax.Array:
    """Outputs of the network for ``x``, shape ``(examples, inputs)``."""
    *hidden, last = layers
    for layer in hidden:
        x = jax.nn.relu(x @ layer.kernel + layer.bias)
    return x @ last.kernel + last.bias


def square_loss(layers: Params, batch: Batch) -> jax.Array:
    """Mean square error on a batch of points."""
    return jnp.mean((outputs(layers, batch["x"]) - batch["y"]) ** 2)


def methods() -> dict[str, MetaLoss]:
    """The compared methods: plain gradient descent inside, Adam for iMAML.

    Returns:
      Meta-losses by name.
    """
    inner = optax.sgd(INNER_RATE)
    return {
        "maml": maml(square_loss, inner=inner),
        "first-order maml": maml(square_loss, inner=inner, first_order=True),
        "anil": anil(square_loss, head=HEAD, inner=inner),
        "reptile": reptile(square_loss, inner=inner, steps=5),
        # Gradient descent at this rate diverges on the proximal loss of some tasks.
        IMAML: imaml(square_loss, inner=optax.adam(0.02), steps=16, strength=2.0),
    }


def meta_train(
    meta_loss: MetaLoss,
    draw: Draw,
    tx: optax.GradientTransformation,
    params: Params,
    key: jax.Array,
    *,
    steps: int,
    tasks: int,
) -> tuple[Params, jax.Array]:
    """Meta-training as one program; every step draws tasks of its own.

    Args:
      meta_loss: of one task.
      draw: makes a task from a key.
      tx: the outer optimizer.
      params: where it starts.
      key: typed key.
      steps: outer steps.
      tasks: how many a step.

    Returns:
      The parameters, and the loss of every step.
    """
    gradient = jax.value_and_grad(over_tasks(meta_loss), has_aux=True)

    def step(carry: tuple[Params, Any], t: jax.Array) -> tuple[Any, jax.Array]:
        params, state = carry
        keys = jax.random.split(jax.random.fold_in(key, t), tasks)
        (value, _), grads = gradient(params, jax.vmap(draw)(keys))
        updates, state = tx.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), value

    (params, _), values = jax.lax.scan(
        step, (params, tx.init(params)), jnp.arange(steps)
    )
    return params, values


def test_errors(
    params: Params, key: jax.Array, *, tasks: int = TEST_TASKS, steps: int
) -> jax.Array:
    """Errors on new sinusoids after 0, 1, 2, ... steps.

    Args:
      params: where every task starts.
      key: typed key, another one than that of the training.
      tasks: how many.
      steps: largest number of steps.

    Returns:
      Shape ``(tasks, steps + 1)``.
    """
    inner = optax.sgd(INNER_RATE)

    def one(key: jax.Array) -> jax.Array:
        task = sinusoid_task(key, shots=SHOTS, queries=101, places="grid")
        return adaptation_losses(square_loss, params, task, inner=inner, steps=steps)

    return jax.vmap(one)(jax.random.split(key, tasks))


test_errors.__test__ = False  # type: ignore[attr-defined]  # no test, for pytest


def own_errors(
    meta_loss: MetaLoss, params: Params, key: jax.Array, tasks: int = TEST_TASKS
) -> jax.Array:
    """Errors on new sinusoids after the adaptation that a method itself trains with.

    Args:
      meta_loss: of one task.
      params: where every task starts.
      key: typed key.
      tasks: how many.

    Returns:
      Shape ``(tasks,)``.
    """

    def one(key: jax.Array) -> jax.Array:
        task = sinusoid_task(key, shots=SHOTS, queries=101, places="grid")
        return meta_loss(params, task)[0]

    return jax.vmap(one)(jax.random.split(key, tasks))


def run(
    meta_loss: MetaLoss, steps: int, seed: int = 0, tasks: int = TASKS
) -> tuple[np.ndarray, Params, dict[str, float]]:
    """Meta-train on sinusoids, and the errors on new ones.

    Args:
      meta_loss: of one task.
      steps: outer steps.
      seed: of the network and of all tasks.
      tasks: how many a step.

    Returns:
      Errors as of ``test_errors``, the parameters, and seconds of what was done.
    """
    of_network, of_training, of_test = jax.random.split(jax.random.key(seed), 3)

    def train(params: Params, key: jax.Array) -> Params:
        return meta_train(
            meta_loss,
            lambda key: sinusoid_task(key, shots=SHOTS, queries=SHOTS),
            optax.adam(RATE),
            params,
            key,
            steps=steps,
            tasks=tasks,
        )[0]

    args = network(of_network), of_training
    began = time.perf_counter()
    program = jax.jit(train).lower(*args).compile()
    compiled, cpu = time.perf_counter(), time.process_time()
    params = jax.block_until_ready(program(*args))
    seconds = {
        "compiling": compiled - began,
        "training": time.perf_counter() - compiled,
        "training, by the processor": time.process_time() - cpu,
    }
    test = jax.jit(test_errors, static_argnames=("tasks", "steps"))
    return np.asarray(test(params, of_test, steps=ADAPTATION_STEPS)), params, seconds


def figures(
    name: str, errors: np.ndarray, seconds: Mapping[str, float]
) -> dict[str, str]:
    """A method's errors and times, as a table wants them.

    Args:
      name: of the method.
      errors: as of ``test_errors``.
      seconds: as of ``run``.

    Returns:
      Texts by label.
    """
    found = {}
    for steps in (0, 1, ADAPTATION_STEPS):
        mean, half = mean_interval(errors[:, steps])
        found[f"{name}: error after {steps} steps"] = f"{mean:.3f} ± {half:.3f}"
    for label, value in seconds.items():
        found[f"{name}: seconds {label}"] = f"{value:.1f}"
    return found


def bars(errors: np.ndarray, seconds: float) -> dict[str, str]:
    """The bars of MAML, and whether they are met.

    Args:
      errors: as of ``test_errors``.
      seconds: of the training, by the processor.

    Returns:
      Texts by label.
    """
    before, one, ten = errors.mean(axis=0)[[0, 1, ADAPTATION_STEPS]]
    wanted = {
        "error after one step": (one, ONE_STEP_BAR, one <= ONE_STEP_BAR),
        "error after ten steps": (ten, TEN_STEPS_BAR, ten <= TEN_STEPS_BAR),
        "unadapted over adapted": (before / one, GAIN_BAR, before / one >= GAIN_BAR),
        "processor seconds": (seconds, SECONDS_BAR, seconds <= SECONDS_BAR),
    }
    return {
        f"bar, {label}": f"{'met' if met else 'NOT MET'}: {value:.3g} against {bar:g}"
        for label, (value, bar, met) in wanted.items()
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Meta-train, test and print.

    Args:
      arguments: command line; ``None`` for that of the process.
    """
    parser = meta_parser(__doc__, methods(), STEPS)
    options = parser.parse_args(arguments)
    found: dict[str, Any] = {"outer steps": options.steps, "seed": options.seed}
    for name in options.methods:
        if name not in methods():
            parser.error(str(unknown("method", name, methods())))
        meta_loss = methods()[name]
        errors, params, seconds = run(meta_loss, options.steps, options.seed)
        found |= figures(name, errors, seconds)
        if name == IMAML:
            key = jax.random.key(options.seed + 1)
            mean, half = mean_interval(np.asarray(own_errors(meta_loss, params, key)))
            found[f"{name}: error after its own steps"] = f"{mean:.3f} ± {half:.3f}"
        if name == "maml":
            found |= bars(errors, seconds["training, by the processor"])
    report("meta-learning on sinusoids", found)


if __name__ == "__main__":
    main()
