"""Weight decay and clipping around an optimizer of the command line."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.lab import methods, path_rules
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
      mask: ``mask(params)``, a tree of booleans, the parameters that decay; or of
        numbers, the factors of their lambda.

    Returns:
      The transformation; 4 bytes of state.

    Source: Loshchilov and Hutter 2019, arXiv:1711.05101.
    """

    def init(params: Any) -> DecayState:
        del params
        return DecayState(jnp.zeros((), jnp.int32))

    def update(updates: Any, state: Any, params: Any = None) -> Any:
        decays = jax.tree.map(lambda _: True, params) if mask is None else mask(params)

        def one(share: float, u: jax.Array, p: jax.Array) -> jax.Array:
            rate = strength * share * learning_rate(state.count)
            return u - (jnp.asarray(rate, p.dtype) * p).astype(u.dtype) if share else u

        updates = jax.tree.map(one, decays, updates, params)
        return updates, DecayState(optax.safe_increment(state.count))

    return optax.GradientTransformation(init, update)


def shared_l2(strength: float, shares: Any) -> optax.GradientTransformation:
    """L2 decay, the gradient plus lambda times the weights, by factors.

    Args:
      strength: lambda.
      shares: ``shares(params)``, a tree of numbers: the factors of lambda.

    Returns:
      The transformation; no state.
    """

    def update(updates: Any, params: Any) -> Any:
        def one(share: float, u: jax.Array, p: jax.Array) -> jax.Array:
            return u + (strength * share * p).astype(u.dtype) if share else u

        return jax.tree.map(one, shares(params), updates, params)

    return optax.stateless(update)


def _shares(run: RunOptions) -> Any:
    """``shares(params)``, the factors of the decay; ``None``: all are 1."""
    kernels_only = run.weight_decay_mask == "kernels"
    if not run.decay_rules:
        return kernels if kernels_only else None
    rules = path_rules.parse("decay_rules", run.decay_rules)
    ruled = path_rules.factors("decay_rules", rules)
    if not kernels_only:
        return ruled
    return lambda params: jax.tree.map(
        lambda share, kernel: share * kernel, ruled(params), kernels(params)
    )


def _as_mask(row: methods.Method, run: RunOptions, shares: Any) -> Any:
    """Factors as a mask, for an optimizer that decays itself."""
    rules = path_rules.parse("decay_rules", run.decay_rules)
    if any(rule.factor not in (0, 1) for rule in rules):
        raise InputError(
            f"decay_rules={run.decay_rules}: {row.name} decays by itself and takes no "
            "factors; accepted: 0 and 1, or weight_decay_type=l2"
        )
    return lambda params: jax.tree.map(bool, shares(params))


def around(
    row: methods.Method,
    options: Mapping[str, Any],
    run: RunOptions,
    strength: Any,
) -> optax.GradientTransformationExtraArgs:
    """An optimizer with the weight decay, clipping and rates of a run.

    Args:
      row: the optimizer.
      options: its options; ``learning_rate`` may be a schedule.
      run: type, mask and factors of the decay, the norm to clip at, and the factors of
        the rates, which scale the whole update, a decoupled decay with it.
      strength: of the decay, where the optimizer has no option for it; it may be
        traced.

    Returns:
      The optimizer alone; or a chain of clipping, L2, the optimizer, decoupled decay,
      and factors.

    Raises:
      InputError: the optimizer evaluates gradients itself, which clipping and L2 would
        not reach; it has a decay without a mask; or it has no learning rate.
    """
    options = dict(options)
    l2 = run.weight_decay_type == "l2"
    own = "weight_decay" in options
    if own and l2:
        strength, options["weight_decay"] = options["weight_decay"], 0.0
    mask = _shares(run)
    fixed = {}
    if own and not l2 and mask is not None:
        accepted = inspect.signature(row.load()).parameters
        name = next((m for m in _MASKS if m in accepted), None)
        if name is None:
            given = "decay_rules" if run.decay_rules else "weight_decay_mask"
            raise InputError(
                f"{given}={getattr(run, given)}: the decay of {row.name} has no mask; "
                f"accepted: {getattr(RunOptions(), given) or 'none'}"
            )
        fixed[name] = _as_mask(row, run, mask)
    before: list[Any] = []
    if run.clip_norm:
        before.append(optax.clip_by_global_norm(run.clip_norm))
    # A traced strength may be one.
    lasting: Any = None if known_number(strength) == 0 else strength
    if l2 and lasting is not None:
        before.append(
            shared_l2(lasting, mask)
            if run.decay_rules
            else optax.add_decayed_weights(lasting, mask)
        )
    if before and "grad_fn" in row.needs:
        name = "clip_norm" if run.clip_norm else "weight_decay_type=l2"
        raise InputError(
            f"{name} would not reach the gradients that {row.name} evaluates itself"
        )
    optimizer = methods.alone(row, options, logged=True, fixed=fixed)
    after = []
    if lasting is not None and not l2:
        rate = options.get("learning_rate")
        if rate is None:
            raise InputError(
                f"weight_decay={strength} needs weight_decay_type=l2: {row.name} has "
                "no learning rate"
            )
        given: Any = rate
        schedule: Any = given if callable(given) else optax.constant_schedule(given)
        after.append(decoupled_decay(lasting, schedule, mask))
    if run.rate_rules:
        rules = path_rules.parse("rate_rules", run.rate_rules)
        of_rates = path_rules.factors("rate_rules", rules)
        after.append(path_rules.scale_by_path(of_rates))
    if not before and not after:
        return optimizer
    return optax.chain(*before, optimizer, *after)
