"""Sound losses, small enough to be broken in one place."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.catalog.part import Neutral
from jaxopt_lab.catalog.schema import Loss
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.losses.stateful import StatefulLoss


def ranking(outputs, targets, *, where=None, power: float = 1.5):
    """Softened distance of the outputs, without their mean, to the targets.

    Args:
      outputs: ``(B, C)``.
      targets: ``(B,)``, integers.
      where: ``(B,)``.
      power: half of the exponent.

    Returns:
      ``(B,)``.

    >>> ranking(jnp.zeros((1, 2)), jnp.array([0])).shape
    (1,)
    """
    wide = accumulation_dtype(outputs.dtype)
    x = outputs.astype(wide)
    if where is not None:
        x = jnp.where((where != 0)[:, None], x, 0)
    classes = jnp.arange(x.shape[1], dtype=targets.dtype)[None]
    own = jnp.sum(jnp.where(classes == targets[:, None], x, 0), axis=1)
    apart = jnp.tanh((jnp.mean(x, axis=1) - own) / 8) + 1
    loss = apart ** jnp.asarray(power, wide)
    return loss if where is None else jnp.where(where != 0, loss, 0)


def softened(outputs: Any, targets: Any) -> Any:
    """The toy with exponent 1."""
    own = jnp.take_along_axis(outputs, targets[:, None], axis=1)[:, 0]
    return jnp.tanh((jnp.mean(outputs, axis=1) - own) / 8) + 1


def example() -> dict[str, Any]:
    """Four examples of three classes."""
    rng = np.random.default_rng(0)
    targets = np.array([0, 2, 1, 1], np.int32)
    perfect = 1e3 * np.eye(3)[targets]
    return {"outputs": rng.normal(size=(4, 3)), "targets": targets, "perfect": perfect}


TOY = Loss(
    name="ranking",
    summary="the toy",
    build=ranking,
    reduces_to=Neutral({"power": 1.0}, softened),  # type: ignore[arg-type]
    options=("power",),
    example=example,
    lower_bound=0.0,
    perfect=0.0,
    invariance="a constant added to the logits",
)


def with_loss(change: Callable[..., Any], **header: Any) -> Loss:
    """The toy with ``change(outputs, targets, where, power)`` in its place."""

    def broken(outputs, targets, *, where=None, power: float = 1.5):
        return change(outputs, targets, where, power)

    broken.__doc__ = ranking.__doc__
    return dataclasses.replace(TOY, name="broken", build=broken, **header)


def broken(change: Callable[[Any, Any], Any], **header: Any) -> Loss:
    """The toy whose losses go through ``change(losses, outputs)``."""

    def changed(outputs, targets, where, power):
        losses = ranking(outputs, targets, where=where, power=power)
        return change(losses, outputs)

    return with_loss(changed, **header)


def drifting(*, decay: float = 0.5) -> StatefulLoss:
    """Squared distance to a running mean, which is held constant.

    Args:
      decay: of the mean.

    Returns:
      The loss.

    >>> drifting().init(jnp.ones((2, 3))).shape
    (3,)
    """

    def init(example):
        return jnp.zeros(example.shape[-1], accumulation_dtype(example.dtype))

    def apply(state, outputs, *, where=None):
        wide = accumulation_dtype(outputs.dtype)
        valid = jnp.ones(outputs.shape[:1], bool) if where is None else where != 0
        x = jnp.where(valid[:, None], outputs.astype(wide), 0)
        mean = jnp.sum(x, axis=0) / jnp.maximum(jnp.sum(valid, dtype=wide), 1)
        mean = jax.lax.stop_gradient(mean)
        decay_ = jnp.asarray(decay, wide)
        state = (decay_ * state + (1 - decay_) * mean).astype(state.dtype)
        loss = jnp.sum(jnp.square(x - state.astype(wide)[None]), axis=1)
        return jnp.where(valid, loss, 0), state

    return StatefulLoss(init, apply)


def square(outputs: Any) -> Any:
    """The toy with state, whose mean stays zero."""
    return jnp.sum(outputs * outputs, axis=1)


STATEFUL = Loss(
    name="drifting",
    summary="the toy with state",
    build=drifting,
    reduces_to=Neutral({"decay": 1.0}, square),  # type: ignore[arg-type]
    options=("decay",),
    example=lambda: {"outputs": example()["outputs"]},
    stateful=True,
    regularizer=True,
    constant_factors="the running mean",
    lower_bound=0.0,
)
TOYS = (TOY, STATEFUL)


def widening(*, decay: float = 0.5) -> StatefulLoss:
    """The toy with state in float64."""
    init, apply = drifting(decay=decay)

    def changed(state, outputs, *, where=None):
        losses, state = apply(state, outputs, where=where)
        return losses, state.astype(jnp.float64)

    return StatefulLoss(init, changed)
