"""A hypergradient against the run that it is taken of: time, bytes, compile time.

Run as ``python -m experiments.benchmarks.unroll [--steps N] [--hidden H]``. Adam on a
tanh network 32-H-H-10 with cross entropy, one batch of 64 examples; the hypergradient
is the loss of the last weights with its derivatives with respect to the learning rate
and the initial weights, in forward mode with respect to the learning rate alone. Times
are wall times in pairs, over the loop without a derivative in the same minute; the
ratios of a loaded machine are too large, most of all where much memory is touched.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike

from experiments.benchmarks.paired import ratio, report
from jaxopt_lab.bilevel import plan_unroll, unroll

STEPS, HIDDEN, PAIRS = 100, 64, 6
RATE = 1e-3

# Time over that of the loop without a derivative.
BARS: Mapping[str, float] = {
    "step": 7.0,
    "sqrt": 8.0,
    "three levels": 10.0,
    "forward mode": 4.5,
}
SETTINGS: Mapping[str, Any] = {"none": "none", "step": "step", "sqrt": "sqrt"} | {
    "three levels": 3,
    "four levels": 4,
}


def net(
    hidden: int,
    key: jax.Array,
    ends: tuple[int, int] = (32, 10),
    dtype: DTypeLike = jnp.float32,
) -> list[tuple[jax.Array, jax.Array]]:
    """Weights of a tanh network with two hidden layers.

    Args:
      hidden: width of both.
      key: typed key.
      ends: width of the inputs and of the outputs.
      dtype: of the weights.

    Returns:
      Pairs of weights and biases.
    """
    sizes = (ends[0], hidden, hidden, ends[1])
    keys = jax.random.split(key, len(sizes) - 1)
    return [
        (jax.random.normal(k, (a, b), dtype) / a**0.5, jnp.zeros((b,), dtype))
        for k, a, b in zip(keys, sizes, sizes[1:], strict=False)
    ]


def loss_fn(params: Any, batch: Any) -> jax.Array:
    """Cross entropy of the network, a mean over the examples.

    Args:
      params: as ``net`` makes them.
      batch: inputs and labels.

    Returns:
      A scalar.
    """
    inputs, labels = batch
    for weight, bias in params[:-1]:
        inputs = jnp.tanh(inputs @ weight + bias[None])
    weight, bias = params[-1]
    logits = inputs @ weight + bias[None]
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def data(
    examples: int = 64,
    ends: tuple[int, int] = (32, 10),
    dtype: DTypeLike = jnp.float32,
    seed: int = 1,
) -> tuple[jax.Array, jax.Array]:
    """One batch of noise.

    Args:
      examples: how many.
      ends: width of the inputs, number of labels.
      dtype: of the inputs.
      seed: of the noise.

    Returns:
      Inputs and labels.
    """
    one, two = jax.random.split(jax.random.key(seed))
    inputs = jax.random.normal(one, (examples, ends[0]), dtype)
    return inputs, jax.random.randint(two, (examples,), 0, ends[1], jnp.int32)


def adam_step(learning_rate: Any, batch: Any) -> Callable[[Any, Any], Any]:
    """Adam on one batch.

    Args:
      learning_rate: a number or traced scalar.
      batch: inputs and labels.

    Returns:
      ``step(state, t)``, whose state is parameters and moments.
    """
    tx = optax.scale_by_adam()

    def step(state: Any, t: Any) -> Any:
        del t
        params, opt_state = state
        updates, opt_state = tx.update(jax.grad(loss_fn)(params, batch), opt_state)
        move = lambda p, u: p - learning_rate * u
        return jax.tree.map(move, params, updates), opt_state

    return step


def adam_start(params: Any) -> Any:
    """The state that ``adam_step`` starts from.

    Args:
      params: the initial weights.

    Returns:
      Parameters and moments.
    """
    return params, optax.scale_by_adam().init(params)


def outer(n: int, **options: Any) -> Callable[..., jax.Array]:
    """The loss of the last weights.

    Args:
      n: number of steps.
      **options: of ``unroll``.

    Returns:
      ``value(rate, params, batch)``.
    """

    def value(rate: Any, params: Any, batch: Any) -> jax.Array:
        last, _ = unroll(adam_step(rate, batch), adam_start(params), n, **options)
        return loss_fn(last, batch)

    return value


def temporary_bytes(fn: Callable[..., Any], *args: Any) -> int:
    """Bytes of temporaries of a compiled program, without running it.

    Args:
      fn: the function.
      *args: its arguments, or shapes of them.

    Returns:
      Bytes. They do not depend on how well the machine code is optimised, which is
      left out here.
    """
    quick: Any = {"xla_backend_optimization_level": 0}
    compiled: Any = jax.jit(fn).lower(*args).compile(quick)
    return compiled.memory_analysis().temp_size_in_bytes


class Program(NamedTuple):
    """A compiled program.

    Attributes:
      run: runs it to its end.
      temp_bytes: bytes of temporaries.
      compile_seconds: time to trace and compile.
    """

    run: Callable[[], Any]
    temp_bytes: int
    compile_seconds: float


def compiled(fn: Callable[..., Any], hidden: int) -> Program:
    """A program of rate, weights and batch.

    Args:
      fn: the function.
      hidden: width of the network.

    Returns:
      The program.
    """
    args = jnp.float32(RATE), net(hidden, jax.random.key(0)), data()
    began = time.perf_counter()
    done = jax.jit(fn).lower(*args).compile()
    seconds = time.perf_counter() - began
    memory: Any = done.memory_analysis()
    run = lambda: jax.block_until_ready(done(*args))
    return Program(run, memory.temp_size_in_bytes, seconds)


def tangent(n: int) -> Callable[..., Any]:
    """The loss of the last weights and its derivative by the rate, in forward mode.

    Args:
      n: number of steps.

    Returns:
      ``fn(rate, params, batch) -> (value, derivative)``.
    """

    def fn(rate: jax.Array, params: Any, batch: Any) -> Any:
        value = outer(n, remat="none")
        along = jnp.ones_like(rate)
        return jax.jvp(lambda rate: value(rate, params, batch), (rate,), (along,))

    return fn


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print.

    Args:
      arguments: command line; ``None`` for that of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--hidden", type=int, default=HIDDEN)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    options = parser.parse_args(arguments)
    n, hidden = options.steps, options.hidden
    loop = compiled(outer(n, remat="none"), hidden)
    found: dict[str, Any] = {
        "steps": n,
        "hidden": hidden,
        "loop: seconds to compile": loop.compile_seconds,
    }
    state = jax.eval_shape(lambda: adam_start(net(hidden, jax.random.key(0))))
    programs = {
        name: jax.value_and_grad(outer(n, remat=remat), (0, 1))
        for name, remat in SETTINGS.items()
    }
    for name, fn in {**programs, "forward mode": tangent(n)}.items():
        program = compiled(fn, hidden)
        found[f"{name}: MB of temporaries"] = program.temp_bytes / 1e6
        if name in SETTINGS and name != "none":
            step = adam_step(RATE, data())
            plan = plan_unroll(step, state, n, remat=SETTINGS[name])
            found[f"{name}: MB predicted"] = (plan.predicted_bytes or 0) / 1e6
        found[f"{name}: seconds to compile"] = program.compile_seconds
        bar = f" (bar {BARS[name]})" if name in BARS else ""
        spent = ratio(program.run, loop.run, pairs=options.pairs)
        found[f"{name}: time / loop{bar}"] = spent
    report("unroll", found)


if __name__ == "__main__":
    main()
