"""One temperature that calibrates the probabilities of a classifier."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.labels import is_class
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import POSITIVE, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.where import or_zero
from jaxopt_lab.metrics.mergeable import labelled

# Bisection of the logarithm halves an interval of 10 to 1e-17 of its length.
_HALVINGS = 60


class FittedTemperature(NamedTuple):
    """A fitted temperature.

    Attributes:
      temperature: scalar, float32 or float64.
    """

    temperature: jax.Array


def fit_temperature(
    data: Mapping[str, jax.Array],
    *,
    where: jax.Array | None = None,
    key: jax.Array | None = None,
    lowest: Annotated[float, POSITIVE] = 0.01,
    highest: Annotated[float, POSITIVE] = 100.0,
) -> FittedTemperature:
    r"""The temperature at which the logits have the least cross-entropy.

    .. math:: T = \arg\min_T \sum_i w_i \left( \log \sum_c e^{z_{ic} / T}
        - z_{i y_i} / T \right)

    is convex in :math:`\beta = 1 / T`, so that the zero of the derivative,

    .. math:: g(\beta) = \sum_i w_i \left( \sum_c p_{ic}(\beta) z_{ic}
        - z_{i y_i} \right),

    which never decreases, is found by bisection of :math:`\log T`, in 60 passes over
    the logits. The order of the classes by probability stays as it is.

    Args:
      data: ``{"outputs": (B, C) logits, "targets": (B,) labels}``.
      where: shape ``(B,)``, weight of each example; 0 drops one, whatever it holds.
        None: ones.
      key: not used; every estimator takes one.
      lowest: least temperature. It is the result where all labels have the largest
        logits and smaller temperatures are ever better.
      highest: greatest temperature, likewise where larger ones are ever better.

    Returns:
      The temperature. 1, or the bound next to it, where every temperature is as good:
      equal logits, one class, no example. Logits that are NaN give NaN. The derivative
      with respect to the logits is that of the implicit function, to any order, and
      zero where a bound is active; memory: one array of the size of the logits.

    Raises:
      InputError: a bound is not above 0, ``lowest`` exceeds ``highest``, or the shapes
        do not fit.

    Source: Guo et al., "On Calibration of Modern Neural Networks", 2017
    (https://arxiv.org/abs/1706.04599).

    >>> logits = jnp.log(jnp.array([[0.9, 0.1]] * 4))
    >>> data = {"outputs": logits, "targets": jnp.array([0, 0, 0, 1])}
    >>> fitted = fit_temperature(data)
    >>> jax.nn.softmax(apply_temperature(fitted, logits))[0].round(2).tolist()
    [0.75, 0.25]
    """
    check_arguments(fit_temperature, locals())
    low, high = known_number(lowest), known_number(highest)
    if low is not None and high is not None and not low <= high:
        raise InputError(f"lowest must be at most highest; got {lowest}, {highest}")
    given = dict(data) if where is None else {**data, "weight": where}
    logits, labels, weight = labelled(given)
    is_label = is_class(labels, logits.shape[1])
    # Differences from the label's logit: the sum of equal logits is exactly zero.
    own = jnp.sum(jnp.where(is_label, logits, 0), axis=1, keepdims=True)
    apart = jnp.where(jnp.any(is_label, axis=1, keepdims=True), logits - own, jnp.nan)
    apart = or_zero(apart, weight)
    ends = [-jnp.log(jnp.asarray(b, logits.dtype)) for b in (highest, lowest)]
    return FittedTemperature(jnp.exp(-_best(apart, weight, *ends)))


def apply_temperature(fitted: FittedTemperature, inputs: jax.Array) -> jax.Array:
    """Logits divided by a fitted temperature.

    Args:
      fitted: the result of ``fit_temperature``.
      inputs: logits, any shape and floating type.

    Returns:
      The same shape and type.

    >>> apply_temperature(FittedTemperature(jnp.array(2.0)), jnp.ones(1)).tolist()
    [0.5]
    """
    wide = accumulation_dtype(inputs.dtype)
    temperature = fitted.temperature.astype(wide)
    return (inputs.astype(wide) / temperature).astype(inputs.dtype)


# Outside of `jit` one program; inside, several fits share one trace.
@jax.jit
def _best(
    apart: jax.Array, weight: jax.Array, low: jax.Array, high: jax.Array
) -> jax.Array:
    """Logarithm of the best beta: a zero of the derivative, or the end next to it."""

    def derivative(log_beta: jax.Array) -> jax.Array:
        p = jax.nn.softmax(apart * jnp.exp(log_beta))
        return jnp.sum(weight * jnp.sum(p * apart, axis=1))

    def halved(f: Any, _: jax.Array) -> jax.Array:
        def body(_: Any, ends: Any) -> Any:
            left, right = ends
            middle = (left + right) / 2
            below = f(middle) < 0
            return jnp.where(below, middle, left), jnp.where(below, right, middle)

        left, right = jax.lax.fori_loop(0, _HALVINGS, body, (low, high))
        return (left + right) / 2

    def solved(linear: Any, y: jax.Array) -> jax.Array:
        slope = linear(jnp.ones_like(y))
        flat = slope == 0
        return jnp.where(flat, 0, y / jnp.where(flat, 1, slope))

    start = jnp.zeros_like(low)
    inner = jax.lax.custom_root(derivative, start, halved, solved)
    at_low, at_high = derivative(low), derivative(high)
    best = jnp.where(at_low >= 0, low, jnp.where(at_high <= 0, high, inner))
    # Flat everywhere: each temperature is as good, and 1 changes nothing.
    flat = (at_low == 0) & (at_high == 0)
    best = jnp.where(flat, jnp.clip(start, low, high), best)
    return jnp.where(jnp.isnan(at_low), jnp.nan, best)
