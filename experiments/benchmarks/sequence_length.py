"""Cost of mixers of sequences over the length, and the crossover with attention.

Run as ``python -m experiments.benchmarks.sequence_length``; some minutes. For each
layer of the catalog that mixes a sequence in linear time, and for softmax attention
behind the same projections: operations (products and convolutions, bodies of loops as
often as they run) and peak bytes of a training call with its gradients, by length; and
the length from which the layer takes less time than attention, in pairs of runs.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from experiments.benchmarks import paired
from jaxopt_lab import catalog
from jaxopt_lab.lab.plan.module_text import read_module
from jaxopt_lab.lab.plan.work import flops
from jaxopt_lab.lab.program_bytes import peak_bytes

LENGTHS = (64, 128, 256, 512, 1024)
FEATURES = 32
HYDRA: dict[str, Any] = {"head_dim": 16, "d_state": 16}
LAYERS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "hydra": ("hydra_mixer", HYDRA),
    "forward": ("hydra_mixer", {**HYDRA, "mixer": "forward"}),
    "sum": ("hydra_mixer", {**HYDRA, "mixer": "sum"}),
    "norm_aware": ("norm_aware_attention", {"heads": 2}),
    "attention": ("hydra_mixer", {**HYDRA, "mixer": "attention"}),
}
"""Layers by name: a row of the catalog, and options."""
QUADRATIC = "attention"


class Cost(NamedTuple):
    """What a training call costs.

    Attributes:
      flops: operations.
      peak: bytes.
    """

    flops: float
    peak: float


def program(
    name: str,
    length: int,
    *,
    features: int = FEATURES,
    batch: int = 1,
    gradients: bool = True,
) -> tuple[Any, Any]:
    """The compiled training call of a layer, and its arguments' shapes.

    Args:
      name: of ``LAYERS``.
      length: tokens; of the layer of images, sides of which the product is the length.
      features: size of the last axis.
      batch: sequences.
      gradients: with those of parameters and input.

    Returns:
      ``(program, shapes)``.
    """
    row, options = LAYERS[name]
    core = catalog.get(row, "layer").load()(features, **options)
    places: tuple[int, ...] = (length,)
    if row == "norm_aware_attention":
        side = 1 << (length.bit_length() - 1) // 2
        places = (side, length // side)
    x = jax.ShapeDtypeStruct((batch, *places, features), jnp.float32)
    params, state = jax.eval_shape(core.init, jax.random.key(0))

    def score(params: Any, x: jax.Array) -> jax.Array:
        return jnp.sum(core.apply(params, state, x, train=True)[0] ** 2)

    run = jax.grad(score, (0, 1)) if gradients else score
    return jax.jit(run).lower(params, x).compile(), (params, x)


def cost(name: str, length: int, **options: Any) -> Cost:
    """Operations and peak bytes of a layer.

    Args:
      name: of ``LAYERS``.
      length: tokens.
      **options: those of ``program``.

    Returns:
      The ``Cost``.
    """
    compiled, _ = program(name, length, **options)
    return Cost(flops(read_module(compiled.as_text())), peak_bytes(compiled))


def growth(costs: Sequence[Cost]) -> list[tuple[float, float]]:
    """The growth of operations and bytes from each length to the next.

    Args:
      costs: of lengths that double.

    Returns:
      Ratios of the increases, 2 where a cost is linear and 4 where it is quadratic; a
      constant part does not count.

    >>> growth([Cost(1 + n, 1 + n * n) for n in (1, 2, 4)])
    [(2.0, 4.0)]
    """
    pairs = itertools.pairwise(costs)
    steps = [Cost(b.flops - a.flops, b.peak - a.peak) for a, b in pairs]
    pairs = itertools.pairwise(steps)
    return [(b.flops / a.flops, b.peak / a.peak) for a, b in pairs]


def crossover(lengths: Sequence[int], ratios: Sequence[float]) -> float:
    """The length from which a layer takes less time than attention.

    Args:
      lengths: tokens, rising.
      ratios: its time over that of attention.

    Returns:
      The length where the ratio falls to 1 for good, between two lengths by the
      logarithms; the first one where it is below 1 at all, infinity where at the last
      it is above.

    >>> round(crossover((64, 256), (2.0, 0.5))), crossover((64, 256), (2.0, 1.5))
    (128, inf)
    """
    above = [i for i, ratio in enumerate(ratios) if ratio > 1]
    if not above:
        return float(lengths[0])
    i = above[-1]
    if i + 1 == len(lengths):
        return math.inf
    one, two = math.log(ratios[i]), math.log(ratios[i + 1])
    share = one / (one - two)
    return math.exp(
        (1 - share) * math.log(lengths[i]) + share * math.log(lengths[i + 1])
    )


def _run(name: str, length: int) -> Any:
    compiled, (params, x) = program(name, length)
    fill = lambda s: jnp.full(s.shape, 0.01, s.dtype)
    arguments = jax.tree.map(fill, params), fill(x)
    return lambda: jax.block_until_ready(compiled(*arguments))


def figures(*, lengths: Sequence[int] = LENGTHS, pairs: int = 10) -> dict[str, Any]:
    """Costs of all layers, and their times over that of attention.

    Args:
      lengths: tokens, each twice the one before.
      pairs: pairs of runs.

    Returns:
      By layer: ``flops``, ``peak``, ``time`` by length, and the ``crossover``.
    """
    found: dict[str, Any] = {}
    for name in LAYERS:
        costs = [cost(name, length) for length in lengths]
        found[name] = {
            "flops": [c.flops for c in costs],
            "peak": [c.peak for c in costs],
            "growth": growth(costs),
        }
    for name in LAYERS:
        if name != QUADRATIC:
            ratios = [
                paired.ratio(_run(name, n), _run(QUADRATIC, n), pairs=pairs).median
                for n in lengths
            ]
            found[name]["time"] = ratios
            found[name]["crossover"] = crossover(lengths, ratios)
    return found


def main() -> None:
    """Print the figures as a table and as JSON."""
    found = figures()
    print(f"{'layer':12} {'length':>7} {'MFLOP':>9} {'peak, MB':>9} {'time':>6}")
    for name, row in found.items():
        for i, length in enumerate(LENGTHS):
            time = f"{row['time'][i]:6.2f}" if "time" in row else "      "
            print(
                f"{name:12} {length:7d} {row['flops'][i] / 1e6:9.2f} "
                f"{row['peak'][i] / 1e6:9.2f} {time}"
            )
        if "crossover" in row:
            print(
                f"{name:12} takes less time than attention from {row['crossover']:.0f}"
            )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
