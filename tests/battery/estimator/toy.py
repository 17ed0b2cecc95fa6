"""A sound estimator, small enough to be broken in one place."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxopt_lab.catalog.part import Neutral
from jaxopt_lab.catalog.schema import Estimator
from jaxopt_lab.core.trees import accumulation_dtype


class Fitted(NamedTuple):
    """A mean."""

    mean: Any


def fit_mean(data, *, where=None, key=None, ridge: float = 0.1):
    """Mean, pulled towards zero.

    Args:
      data: ``{"x": (B, D)}``.
      where: weights.
      key: not used.
      ridge: weight of zero.

    Returns:
      The fit.

    >>> float(fit_mean({"x": jnp.ones((2, 1))}, ridge=0.0).mean[0])
    1.0
    """
    x = data["x"]
    wide = accumulation_dtype(x.dtype)
    x = x.astype(wide)
    weight = jnp.ones(len(x), wide) if where is None else where.astype(wide)
    x = jnp.where(weight[:, None] != 0, x, 0)
    total = jnp.sum(weight) + jnp.asarray(ridge, wide)
    return Fitted(jnp.sum(weight[:, None] * x, axis=0) / jnp.where(total > 0, total, 1))


def centred(fitted, inputs):
    """Inputs without the mean.

    Args:
      fitted: the fit.
      inputs: ``(B, D)``.

    Returns:
      The same shape.

    >>> centred(Fitted(jnp.ones(1)), jnp.ones((1, 1))).tolist()
    [[0.0]]
    """
    mean = fitted.mean[None]
    return (inputs.astype(mean.dtype) - mean).astype(inputs.dtype)


def oracle(x: Any) -> Any:
    """The toy in NumPy."""
    return {"mean": np.sum(x, axis=0) / (len(x) + 0.1)}


def spread(fitted: Any, x: Any) -> float:
    """Sum of squares, with the penalty of the mean."""
    mean = 0.0 if fitted is None else fitted.mean
    return float(np.sum((x - mean) ** 2) + 0.1 * np.sum(np.square(mean)))


def example() -> dict[str, Any]:
    """Five examples."""
    x = np.random.default_rng(0).normal(size=(5, 2)) + 1
    return {
        "data": {"x": x},
        "inputs": 0.5 * x,
        "degenerate": {"constant": {"x": np.ones((3, 2))}, "one": {"x": x[:1]}},
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Toy(Estimator):
    """A row that brings its own references."""

    oracle: Callable[..., Any] = oracle
    measure: Callable[..., Any] = spread


TOY = Toy(
    name="mean",
    summary="the toy",
    build=fit_mean,
    apply=centred,  # type: ignore[arg-type]
    reduces_to=Neutral({"ridge": 1e300}, jnp.asarray),  # type: ignore[arg-type]
    options=("ridge",),
    example=example,
    form="closed form",
    monotone="the sum of squares",
)
TOYS = (TOY,)


def with_fit(change: Callable[..., Any], **header: Any) -> Estimator:
    """The toy with ``change(data, where, ridge)`` as its fit."""

    def broken(data, *, where=None, key=None, ridge: float = 0.1):
        return change(data, where, ridge)

    broken.__doc__ = fit_mean.__doc__
    return dataclasses.replace(TOY, name="broken", build=broken, **header)


def broken(change: Callable[[Any, Any], Any], **header: Any) -> Estimator:
    """The toy whose fit goes through ``change(fitted, x)``."""

    def changed(data, where, ridge):
        return change(fit_mean(data, where=where, ridge=ridge), data["x"])

    return with_fit(changed, **header)
