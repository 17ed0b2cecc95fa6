"""A sound metric of two sets, small enough to be broken in one place."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxopt_lab.catalog.part import Neutral
from jaxopt_lab.catalog.schema import Metric
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.metrics.sets import Estimate


class Overlap(NamedTuple):
    """The toy's result."""

    overlap: Estimate


def overlap(
    real: Any, generated: Any, *, power: int = 2, key: Any = None, block: int = 4
) -> Overlap:
    """Closeness of two means.

    Args:
      real: points.
      generated: points.
      power: of the distance.
      key: not used.
      block: not used.

    Returns:
      The estimate.

    >>> overlap(jnp.ones((2, 1)), jnp.ones((3, 1))).overlap.value.item()
    1.0
    """
    del key, block
    dtype = accumulation_dtype(real.dtype)
    means = [jnp.mean(x.astype(dtype), axis=0) for x in (real, generated)]
    apart = jnp.sum(jnp.abs(means[0] - means[1]) ** power)
    return Overlap(Estimate(jnp.exp(-apart), jnp.zeros((), dtype)))


def linear(real: Any, generated: Any) -> Overlap:
    """The toy with power 1."""
    return overlap(real, generated, power=1)


def in_numpy(real: Any, generated: Any, power: int = 2) -> Any:
    """The toy in NumPy."""
    apart = np.abs(np.mean(real, axis=0) - np.mean(generated, axis=0))
    return {"overlap": np.exp(-np.sum(apart**power))}


def example() -> dict[str, Any]:
    """Two sets."""
    rng = np.random.default_rng(0)
    real, other = rng.normal(size=(5, 2)), rng.normal(size=(4, 2))
    return {"real": real, "generated": other, "best": real, "worst": other + 1e3}


SET_TOY = Metric(
    name="overlap",
    summary="the toy of two sets",
    build=overlap,
    reduces_to=Neutral({"power": 1}, linear),  # type: ignore[arg-type]
    options=("power",),
    example=example,
    range=(0.0, 1.0),
    direction="higher",
    mergeable=False,
    reference=in_numpy,  # type: ignore[arg-type]
)


def broken_set(change: Callable[[Overlap, int], Overlap]) -> Metric:
    """The toy whose result goes through ``change(result, block)``."""

    def build(real: Any, generated: Any, *, power=2, key=None, block=4) -> Overlap:
        return change(overlap(real, generated, power=power, key=key), block)

    build.__doc__ = overlap.__doc__
    return dataclasses.replace(SET_TOY, name="broken set", build=build)
