"""A sound layer, small enough to be broken in one place."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.catalog.part import Neutral
from jaxopt_lab.catalog.schema import Layer
from jaxopt_lab.core.functional import Functional, real_layer
from jaxopt_lab.core.trees import accumulation_dtype


def centring(features: int, *, amount: float = 1.0) -> Functional:
    """Inputs minus their mean over the batch, scaled; running means in evaluation.

    Args:
      features: size of the last axis.
      amount: part of the mean that is subtracted.

    Returns:
      The layer.

    >>> sorted(centring(2).init()[0])
    ['bias', 'scale']
    """

    def init(key=None):
        ones = jnp.ones(features, jnp.float32)
        return {"scale": ones, "bias": 0 * ones}, {"mean": 0 * ones}

    def apply(params, state, x, *, train, key=None, axis_name=None, mask=None):
        wide = accumulation_dtype(x.dtype)
        z = x.astype(wide)
        valid = jnp.ones(x.shape[:1], bool) if mask is None else mask != 0
        valid = valid.reshape((-1,) + (1,) * (x.ndim - 1))
        z = jnp.where(valid, z, 0)
        mean = state["mean"].astype(wide)
        if train:
            places = np.prod(x.shape[1:-1], dtype=int)
            sums = jnp.sum(z.reshape(-1, features), axis=0)
            count = jnp.sum(valid, dtype=wide) * jnp.asarray(places, wide)
            if axis_name is not None:
                sums, count = jax.lax.psum((sums, count), axis_name)
            moved = sums / jnp.maximum(count, 1)
            state = {"mean": (0.9 * mean + 0.1 * moved).astype(state["mean"].dtype)}
            mean = moved
        shape = (1,) * (x.ndim - 1) + (-1,)
        scale, bias = (params[n].astype(wide).reshape(shape) for n in ("scale", "bias"))
        y = (z - jnp.asarray(amount, wide) * mean.reshape(shape)) * scale + bias
        # A square keeps an array for the gradient.
        y = jnp.where(valid, y + 0.1 * y * y, 0)
        return y.astype(x.dtype), state

    return real_layer(init, apply)


def affine(params: Any, x: Any) -> Any:
    """The toy without the mean."""
    y = x * params["scale"].reshape(1, 1, -1) + params["bias"].reshape(1, 1, -1)
    return y + 0.1 * y * y


def example() -> dict[str, Any]:
    """Four examples of three places and two features."""
    rng = np.random.default_rng(0)
    return {"x": rng.normal(size=(4, 3, 2)) + 0.5}


TOY = Layer(
    name="centring",
    summary="the toy",
    build=centring,
    module=centring,
    replaces=("norm",),
    reduces_to=Neutral({"amount": 0.0}, affine),  # type: ignore[arg-type]
    options=("amount",),
    example=example,
    state="running",
    couples_examples=True,
    residual_bytes="22",
)


def with_apply(change: Callable[..., Any], **header: Any) -> Layer:
    """The toy with ``change(apply, params, state, x, **options)`` as its ``apply``."""

    def broken(features: int, *, amount: float = 1.0) -> Functional:
        init, apply = centring(features, amount=amount)

        def changed(params, state, x, **options):
            return change(apply, params, state, x, **options)

        return Functional(init, changed)

    broken.__doc__ = centring.__doc__
    return dataclasses.replace(TOY, name="broken", build=broken, **header)


def broken(change: Callable[[Any, Any], Any], **header: Any) -> Layer:
    """The toy whose results go through ``change(results, input)``."""

    def apply_changed(apply, params, state, x, **options):
        y, state = apply(params, state, x, **options)
        return change((y, state), x)

    return with_apply(apply_changed, **header)


TOYS = (TOY,)
