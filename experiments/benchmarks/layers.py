"""Time and bytes of the normalizations of the catalog against batch normalization.

Run as ``python -m experiments.benchmarks.layers``; a minute. Forward and backward pass
of a training call on 64 x 16 x 16 x 64 float32 numbers, gradients of parameters and
input (and the state that a layer makes in its backward pass) against flax's
``BatchNorm(use_fast_variance=False)``, in pairs, by processor time. A layer may take as
much longer as its formulas pass more often over its input, and 15 % on top; the bytes
are those its row states. On a machine with other work, ``taskset -c 0`` before the
command keeps the threads of XLA from waiting for each other.
"""

from __future__ import annotations

import json
import time
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from experiments.benchmarks import paired
from jaxopt_lab.catalog import of_kind
from jaxopt_lab.catalog.schema import Layer
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.layers import at_task
from jaxopt_lab.training import from_nnx

SHAPE = (64, 16, 16, 64)
PASSES = 3
"""Passes of batch normalization over its input: mean, variance, result."""
OVER = 1.15
OPTIONS: dict[str, dict[str, Any]] = {
    "ghost_batch_norm": {"ghost_size": 16},
    "adab2n": {"tasks": 5},
}


def rows() -> dict[str, Layer]:
    """The layers whose rows state their passes, by name."""
    found = of_kind("layer")
    return {n: r for n, r in found.items() if isinstance(r, Layer) and r.passes}


def gradient(core: Any) -> tuple[Any, Any]:
    """The gradient of a training call, and its arguments.

    Args:
      core: ``init`` and ``apply`` of a layer.

    Returns:
      ``run(params, state, x, slopes)``, and a function that makes its arguments.
    """

    def arguments() -> Any:
        params, state = core.init(jax.random.key(0))
        x, slopes = jax.random.normal(jax.random.key(1), (2, *SHAPE))
        return params, state, x, slopes

    def run(params: Any, state: Any, x: jax.Array, slopes: jax.Array) -> Any:
        floating, rebuild = _floating(state)
        outputs = lambda p, s, x: core.apply(p, rebuild(s), x, train=True)
        y, back, new = jax.vjp(outputs, params, floating, x, has_aux=True)
        return y, back(slopes), new

    return run, arguments


def _floating(state: Any) -> tuple[list[Any], Any]:
    """The floating leaves, and a function that puts others in their place."""
    leaves, tree = jax.tree.flatten(state)
    moving = [jnp.issubdtype(x.dtype, jnp.floating) for x in leaves]

    def rebuild(new: list[Any]) -> Any:
        given = iter(new)
        every = zip(leaves, moving, strict=True)
        return tree.unflatten([next(given) if m else x for x, m in every])

    return [x for x, m in zip(leaves, moving, strict=True) if m], rebuild


def figures(*, pairs: int = 0) -> dict[str, dict[str, float]]:
    """Bytes, passes and times of all layers.

    Args:
      pairs: pairs of runs; 0: no times, and nothing is compiled.

    Returns:
      By layer: ``bytes`` kept per number of the input, ``passes``, ``bar``, the largest
      ratio that is accepted, and ``time``, the ratio.
    """
    features = SHAPE[-1]
    batch_norm = from_nnx(
        lambda rngs: nnx.BatchNorm(features, use_fast_variance=False, rngs=rngs)
    )
    found: dict[str, dict[str, float]] = {}
    plain = _program(batch_norm) if pairs else None
    for name, row in rows().items():
        options = row.checked(OPTIONS.get(name, {}))
        values = {**row.defaults(), **options}
        kept = eval(row.residual_bytes, {"__builtins__": {}}, values)
        found[name] = {"bytes": float(kept), "passes": row.passes}
        found[name]["bar"] = OVER * max(1.0, row.passes / PASSES)
        core = row.load()(features, **options)
        if name == "adab2n":
            core = _of_tasks(core)
        if plain is None:
            run, arguments = gradient(core)
            jax.eval_shape(lambda run=run, make=arguments: run(*make()))
        else:
            against = paired.ratio(
                _program(core), plain, pairs=pairs, clock=time.process_time
            )
            found[name]["time"] = against.median
    return found


def _of_tasks(core: Functional) -> Functional:
    """AdaB2N in the last of five tasks, whose examples come in turn."""
    task = jnp.arange(SHAPE[0]) % 5

    def apply(params: Any, state: Any, x: jax.Array, **options: Any) -> Any:
        return core.apply(params, at_task(state, 4), (x, task), **options)

    return Functional(core.init, apply)


def _program(core: Any) -> Any:
    run, arguments = gradient(core)
    made = jax.jit(arguments)()
    compiled = jax.jit(run).lower(*made).compile()
    return lambda: jax.block_until_ready(compiled(*made))


def main() -> None:
    """Print the figures as a table and as JSON."""
    paired.settle_allocator()
    found = figures(pairs=20)
    print(f"{'layer':20} {'bytes':>6} {'passes':>7} {'time':>6} {'bar':>6}")
    for name, row in found.items():
        over = "" if row["time"] <= row["bar"] else "  above"
        print(
            f"{name:20} {row['bytes']:6.0f} {row['passes']:7.0f} {row['time']:6.2f} "
            f"{row['bar']:6.2f}{over}"
        )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
