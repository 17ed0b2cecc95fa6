"""Bytes and time of a transformer's blocks by what they keep for the backward pass.

Run as ``python -m experiments.benchmarks.memory_saving``; a few minutes. The gradient
of a scan over the blocks of the lab's transformer: everything kept, Mesa's 8-bit codes,
WTA-CRS with three tenths of the rows of its dense layers' inputs, ``jax.checkpoint`` of
each block. Residuals are those of the VJP, parameters and inputs left out; temporaries
are the compiler's (without the scan XLA:CPU orders all of them as it likes, and even
``jax.checkpoint`` spares none); times are ratios of the processor times of paired runs.
"""

from __future__ import annotations

import json
import time
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Literal

from experiments.benchmarks import paired
from jaxopt_lab.lab.models.activations import GELU
from jaxopt_lab.lab.models.configs import TransformerConfig
from jaxopt_lab.lab.models.memory import MEMORY
from jaxopt_lab.lab.models.transformer import Block
from jaxopt_lab.training import from_nnx

WIDTH, DEPTH, HEADS, LENGTH, BATCH = 128, 6, 4, 128, 8
RATIO = 0.3


def gradient(memory: Any) -> tuple[Any, Any]:
    """The loss of the blocks, to be differentiated, and its arguments.

    Args:
      memory: ``memory=`` of the model.

    Returns:
      ``loss(params, x, state, key)``, and a function that makes arguments for it.
    """
    config = TransformerConfig(
        width=WIDTH,
        depth=DEPTH,
        heads=HEADS,
        context=LENGTH,
        memory=memory,
        memory_ratio=RATIO,
    )
    block = from_nnx(lambda rngs: Block(config, None, GELU, 1, rngs, {}, True))

    def arguments() -> Any:
        keys = jax.random.split(jax.random.key(0), DEPTH)
        params, state = jax.vmap(block.init)(keys)
        x = jax.random.normal(jax.random.key(1), (BATCH, LENGTH, WIDTH))
        return params, x, state, jax.random.key(2)

    def run(x: jax.Array, own: Any) -> tuple[jax.Array, None]:
        params, state, key = own
        return block.apply(params, state, x, train=True, key=key)[0], None

    body = jax.checkpoint(run) if memory == "checkpoint" else run

    def loss(params: Any, x: jax.Array, state: Any, key: Any) -> jax.Array:
        keys = jax.random.split(key, DEPTH)
        return jnp.mean(jax.lax.scan(body, x, (params, state, keys))[0] ** 2)

    return loss, arguments


def residual_bytes(loss: Any, arguments: Any) -> int:
    """Bytes that the VJP of a loss keeps beside its arguments, each array once.

    Args:
      loss: a function; the derivative is to its first argument.
      arguments: makes its arguments; nothing is computed.

    Returns:
      The bytes.
    """

    def kept(params: Any, *rest: Any) -> list[Any]:
        return jax.tree.leaves(jax.vjp(lambda p: loss(p, *rest), params)[1])

    jaxpr = jax.make_jaxpr(kept)(*jax.eval_shape(arguments)).jaxpr
    found = {v for v in jaxpr.outvars if not isinstance(v, Literal)}
    return sum(
        v.aval.size * v.aval.dtype.itemsize
        for v in found - set(jaxpr.invars) - set(jaxpr.constvars)
    )


def linear_bytes() -> int:
    """Bytes of the inputs of all dense layers of the blocks, in float32."""
    # Queries, keys and values; the output of attention; the two of the perceptron.
    return 4 * DEPTH * BATCH * LENGTH * WIDTH * (1 + 1 + 1 + 4)


def figures(*, pairs: int = 0) -> dict[str, dict[str, float]]:
    """Bytes of all ways, and times where they are asked for.

    Args:
      pairs: pairs of runs; 0: no times, and nothing is compiled.

    Returns:
      By way: ``residuals``, ``temp``, bytes; ``over plain``, the quotient of the
      residuals; ``of the dense layers``, of WTA-CRS; ``time``, ratios of times.
    """
    found: dict[str, dict[str, float]] = {}
    programs = {}
    for memory in MEMORY:
        loss, arguments = gradient(memory)
        found[memory] = {"residuals": residual_bytes(loss, arguments)}
        if pairs:
            made = jax.jit(arguments)()
            compiled = jax.jit(jax.grad(loss)).lower(*made).compile()
            memory_of: Any = compiled.memory_analysis()
            temp = memory_of.temp_size_in_bytes
            found[memory]["temp"] = temp
            programs[memory] = lambda run=compiled, a=made: jax.block_until_ready(
                run(*a)
            )
    plain = found["all"]["residuals"]
    for memory, row in found.items():
        row["over plain"] = row["residuals"] / plain
        if pairs:
            against = paired.ratio(
                programs[memory],
                programs["all"],
                pairs=pairs,
                clock=time.process_time,
            )
            row["time"] = against.median
    spared = plain - found["wta_crs"]["residuals"]
    found["wta_crs"]["of the dense layers"] = 1 - spared / linear_bytes()
    return found


def main() -> None:
    """Print the figures as a table and as JSON."""
    paired.settle_allocator()
    found = figures(pairs=10)
    print(f"{'kept':12} {'residuals':>12} {'over all':>9} {'temp':>12} {'time':>6}")
    for memory, row in found.items():
        print(
            f"{memory:12} {row['residuals']:12,.0f} {row['over plain']:9.3f} "
            f"{row['temp']:12,.0f} {row['time']:6.2f}"
        )
    share = found["wta_crs"]["of the dense layers"]
    print(f"wta_crs keeps {share:.3f} of the inputs of the dense layers (bar: 0.5)")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
