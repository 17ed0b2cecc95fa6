"""A sound data transform, small enough to be broken in one place."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.catalog.schema import DataTransform, Neutral
from jaxopt_lab.data import compose


def shift(strength: float = 1.0):
    """Add one random number to every input.

    Args:
      strength: factor of the number.

    Returns:
      The transform.

    >>> shift(0.0)(jax.random.key(0), {"x": jnp.ones(1)})["x"].tolist()
    [1.0]
    """

    def transform(key: Any, batch: Any) -> Any:
        x = batch["x"]
        number = jax.random.uniform(key, (), jnp.float32).astype(x.dtype)
        return {**batch, "x": x + jnp.asarray(strength, x.dtype) * number}

    return transform


def example() -> dict[str, Any]:
    """Four examples."""
    x = np.random.default_rng(0).normal(size=(4, 2))
    return {"batch": {"x": x, "label": np.arange(4, dtype=np.int32)}, "strength": 0.5}


TOY = DataTransform(
    name="shift",
    summary="the toy",
    build=shift,
    reduces_to=Neutral({"strength": 0.0}, compose),  # type: ignore[arg-type]
    options=("strength",),
    example=example,
)
TOYS = (TOY,)


def with_results(
    change: Callable[[Any, Any, Any], Any], **header: Any
) -> DataTransform:
    """The toy whose batch goes through ``change(results, batch, key)``."""

    def build(strength: float = 1.0):
        sound = shift(strength)
        return lambda key, batch: change(sound(key, batch), batch, key)

    build.__doc__ = shift.__doc__
    return dataclasses.replace(TOY, name="broken", build=build, **header)


def broken(change: Callable[[Any, Any], Any], **header: Any) -> DataTransform:
    """The toy whose input goes through ``change(x, given)``."""

    def changed(results: Any, batch: Any, key: Any) -> Any:
        return {**results, "x": change(results["x"], batch["x"])}

    return with_results(changed, **header)
