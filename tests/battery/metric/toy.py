"""A sound metric, small enough to be broken in one place."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from battery.metric.set_toy import SET_TOY
from jaxopt_lab.catalog.part import Neutral
from jaxopt_lab.catalog.schema import Metric
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.metrics.mergeable import MergeableMetric


class Sums(NamedTuple):
    """Sums of the toy."""

    confidence: jax.Array
    weight: jax.Array


def confidence(*, power: int = 2) -> MergeableMetric:
    """Mean probability of the label, to a power.

    Args:
      power: the exponent.

    Returns:
      The metric.

    >>> confidence().init().weight.item()
    0.0
    """

    def init(dtype=jnp.float32):
        return Sums(jnp.zeros((), dtype), jnp.zeros((), dtype))

    def update(sums, batch):
        x, y = batch["outputs"], batch["targets"]
        x = x.astype(accumulation_dtype(x.dtype))
        weight = batch.get("weight", jnp.ones(y.shape, x.dtype)).astype(x.dtype)
        p = jax.nn.softmax(jnp.where(weight[:, None] != 0, x, 0))
        own = jnp.arange(x.shape[1], dtype=y.dtype)[None] == y[:, None]
        p = jnp.sum(jnp.where(own, p, 0), axis=1) ** power
        return Sums(
            sums.confidence + jnp.sum(weight * p), sums.weight + jnp.sum(weight)
        )

    def compute(sums):
        return {"confidence": sums.confidence / sums.weight}

    merge = lambda a, b: jax.tree.map(jnp.add, a, b)
    return MergeableMetric(init, update, merge, compute)


def of_labels(outputs: Any, targets: Any) -> Any:
    """The toy with power 1."""
    p = jax.nn.softmax(outputs)
    return {"confidence": jnp.mean(jnp.take_along_axis(p, targets[:, None], axis=1))}


def in_numpy(outputs: Any, targets: Any, power: int = 2) -> Any:
    """The toy in NumPy."""
    p = np.exp(outputs) / np.sum(np.exp(outputs), axis=1, keepdims=True)
    return {"confidence": np.mean(p[np.arange(len(targets)), targets] ** power)}


def example() -> dict[str, Any]:
    """Six examples of three classes."""
    rng = np.random.default_rng(0)
    targets = np.array([0, 2, 1, 1, 0, 2], np.int32)
    best = 1e3 * np.eye(3)[targets]
    outputs = rng.normal(size=(6, 3))
    return {"outputs": outputs, "targets": targets, "best": best, "worst": -best}


TOY = Metric(
    name="confidence",
    summary="the toy",
    build=confidence,
    reduces_to=Neutral({"power": 1}, of_labels),  # type: ignore[arg-type]
    options=("power",),
    example=example,
    range=(0.0, 1.0),
    direction="higher",
    reference=in_numpy,  # type: ignore[arg-type]
)
TOYS = (TOY, SET_TOY)


def with_metric(change: Callable[[MergeableMetric], Any], **header: Any) -> Metric:
    """The toy with ``change(metric)``."""

    def broken(*, power: int = 2):
        return change(confidence(power=power))

    broken.__doc__ = confidence.__doc__
    return dataclasses.replace(TOY, name="broken", build=broken, **header)


def broken(change: Callable[[Any, Any], Any], **header: Any) -> Metric:
    """The toy whose sums go through ``change(sums, outputs)`` at each update."""

    def changed(metric):
        def update(sums, batch):
            return change(metric.update(sums, batch), batch["outputs"])

        return metric._replace(update=update)

    return with_metric(changed, **header)
