"""Time and error of quantizers on one matrix, paired with GPTQ.

Run as ``taskset -c 0 python -m experiments.benchmarks.quantize``, for one thread; half
a minute. A matrix of 1024 x 1024 weights in 3 bits, inputs with the spectrum 1 / k; the
gram matrix is made before. Every program is compiled before it is timed, in processor
time.
"""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks import paired
from jaxopt_lab.quantize import GPTQGrid, gptq, quantease, round_to_nearest

PROGRAMS: dict[str, Callable[..., Any]] = {
    "nearest": round_to_nearest,
    "gptq": gptq,
    "gptq, activation order": functools.partial(gptq, order="activation"),
    "quantease, 3 sweeps from GPTQ": quantease,
    "quantease, 30 sweeps as published": functools.partial(
        quantease, sweeps=30, init="weights", relax=True
    ),
}


def problem(size: int, seed: int = 0) -> tuple[jax.Array, jax.Array]:
    """A weight and the gram matrix of four times as many inputs.

    Args:
      size: of both axes.
      seed: of the draws.

    Returns:
      Both in float32.
    """
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(size, size)))[0]
    scales = np.arange(1, size + 1) ** -0.5
    x = rng.normal(size=(4 * size, size)) * scales @ basis.T
    x = (x + 0.05 * rng.normal(size=size)).astype(np.float32)
    weight = rng.normal(size=(size, size)).astype(np.float32)
    return jnp.asarray(weight), jnp.asarray(x.T @ x)


def table(size: int, bits: int, pairs: int) -> list[dict[str, Any]]:
    """A row a program: seconds, time over GPTQ's, error over that of the nearest.

    Args:
      size: of the matrix.
      bits: of a code.
      pairs: pairs of runs.

    Returns:
      The rows.
    """
    weight, gram = problem(size)
    grid = GPTQGrid(bits)

    def runner(quantize: Any) -> Callable[[], Any]:
        compiled = jax.jit(lambda w, g: quantize(w, g, grid))
        return lambda: jax.block_until_ready(compiled(weight, gram))

    base = runner(gptq)
    rows = []
    for name, quantize in PROGRAMS.items():
        run = runner(quantize)
        _, report = run()
        ratio = paired.ratio(run, base, pairs=pairs, clock=time.process_time)
        rows.append(
            {
                "program": name,
                "seconds": ratio.seconds[0],
                "over_gptq": ratio.median,
                "quartiles": [ratio.low, ratio.high],
                "error": float(report.error),
                "over_nearest": float(report.error / report.nearest_error),
            }
        )
    return rows


def main() -> int:
    """Print the table and a line of JSON."""
    rows = table(1024, 3, 10)
    print(f"{'program':36} {'seconds':>8} {'x GPTQ':>8} {'error':>8} {'x nearest':>10}")
    for row in rows:
        print(
            f"{row['program']:36} {row['seconds']:8.3f} {row['over_gptq']:8.2f} "
            f"{row['error']:8.5f} {row['over_nearest']:10.3f}"
        )
    print(json.dumps(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
