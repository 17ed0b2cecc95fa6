"""Confidence bands of metrics over test examples."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Mapping
from statistics import NormalDist
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.options import COUNT, Interval, check_arguments
from jaxopt_lab.metrics.mergeable import MergeableMetric, labelled

LEAST = 100
_LEVEL = Interval(0.0, 1.0, open_low=True, open_high=True)


class Band(NamedTuple):
    """A value and the ends of its confidence interval.

    Attributes:
      value: of all examples.
      low: lower end.
      high: upper end.
    """

    value: jax.Array
    low: jax.Array
    high: jax.Array


def bootstrap_band(
    metric: MergeableMetric,
    batch: Mapping[str, jax.Array],
    *,
    key: jax.Array,
    draws: Annotated[int, COUNT] = 1000,
    level: Annotated[float, _LEVEL] = 0.95,
) -> dict[str, Band]:
    r"""Values of a metric and percentile intervals over redrawn examples.

    Each draw takes as many examples as there are, with replacement: the metric with
    the numbers of times that they were drawn as weights. The ends are the
    :math:`(1 \mp \ell) / 2` quantiles of the draws.

    Args:
      metric: a metric of mergeable sums.
      batch: ``{"outputs", "targets"[, "weight"]}``; examples of weight 0 are not
        drawn, the weight of the others is the number of times that they stand there.
      key: of the draws.
      draws: number of draws, one after the other.
      level: :math:`\ell`, share of such intervals that hold the true value.

    Returns:
      By name, a ``Band`` of scalars. Redrawn examples lie further from what they were
      drawn from than the examples lie from the truth, so that the interval of a
      distance from 0, as a calibration error is, may lie above its value. Memory: one
      draw; no gradient is of use.

    Raises:
      InputError: fewer than 100 examples (known weights of 0 do not count), below which
        such intervals are too short, or an option is out of range.

    Source: Efron, "Bootstrap methods: another look at the jackknife", 1979.

    >>> from jaxopt_lab.metrics import accuracy
    >>> z = jnp.eye(2)[jnp.arange(100) % 2]
    >>> batch = {"outputs": z, "targets": jnp.zeros(100, jnp.int32)}
    >>> band = bootstrap_band(accuracy(), batch, key=jax.random.key(0))["accuracy"]
    >>> bool(0.38 < band.low < band.value < band.high < 0.62)
    True
    """
    check_arguments(bootstrap_band, locals())
    logits, labels, weight = labelled(batch)
    known = known_values(weight)
    count = len(labels) if known is None else int(np.sum(known != 0))
    if count < LEAST:
        raise InputError(
            f"a bootstrap takes at least {LEAST} examples; got {count}: smaller sets "
            "give intervals that are too short"
        )

    def values(weight: jax.Array) -> dict[str, jax.Array]:
        given = {"outputs": logits, "targets": labels, "weight": weight}
        return metric.compute(metric.update(metric.init(weight.dtype), given))

    # Uniform places among the weights: padding is never met, weight 2 twice as often.
    ends = jnp.cumsum(weight)

    def draw(key: jax.Array) -> dict[str, jax.Array]:
        at = jax.random.uniform(key, labels.shape, weight.dtype) * ends[-1]
        rows = jnp.minimum(jnp.searchsorted(ends, at, side="right"), len(labels) - 1)
        times = jnp.zeros_like(weight).at[rows].add(1)
        return values(times)

    drawn = jax.lax.map(draw, jax.random.split(key, draws))
    tail = (1 - level) / 2
    band = lambda v, d: Band(v, jnp.quantile(d, tail), jnp.quantile(d, 1 - tail))
    return {n: band(v, drawn[n]) for n, v in values(weight).items()}


def wilson_band(
    hits: jax.Array, count: jax.Array, *, level: Annotated[float, _LEVEL] = 0.95
) -> Band:
    r"""Shares of hits with Wilson's interval, in closed form.

    With :math:`\hat p = h / n` and the normal quantile z, the middle is
    :math:`(\hat p + z^2 / 2n) / (1 + z^2 / n)` and half the width
    :math:`z \sqrt{\hat p (1 - \hat p) / n + z^2 / 4n^2} / (1 + z^2 / n)`.

    Args:
      hits: :math:`h`, number or weight of hits, any shape.
      count: :math:`n`, likewise of trials.
      level: share of such intervals that hold the true share.

    Returns:
      A ``Band`` in the shape of ``hits``; NaN, 0 and 1 where there is no trial. The
      derivatives are finite everywhere.

    Raises:
      InputError: the level is not between 0 and 1.

    Source: Wilson, "Probable inference, the law of succession, and statistical
    inference", 1927.

    >>> band = wilson_band(jnp.array(5.0), jnp.array(10.0))
    >>> [round(float(x), 3) for x in band]
    [0.5, 0.237, 0.763]
    """
    check_arguments(wilson_band, locals())
    z = NormalDist().inv_cdf((1 + level) / 2)
    some = count > 0
    n = jnp.where(some, count, 1)
    share = jnp.where(some, hits / n, 0.5)
    # Above 0 for every share: the root has a derivative.
    spread = jnp.sqrt(jnp.maximum(share * (1 - share), 0) / n + z**2 / (4 * n**2))
    middle, half = share + z**2 / (2 * n), z * spread
    ends = ((middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n))
    low, high = (jnp.clip(e, 0, 1) for e in ends)
    return Band(
        jnp.where(some, share, jnp.nan),
        jnp.where(some, low, 0),
        jnp.where(some, high, 1),
    )
