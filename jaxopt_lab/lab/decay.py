"""Weight decay and clipping around an optimizer of the command line."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import methods
from jaxopt_lab.lab.run_options import RunOptions

_MASKS = ("mask", "weight_decay_mask")


class DecayState(NamedTuple):
    """Number of updates, at which the schedule is read."""

    count: Any


def kernels(params: Any) -> Any:
    """A mask of the parameters with two axes or more: no biases, no scales of norms."""
    return jax.tree.map(lambda p: jnp.ndim(p) > 1, params)


def decoupled_decay(
    strength: float, learning_rate: optax.Schedule, mask: Any = None
) -> optax.GradientTransformation:
    r"""Decay beside any optimizer, :math:`u - \eta_t \lambda w`; last in a chain.

    Args:
      strength: lambda.
      learning_rate: eta, by number of updates.
      mask: ``mask(params)``, a tree of booleans: the parameters that decay.

    Returns:
      The transformation; 4 bytes of state.

    Source: Loshchilov and Hutter 2019, arXiv:1711.05101.
    """

    def init(params: Any) -> DecayState:
        del params
        return DecayState(jnp.zeros((), jnp.int32))

    def update(updates: Any, state: Any, params: Any = None) -> Any:
        decays = jax.tree.map(lambda _: True, params) if mask is None else mask(params)

        def one(decayed: bool, u: jax.Array, p: jax.Array) -> jax.Array:
            rate = jnp.asarray(strength * learning_rate(state.count), p.dtype)
            return u - (rate * p).astype(u.dtype) if decayed else u

        updates = jax.tree.map(one, decays, updates, params)
        return updates, DecayState(optax.safe_increment(state.count))

    return optax.GradientTransformation(init, update)


def around(
    row: methods.Method,
    options: Mapping[str, Any],
    run: RunOptions,
    strength: float | None,
) -> optax.GradientTransformationExtraArgs:
    """An optimizer with the weight decay and the clipping of a run.

    Args:
      row: the optimizer.
      options: its options; ``learning_rate`` may be a schedule.
      run: type and mask of the decay, and the norm to clip at.
      strength: of the decay, where the optimizer has no option for it.

    Returns:
      The optimizer alone; or a chain of clipping, L2, the optimizer, decoupled decay.

    Raises:
      InputError: the optimizer evaluates gradients itself, which clipping and L2 would
        not reach; it has a decay without a mask; or it has no learning rate.
    """
    options = dict(options)
    l2 = run.weight_decay_type == "l2"
    own = "weight_decay" in options
    if own and l2:
        strength, options["weight_decay"] = options["weight_decay"], 0.0
    mask = kernels if run.weight_decay_mask == "kernels" else None
    fixed = {}
    if own and not l2 and mask is not None:
        accepted = inspect.signature(row.load()).parameters
        name = next((m for m in _MASKS if m in accepted), None)
        if name is None:
            raise InputError(
                f"weight_decay_mask={run.weight_decay_mask}: the decay of {row.name} "
                "has no mask; accepted: all"
            )
        fixed[name] = mask
    before: list[Any] = []
    if run.clip_norm:
        before.append(optax.clip_by_global_norm(run.clip_norm))
    if l2 and strength:
        before.append(optax.add_decayed_weights(strength, mask))
    if before and "grad_fn" in row.needs:
        name = "clip_norm" if run.clip_norm else "weight_decay_type=l2"
        raise InputError(
            f"{name} would not reach the gradients that {row.name} evaluates itself"
        )
    optimizer = methods.alone(row, options, logged=True, fixed=fixed)
    after = []
    if strength and not l2:
        rate = options.get("learning_rate")
        if rate is None:
            raise InputError(
                f"weight_decay={strength} needs weight_decay_type=l2: {row.name} has "
                "no learning rate"
            )
        given: Any = rate
        schedule: Any = given if callable(given) else optax.constant_schedule(given)
        after.append(decoupled_decay(strength, schedule, mask))
    if not before and not after:
        return optimizer
    return optax.chain(*before, optimizer, *after)
