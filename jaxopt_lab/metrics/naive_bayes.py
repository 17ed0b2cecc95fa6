"""A linear probe of features in closed form: naive Bayes with shared variances."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values, out_of_range
from jaxopt_lab.core.labels import is_class
from jaxopt_lab.core.options import COUNT, POSITIVE, check_arguments
from jaxopt_lab.core.shapes import refuse_empty
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.where import counted, or_zero


class NaiveBayesSums(NamedTuple):
    """Statistics of the features of each class, which merge exactly.

    Attributes:
      count: ``(C,)``, weight of the examples.
      mean: ``(C, D)``, zero of a class without examples.
      squares: ``(C, D)``, sums of squared distances from the mean.
    """

    count: jax.Array
    mean: jax.Array
    squares: jax.Array


class LinearProbe(NamedTuple):
    """A linear classifier.

    Attributes:
      kernel: ``(D, C)``.
      bias: ``(C,)``.
    """

    kernel: jax.Array
    bias: jax.Array


def fit_naive_bayes(
    data: Mapping[str, jax.Array],
    *,
    where: jax.Array | None = None,
    key: jax.Array | None = None,
    classes: Annotated[int, COUNT] = 10,
    eps: Annotated[float, POSITIVE] = 1e-9,
    uniform: bool = False,
    scale: bool = True,
) -> LinearProbe:
    r"""Gaussian naive Bayes with variances that the classes share: a linear probe.

    With the shares :math:`\pi_k`, means :math:`\mu_k` and variances of the classes,
    divided by their counts, and :math:`v_d = \sum_k \pi_k \mathrm{var}_{kd} +
    \epsilon`, the posterior is the softmax of

    .. math:: x \cdot \frac{\mu_k}{v} + \log \pi_k
        - \frac{1}{2} \sum_d \frac{\mu_{kd}^2}{v_d} .

    Args:
      data: ``{"features": (B, D), "targets": (B,) labels}``.
      where: ``(B,)``, weight of each example; 0 drops one, whatever it holds.
      key: not used; every estimator takes one.
      classes: number of classes.
      eps: added to the variances. Of small sets, features that are almost constant
        spoil the result of 1e-9; 1e-2 does not let them.
      uniform: take all classes to be as likely.
      scale: scale the features of the data to [0, 1] first, constant ones to 0; it
        decides what ``eps`` means, and the result is that of features as they are.

    Returns:
      The probe, float32 or float64. A class without examples has a mean of 0 and the
      least logarithm that is finite. One pass over the data; finite derivatives.

    Raises:
      InputError: shapes do not fit, there is no example, a known label is no class, or
        an option is out of range.

    Source: Zheng et al., "Revisiting discriminative vs. generative classifiers: Theory
    and implications", 2023, and its code.

    >>> x, y = jnp.array([[0.0], [1.0], [3.0], [4.0]]), jnp.array([0, 0, 1, 1])
    >>> probe = fit_naive_bayes({"features": x, "targets": y}, classes=2)
    >>> apply_naive_bayes(probe, jnp.array([[1.9], [2.1]])).argmax(axis=1).tolist()
    [0, 1]
    """
    check_arguments(fit_naive_bayes, locals())
    x, y, weight = _checked(data, where, classes)
    refuse_empty("features", x)
    low, width = jnp.zeros_like(x[0]), jnp.ones_like(x[0])
    if scale:
        inside = counted(weight, 2)
        some = jnp.any(inside)
        low = jnp.min(jnp.where(inside, x, jnp.inf), axis=0)
        high = jnp.max(jnp.where(inside, x, -jnp.inf), axis=0)
        low, high = (jnp.where(some, e, 0) for e in (low, high))
        width = jnp.where(high != low, high - low, 1)
    scaled = (x - low[None]) / width[None]
    probe = naive_bayes_probe(
        naive_bayes_sums(scaled, y, where=weight, classes=classes),
        eps=eps,
        uniform=uniform,
    )
    kernel = probe.kernel / width[:, None]
    return LinearProbe(kernel, probe.bias - low @ kernel)


def apply_naive_bayes(fitted: LinearProbe, inputs: jax.Array) -> jax.Array:
    """Logits of features by a linear probe.

    Args:
      fitted: the result of ``fit_naive_bayes``.
      inputs: features, ``(B, D)``, any floating type.

    Returns:
      ``(B, C)`` of the same type.

    >>> probe = LinearProbe(jnp.ones((1, 2)), jnp.array([0.0, 1.0]))
    >>> apply_naive_bayes(probe, jnp.ones((1, 1))).tolist()
    [[1.0, 2.0]]
    """
    wide = accumulation_dtype(inputs.dtype)
    kernel, bias = (x.astype(wide) for x in fitted)
    return (inputs.astype(wide) @ kernel + bias[None]).astype(inputs.dtype)


def naive_bayes_sums(
    features: jax.Array,
    targets: jax.Array,
    *,
    where: jax.Array | None = None,
    classes: int,
) -> NaiveBayesSums:
    """Statistics of the classes in one batch; batches are merged.

    Args:
      features: ``(B, D)``.
      targets: ``(B,)``.
      where: ``(B,)``, weights.
      classes: number of classes.

    Returns:
      The statistics.

    Raises:
      InputError: as of ``fit_naive_bayes``.

    >>> naive_bayes_sums(jnp.ones((2, 1)), jnp.array([0, 0]), classes=2).count.tolist()
    [2.0, 0.0]
    """
    x, y, weight = _checked({"features": features, "targets": targets}, where, classes)
    own = is_class(y, classes)
    parts = jnp.where(own, weight[:, None], 0)
    count = jnp.sum(parts, axis=0)
    mean = (parts.T @ x) / _or_one(count)[:, None]
    apart = or_zero(x - own.astype(x.dtype) @ mean, weight)
    return NaiveBayesSums(count, mean, parts.T @ (apart * apart))


def merge_naive_bayes(a: NaiveBayesSums, b: NaiveBayesSums) -> NaiveBayesSums:
    """Statistics of two sets of examples together.

    Args:
      a: statistics.
      b: statistics of other examples.

    Returns:
      Those of both, without the cancellation of sums of squares.

    >>> one = naive_bayes_sums(jnp.ones((1, 1)), jnp.array([0]), classes=1)
    >>> merge_naive_bayes(one, one).count.tolist()
    [2.0]
    """
    count = a.count + b.count
    share = (b.count / _or_one(count))[:, None]
    apart = b.mean - a.mean
    between = apart * apart * (a.count[:, None] * share)
    return NaiveBayesSums(
        count, a.mean + share * apart, a.squares + b.squares + between
    )


def naive_bayes_probe(
    sums: NaiveBayesSums,
    *,
    eps: Annotated[float, POSITIVE] = 1e-9,
    uniform: bool = False,
) -> LinearProbe:
    """The linear classifier of statistics; see ``fit_naive_bayes``.

    Args:
      sums: of all examples.
      eps: added to the variances.
      uniform: take all classes to be as likely.

    Returns:
      The probe.

    Raises:
      InputError: ``eps`` is not above 0.

    >>> x, y = jnp.array([[0.0], [1.0], [3.0], [4.0]]), jnp.array([0, 0, 1, 1])
    >>> probe = naive_bayes_probe(naive_bayes_sums(x, y, classes=2), uniform=True)
    >>> [round(float(k), 3) for k in probe.kernel[0]]
    [2.0, 14.0]
    """
    check_arguments(naive_bayes_probe, locals())
    every = _or_one(jnp.sum(sums.count))
    variance = jnp.sum(sums.squares, axis=0) / every + jnp.asarray(eps, every.dtype)
    kernel = sums.mean / variance[None]
    bias = -jnp.sum(sums.mean * kernel, axis=1) / 2
    if not uniform:
        least = float(jnp.finfo(every.dtype).tiny)
        bias = bias + jnp.log(jnp.maximum(sums.count / every, least))
    return LinearProbe(kernel.T, bias)


def _or_one(x: jax.Array) -> jax.Array:
    return jnp.where(x > 0, x, 1)


def _checked(
    data: Mapping[str, jax.Array], where: jax.Array | None, classes: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Features without what weight 0 holds, labels and weights."""
    x, y = (jnp.asarray(data[name]) for name in ("features", "targets"))
    if (
        x.ndim != 2
        or y.shape != x.shape[:1]
        or not jnp.issubdtype(y.dtype, jnp.integer)
    ):
        raise InputError(
            "features and targets must be (B, D) numbers and (B,) integers; got "
            f"{x.dtype} {x.shape} and {y.dtype} {y.shape}"
        )
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise InputError(f"features must be real floating numbers; got {x.dtype}")
    wide = accumulation_dtype(x.dtype)
    weight = jnp.ones(y.shape, wide) if where is None else jnp.asarray(where, wide)
    known, weights = known_values(y), known_values(weight)
    if known is not None and weights is not None:
        wrong = out_of_range(known, classes, weights)
        if wrong.size:
            raise InputError(
                f"targets must be classes from 0 to {classes - 1}; got {wrong[0]}"
            )
    counts = counted(weight, 2)
    named = jnp.any(is_class(y, classes), axis=1, keepdims=True)
    x = jnp.where(counts, x.astype(wide), 0)
    return jnp.where(named | ~counts, x, jnp.nan), y, weight
