"""Uncertainty of predictions: moments over draws, and sensitivity to inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.trees import accumulation_dtype


class PredictiveMoments(NamedTuple):
    """Result of ``predictive_moments``; float32, or float64 for float64.

    Attributes:
      mean: of the predictions.
      aleatoric: mean of the variances that the predictions state; 0 without them.
      epistemic: variance of the predictions.
    """

    mean: jax.Array
    aleatoric: jax.Array
    epistemic: jax.Array


def predictive_moments(
    samples: jax.Array, *, variances: jax.Array | None = None
) -> PredictiveMoments:
    r"""Mean and variances of a mixture of predictions.

    .. math:: \mathrm{Var}(y)
        = \underbrace{\frac1S \sum_s \sigma_s^2}_{\text{aleatoric}}
        + \underbrace{\frac1S \sum_s (\mu_s - \bar\mu)^2}_{\text{epistemic}}

    Args:
      samples: ``(S, ...)``, predictions of the members of an ensemble, or of passes
        with dropout; real floating.
      variances: likewise, that each states of its own; at least 0.

    Returns:
      The moments, each of the shape of one prediction. The epistemic variance of equal
      predictions, and of one, is 0. Time and memory: those of ``samples``.

    Raises:
      InputError: there is no sample, a shape does not fit, the type is another, or a
        variance is below 0 where it is known.

    Source: Lakshminarayanan, Pritzel and Blundell, "Simple and Scalable Predictive
    Uncertainty Estimation using Deep Ensembles", 2017
    (https://arxiv.org/abs/1612.01474).

    >>> found = predictive_moments(jnp.array([[1.0], [3.0]]))
    >>> found.mean.tolist(), found.epistemic.tolist()
    ([2.0], [1.0])
    """
    samples = jnp.asarray(samples)
    if samples.ndim < 1 or not samples.shape[0]:
        raise InputError(f"samples must have at least one; got shape {samples.shape}")
    if not jnp.issubdtype(samples.dtype, jnp.floating):
        raise InputError(f"samples must be real floating; got {samples.dtype}")
    wide = samples.astype(accumulation_dtype(samples.dtype))
    mean = jnp.mean(wide, axis=0)
    epistemic = jnp.mean((wide - mean[None]) ** 2, axis=0)
    if variances is None:
        return PredictiveMoments(mean, jnp.zeros_like(mean), epistemic)
    stated = jnp.asarray(variances)
    if stated.shape != samples.shape:
        raise InputError(
            f"variances must have the shape of samples {samples.shape}; got "
            f"{stated.shape}"
        )
    known = known_values(stated)
    if known is not None and (known < 0).any():
        raise InputError(f"variances must be at least 0; got {known.min():g}")
    aleatoric = jnp.mean(stated.astype(wide.dtype), axis=0)
    return PredictiveMoments(mean, aleatoric, epistemic)


def input_sensitivity(fn: Callable[[jax.Array], jax.Array], inputs: Any) -> jax.Array:
    r"""Absolute derivatives of every output with respect to a few inputs.

    Args:
      fn: ``fn(inputs) -> output``, such as an image of its view.
      inputs: ``(p,)``, real floating; a forward derivative is taken for each.

    Returns:
      ``(..., p)``, :math:`|\partial g / \partial v|` for outputs ``(...)``. Cost: p
      forward passes side by side.

    Raises:
      InputError: the inputs are no real floating vector.

    >>> input_sensitivity(lambda v: jnp.stack([v[0] - 2 * v[1]]), jnp.ones(2)).tolist()
    [[1.0, 2.0]]
    """
    inputs = jnp.asarray(inputs)
    if inputs.ndim != 1 or not jnp.issubdtype(inputs.dtype, jnp.floating):
        raise InputError(
            f"inputs must be a real floating vector; got {inputs.dtype} of shape "
            f"{inputs.shape}"
        )
    return jnp.abs(jax.jacfwd(fn)(inputs))
