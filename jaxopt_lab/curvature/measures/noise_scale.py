"""The gradient noise scale: estimates with jackknife errors."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from jaxopt_lab.core import trees
from jaxopt_lab.core.checks import check_positive_count
from jaxopt_lab.core.errors import InputError


class NoiseScale(NamedTuple):
    r"""An estimate of the simple noise scale; scalars.

    Attributes:
      value: :math:`\operatorname{tr} \Sigma / |G|^2`, in examples. The quotient of two
        unbiased estimates, itself biased by the order of its error squared.
      standard_error: of the value, by the jackknife; NaN with too few draws.
      trace: the estimate of :math:`\operatorname{tr} \Sigma`, the variance of a
        single example's gradient, all entries added.
      trace_error: its standard error.
      squared_norm: the estimate of :math:`|G|^2`, without the part that the noise
        adds to the square of a mean. It can be negative where the noise drowns the
        gradient; more examples are wanted then.
      squared_norm_error: its standard error.
    """

    value: Array
    standard_error: Array
    trace: Array
    trace_error: Array
    squared_norm: Array
    squared_norm_error: Array

    @property
    def error(self) -> Array:
        """``standard_error``, under the name that all diagnostics share."""
        return self.standard_error


def with_jackknife(
    trace: Array, squared: Array, traces: Array, squares: Array, used: Array
) -> NoiseScale:
    """A noise scale with its errors.

    Args:
      trace: estimate of the trace from all draws.
      squared: that of the squared norm.
      traces: ``(n,)``, estimates without one draw each.
      squares: likewise.
      used: ``(n,)`` booleans, the draws that count.

    Returns:
      The noise scale.
    """
    n = jnp.sum(used).astype(trace.dtype)

    def error(without: Array) -> Array:
        mean = trees.safe_divide(jnp.sum(jnp.where(used, without, 0)), n)
        spread = jnp.sum(jnp.where(used, (without - mean) ** 2, 0))
        root = trees.safe_sqrt(spread * trees.safe_divide(n - 1, n))
        # With one of two draws left out, no variance is left to estimate.
        return jnp.where(jnp.isfinite(spread), root, jnp.nan)

    return NoiseScale(
        value=trace / squared,
        standard_error=error(traces / squares),
        trace=trace,
        trace_error=error(traces),
        squared_norm=squared,
        squared_norm_error=error(squares),
    )


def two_batch_noise_scale(
    small_squares: Array, large_squares: Array, small_size: int, large_size: int
) -> NoiseScale:
    r"""Noise scale from squared gradient norms at two batch sizes.

    As :math:`E |G_B|^2 = |G|^2 + \operatorname{tr} \Sigma / B`, two sizes give

    .. math::
        |G|^2 = \frac{B |G_B|^2 - b |G_b|^2}{B - b}, \quad
        \operatorname{tr} \Sigma = \frac{|G_b|^2 - |G_B|^2}{1/b - 1/B},

    without bias for random batches; the means over all steps are divided.

    Args:
      small_squares: squared norm of the gradient of small batches, ``(n,)``, one a
        step; the mean over a step's devices, say.
      large_squares: that of a large batch of the same step, ``(n,)``; the squared norm
        of their averaged gradient. It may contain the small ones.
      small_size: b, examples in a small batch.
      large_size: B, more than b.

    Returns:
      The estimate; errors from the spread over the steps, NaN for one step.

    Raises:
      InputError: the shapes differ or are no vectors, or the sizes are refused.

    Cost: nothing in data-parallel training, where both norms are at hand.

    >>> found = two_batch_noise_scale(jnp.array([5.0]), jnp.array([2.0]), 1, 4)
    >>> float(found.trace), float(found.squared_norm), float(found.value)
    (4.0, 1.0, 4.0)

    Reference: McCandlish, Kaplan, Amodei and the OpenAI Dota Team, "An Empirical Model
    of Large-Batch Training", arXiv:1812.06162, appendix A.1.
    """
    check_positive_count("small_size", small_size)
    check_positive_count("large_size", large_size)
    if large_size <= small_size:
        raise InputError(
            f"large_size must be more than small_size, {small_size}; got {large_size}"
        )
    small, large = jnp.asarray(small_squares), jnp.asarray(large_squares)
    if small.ndim != 1 or small.shape != large.shape or small.size == 0:
        raise InputError(
            "small_squares and large_squares must be vectors of one length; got "
            f"shapes {small.shape} and {large.shape}"
        )
    dtype = trees.accumulation_dtype(small.dtype)
    small, large = small.astype(dtype), large.astype(dtype)
    squares = (large_size * large - small_size * small) / (large_size - small_size)
    traces = (small - large) / (1 / small_size - 1 / large_size)
    n = small.size

    def without(x: Array) -> Array:
        return (jnp.sum(x) - x) / (n - 1) if n > 1 else jnp.full_like(x, jnp.nan)

    return with_jackknife(
        jnp.mean(traces),
        jnp.mean(squares),
        without(traces),
        without(squares),
        jnp.ones(n, bool),
    )
