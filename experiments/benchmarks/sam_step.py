"""The train step with ``sam`` against a SAM step written out by hand.

Run as ``python -m experiments.benchmarks.sam_step``. Flops and bytes are those that
XLA counts for the compiled step; times are paired.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

import jaxopt_lab
from experiments.benchmarks.paired import ratio, report
from jaxopt_lab.training import init_state, make_train_step

SIZES = (256, 512, 10)
BATCH = 256
RHO = 0.05


def loss(params: Any, batch: Any) -> jax.Array:
    """Cross-entropy of a small dense network.

    Args:
      params: weights and biases of two layers.
      batch: ``(inputs, labels)``.

    Returns:
      The mean over the batch.
    """
    x, y = batch
    hidden = jax.nn.relu(x @ params["w1"] + params["b1"])
    logits = hidden @ params["w2"] + params["b2"]
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()


def by_hand(tx: optax.GradientTransformation) -> Callable[..., Any]:
    """A SAM step as one would write it without this library.

    Args:
      tx: the base optimizer.

    Returns:
      ``step(params, opt_state, batch) -> (params, opt_state, loss)``.
    """

    def step(params: Any, opt_state: Any, batch: Any) -> Any:
        value, grads = jax.value_and_grad(loss)(params, batch)
        norm = optax.tree.norm(grads)
        scale = RHO / jnp.where(norm > 0, norm, 1.0)
        moved = jax.tree.map(lambda p, g: p + scale * g, params, grads)
        sharp = jax.grad(loss)(moved, batch)
        updates, opt_state = tx.update(sharp, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, value

    return step


def msam_by_hand(
    tx: optax.GradientTransformation, num_shards: int
) -> Callable[..., Any]:
    """An mSAM step as one would write it without this library.

    Args:
      tx: the base optimizer.
      num_shards: number of shards.

    Returns:
      ``step(params, opt_state, batch) -> (params, opt_state, loss)``.
    """

    def step(params: Any, opt_state: Any, batch: Any) -> Any:
        shards = [jnp.split(x, num_shards) for x in batch]
        total, value = None, jnp.zeros(())
        for shard in zip(*shards, strict=True):
            loss_here, grads = jax.value_and_grad(loss)(params, shard)
            norm = optax.tree.norm(grads)
            scale = RHO / jnp.where(norm > 0, norm, 1.0)
            moved = jax.tree.map(lambda p, g, s=scale: p + s * g, params, grads)
            sharp = jax.grad(loss)(moved, shard)
            total = sharp if total is None else jax.tree.map(jnp.add, total, sharp)
            value = value + loss_here
        sharp = jax.tree.map(lambda g: g / num_shards, total)
        updates, opt_state = tx.update(sharp, opt_state, params)
        params = optax.apply_updates(params, updates)
        return params, opt_state, value / num_shards

    return step


def problem(
    key: jax.Array, batch_size: int = BATCH
) -> tuple[dict[str, jax.Array], tuple[jax.Array, jax.Array]]:
    """Parameters and a batch.

    Args:
      key: typed key.
      batch_size: examples in the batch.

    Returns:
      ``(params, batch)``.
    """
    keys = jax.random.split(key, 4)
    fan_in, width, classes = SIZES
    params = {
        "w1": jax.random.normal(keys[0], (fan_in, width)) / fan_in**0.5,
        "b1": jnp.zeros(width),
        "w2": jax.random.normal(keys[1], (width, classes)) / width**0.5,
        "b2": jnp.zeros(classes),
    }
    x = jax.random.normal(keys[2], (batch_size, fan_in))
    return params, (x, jax.random.randint(keys[3], (batch_size,), 0, classes))


def compiled_step(
    tx: optax.GradientTransformation, batch_size: int = BATCH
) -> tuple[Any, Any]:
    """The train step of this library, compiled.

    Args:
      tx: the optimizer.
      batch_size: examples in the batch.

    Returns:
      ``(program, TrainState)``; ``program(state, batch) -> (state, metrics)`` donates
      its state.
    """
    params, batch = problem(jax.random.key(0), batch_size)

    def train_loss(params: Any, model_state: Any, batch: Any, key: Any) -> Any:
        return loss(params, batch), (model_state, {})

    state = init_state(tx, params, jax.random.key(1))
    jitted = jax.jit(make_train_step(train_loss, tx), donate_argnums=0)
    return jitted.lower(state, batch).compile(), state


def compiled_steps() -> dict[str, tuple[Any, Any]]:
    """The compiled programs, each with its first state.

    Returns:
      ``{"ours" | "plain": (program, TrainState), "by hand": (program, (params,
      optimizer state))}``.
    """
    base = optax.sgd(0.1, momentum=0.9)
    programs = {
        "plain": compiled_step(base),
        "ours": compiled_step(optax.chain(jaxopt_lab.sam(RHO), base)),
    }
    params, batch = problem(jax.random.key(0))
    hand = jax.jit(by_hand(base), donate_argnums=(0, 1))
    states = (params, base.init(params))
    programs["by hand"] = (hand.lower(*states, batch).compile(), states)
    return programs


def figures(programs: dict[str, tuple[Any, Any]]) -> dict[str, float]:
    """Operations and bytes by XLA's counts.

    Args:
      programs: as ``compiled_steps`` gives them.

    Returns:
      Ratios of flops, and bytes of temporaries and arguments.
    """
    flops = {k: p.cost_analysis()["flops"] for k, (p, _) in programs.items()}
    memory = {k: p.memory_analysis() for k, (p, _) in programs.items()}
    return {
        "flops, sam over plain (bar: 2.00 to 2.02)": flops["ours"] / flops["plain"],
        "flops, sam over by hand": flops["ours"] / flops["by hand"],
        "temp bytes, sam": memory["ours"].temp_size_in_bytes,
        "temp bytes, by hand": memory["by hand"].temp_size_in_bytes,
        "argument bytes, sam": memory["ours"].argument_size_in_bytes,
        "argument bytes, by hand": memory["by hand"].argument_size_in_bytes,
    }


def main() -> None:
    """Print counts and the paired time."""
    _, batch = problem(jax.random.key(0))
    programs = compiled_steps()
    ours, state = programs["ours"]
    hand, pair = programs["by hand"]

    def run_ours() -> None:
        nonlocal state
        state, metrics = ours(state, batch)
        jax.block_until_ready(metrics)

    def run_hand() -> None:
        nonlocal pair
        params, opt_state, value = hand(*pair, batch)
        pair = (params, opt_state)
        jax.block_until_ready(value)

    timed = ratio(run_ours, run_hand, pairs=40, repeat=20)
    report("sam step", {**figures(programs), "time, sam over by hand": timed})


if __name__ == "__main__":
    main()
