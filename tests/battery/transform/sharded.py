"""Steps with parameters that are divided among eight devices."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from battery.programs import QUICK
from battery.transform import problems
from battery.transform.loops import Tree, step

STEPS = 2


def params() -> Tree:
    """Two parameters whose first axes eight devices divide evenly."""
    return {
        "m": np.linspace(-1.0, 1.2, 32).reshape(8, 4),
        "v": np.linspace(-0.5, 0.9, 16),
    }


def batch() -> Any:
    """A batch of ``problems.waves``."""
    return np.linspace(0.5, 1.5, 4)


@dataclasses.dataclass(frozen=True)
class Sharded:
    """The end of the steps.

    Attributes:
      params: parameters, on the devices.
      state: state, on the devices.
      split: sharding that the parameters started with.
    """

    params: Tree
    state: Tree
    split: NamedSharding


def run(tx: Any) -> Sharded:
    """``STEPS`` steps of ``tx``, its state laid as the parameters are."""
    mesh = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,))
    split, whole = NamedSharding(mesh, P("x")), NamedSharding(mesh, P())
    at = jax.device_put(params(), split)

    def lies(leaf: Any) -> NamedSharding:
        for p in jax.tree.leaves(at):
            more = leaf.ndim - p.ndim
            if more >= 0 and leaf.shape[more:] == p.shape:
                return NamedSharding(mesh, P(*[None] * more, "x"))
        return whole

    layout = jax.tree.map(lies, jax.eval_shape(tx.init, at))
    init = jax.jit(tx.init, out_shardings=layout, compiler_options=QUICK)
    one = jax.jit(lambda *a: step(tx, *a, problems.waves)[:2], compiler_options=QUICK)
    state, there = init(at), jax.device_put(batch(), whole)
    for _ in range(STEPS):
        at, state = one(at, state, there)
    return Sharded(at, state, split)
