"""A learned step for activations: rounding whose step has a derivative (LSQ)."""

from __future__ import annotations

import functools
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import Interval, check_arguments
from jaxopt_lab.quantize.range_search import POWER


class LearnedStep(NamedTuple):
    """A quantizer of activations by one step.

    Attributes:
      scale: the step, a scalar; learned.
      low: least code, a scalar of its type: 0 for activations that are never negative.
      high: greatest code.
    """

    scale: jax.Array
    low: jax.Array
    high: jax.Array


def init_step(
    x: jax.Array, *, bits: Annotated[int, Interval(2, 8)], ratios: int = 100
) -> LearnedStep:
    r"""The step with the smallest error :math:`|x - Q(x)|^{2.4}` of equal shrinks.

    Args:
      x: activations on the calibration set.
      bits: of a code; without a sign if no x is negative.
      ratios: ranges that are tried: 1, 1 - 1 / ratios, ... of the largest absolute
        value.

    Returns:
      The quantizer, in float32 (float64 for float64). Zeros get the step 1.

    Raises:
      InputError: ``bits`` is out of range, x is not floating or empty.

    >>> step = init_step(jnp.array([0.0, 1.0, 2.0, 3.0]), bits=2)
    >>> float(step.scale), float(step.low), float(step.high)
    (1.0, 0.0, 3.0)
    """
    check_arguments(init_step, locals())
    if not jnp.issubdtype(x.dtype, jnp.floating) or not x.size:
        raise InputError(
            f"activations must be real floating, at least one; got {x.dtype} of shape "
            f"{x.shape}"
        )
    return _searched(x, bits, ratios)


@functools.partial(jax.jit, static_argnums=(1, 2))
def _searched(x: jax.Array, bits: int, ratios: int) -> LearnedStep:
    wide = jax.lax.stop_gradient(x.astype(trees.accumulation_dtype(x.dtype)))
    signed = jnp.min(wide) < 0
    half = 2 ** (bits - 1)
    low = jnp.where(signed, -half, 0).astype(wide.dtype)
    high = jnp.where(signed, half - 1, 2**bits - 1).astype(wide.dtype)
    largest = jnp.max(jnp.abs(wide))
    largest = jnp.where(largest > 0, largest, high)

    def error(ratio: jax.Array) -> jax.Array:
        step = LearnedStep(ratio * largest / high, low, high)
        return jnp.sum(jnp.abs(wide - learned_step(wide, step)) ** POWER)

    tried = 1 - jnp.arange(ratios, dtype=wide.dtype) / ratios
    best = tried[jnp.argmin(jax.lax.map(error, tried))]
    return LearnedStep(best * largest / high, low, high)


def learned_step(x: jax.Array, step: LearnedStep) -> jax.Array:
    r"""Activations at the nearest multiple of a step.

    .. math:: s \, \mathrm{clip}(\mathrm{round}(x / s), l, h)

    Args:
      x: real floating array.
      step: s, l, h.

    Returns:
      As x. The derivative for x is 1 within the range and 0 outside; for s it is
      the code less x / s within, and l or h outside, not scaled down.

    Source: Esser et al., "Learned Step Size Quantization", arXiv:1902.08153.

    >>> step = LearnedStep(jnp.array(0.5), jnp.array(0.0), jnp.array(3.0))
    >>> learned_step(jnp.array([-1.0, 0.3, 9.0]), step).tolist()
    [0.0, 0.5, 1.5]
    """
    s, low, high = (v.astype(x.dtype) for v in step)
    steps = x / s
    # Of equal ones jnp.clip would share the slope; a bound has none here.
    inside = (steps >= low) & (steps <= high)
    kept = jnp.where(inside, steps, jax.lax.stop_gradient(jnp.clip(steps, low, high)))
    rounded = jax.lax.stop_gradient(jnp.round(kept) - kept)
    return s * (kept + rounded)
