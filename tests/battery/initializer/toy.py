"""A sound initializer, small enough to be broken in one place."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lab.catalog.part import Neutral
from jaxopt_lab.catalog.schema import Initializer


def scaled(key, shape, dtype=jnp.float32, *, scale: float = 0.5):
    """Normal numbers, scaled.

    Args:
      key: the key.
      shape: the shape.
      dtype: the type.
      scale: standard deviation.

    Returns:
      The numbers.

    >>> scaled(jax.random.key(0), (2, 3)).shape
    (2, 3)
    """
    return jax.random.normal(key, shape, dtype) * jnp.asarray(scale, dtype)


def example() -> dict[str, Any]:
    """A small kernel."""
    return {"shape": (3, 5)}


TOY = Initializer(
    name="scaled",
    summary="the toy",
    build=scaled,
    reduces_to=Neutral({"scale": 1.0}, lambda: jax.random.normal),  # type: ignore[arg-type]
    options=("scale",),
    example=example,
    moments="0, 0.25, 3",
    spectrum="(sqrt(outputs) - sqrt(inputs)) / 2, (sqrt(inputs) + sqrt(outputs)) / 2",
)
TOYS = (TOY,)


def with_init(change: Callable[..., Any], **header: Any) -> Initializer:
    """The toy with ``change(key, shape, dtype, scale)`` in its place."""

    def broken(key, shape, dtype=jnp.float32, *, scale: float = 0.5):
        return change(key, shape, dtype, scale)

    broken.__doc__ = scaled.__doc__
    return dataclasses.replace(TOY, name="broken", build=broken, **header)


def broken(change: Callable[[Any, Any], Any], **header: Any) -> Initializer:
    """The toy whose numbers go through ``change(numbers, numbers)``."""

    def changed(key, shape, dtype, scale):
        numbers = scaled(key, shape, dtype, scale=scale)
        return change(numbers, numbers)

    return with_init(changed, **header)
