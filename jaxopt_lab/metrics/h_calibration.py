"""A monotone map of log-probabilities with the least h-calibration loss."""
# Its examples wait for pytest --full.

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.options import COUNT, COUNT_OR_ZERO, POSITIVE, check_arguments
from jaxopt_lab.core.shapes import refuse_empty
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.metrics.h_calibration_loss import h_calibration_loss
from jaxopt_lab.metrics.mergeable import labelled
from jaxopt_lab.metrics.sorted_events import with_zero

# Below 1e-5 a derivative is rounding, which Adam would make a whole step of.
_EPS, _EPS_ROOT, _B1, _B2 = 1e-5, 1e-12, 0.9, 0.999


class HCalibrator(NamedTuple):
    """A fitted map of log-probabilities.

    Attributes:
      slopes: ``(segments,)``, float32 or float64; the first one is that next to
        probability 1. Absolute values count.
      loss: scalar, the h-calibration loss with these slopes.
      width: scalar, length of a segment in nats.
    """

    slopes: jax.Array
    loss: jax.Array
    width: jax.Array


def fit_h_calibration(
    data: Mapping[str, jax.Array],
    *,
    where: jax.Array | None = None,
    key: jax.Array | None = None,
    steps: Annotated[int, COUNT_OR_ZERO] = 100,
    learning_rate: Annotated[float, POSITIVE] = 0.005,
    segments: Annotated[int, COUNT] = 20,
    span: Annotated[float, POSITIVE] = 100.0,
    reach: Annotated[int, COUNT_OR_ZERO] = 100,
    clusters: Annotated[int, COUNT] = 15,
    leave_class_out: bool = True,
) -> HCalibrator:
    r"""A monotone map of log-probabilities with little h-calibration loss.

    Log-probabilities :math:`x \le 0` go through the continuous piecewise-linear map
    :math:`f(x) = \sum_k |s_k| \, \ell_k(x)`, where :math:`\ell_k \le 0` is the part of
    :math:`[x, 0]` in segment k; the classes keep their order, and with it the accuracy.
    The slopes begin at 1, the identity; Adam takes ``steps`` steps down the loss of all
    examples, and the best slopes that it has seen are the result.

    Args:
      data: ``{"outputs": (B, C) logits, "targets": (B,) labels}``.
      where: ``(B,)``, weight of each example, as of ``h_calibration_loss``.
      key: not used; every estimator takes one.
      steps: steps of Adam; 0 leaves the identity. The code takes up to 2000.
      learning_rate: that of Adam.
      segments: number of slopes.
      span: log-probabilities that they cover together, in nats; the last slope holds
        for all below.
      reach: events on each side of a window.
      clusters: clusters of probabilities that count alike.
      leave_class_out: as of ``h_calibration_loss``.

    Returns:
      The slopes and their loss, which is never above that of the identity. Time: value
      and gradient of ``h_calibration_loss``, one sort each, a step and once more. It is
      differentiated through the steps, each of which is computed again for that.

    Raises:
      InputError: shapes do not fit, there is no example, a label is no class, or an
        option is out of range.

    Deviations: the released piecewise-linear map jumps between segments, which is not
    monotone; this one is continuous. Adam's eps is 1e-5 of the loss without the code's
    factor 1e5; a fixed number of steps stands for its plateaus and patience.

    Source: "h-calibration: Rethinking Classifier Recalibration with Probabilistic
    Error-Bounded Objective", 2025, and its code.

    >>> logits = jnp.log(jnp.array([[0.9, 0.1]] * 4))
    >>> data = {"outputs": logits, "targets": jnp.array([0, 0, 0, 1])}
    >>> fitted = fit_h_calibration(data, reach=1, steps=3)
    >>> apply_h_calibration(fitted, logits).shape
    (4, 2)
    """
    check_arguments(fit_h_calibration, locals())
    given = dict(data) if where is None else {**data, "weight": where}
    logits, labels, _ = labelled(given)
    refuse_empty("outputs", logits)
    width = jnp.asarray(span / segments, logits.dtype)
    x = jax.nn.log_softmax(logits)

    return _fit(
        x,
        jnp.asarray(labels),
        where,
        width,
        jnp.asarray(learning_rate, x.dtype),
        steps=steps,
        segments=segments,
        reach=reach,
        clusters=clusters,
        leave_class_out=leave_class_out,
    )


def apply_h_calibration(fitted: HCalibrator, inputs: jax.Array) -> jax.Array:
    """Log-probabilities through a fitted monotone map, normalized again.

    Args:
      fitted: the result of ``fit_h_calibration``.
      inputs: finite logits, ``(..., C)``, any floating type.

    Returns:
      Log-probabilities of the same shape and type; the classes keep their order.

    >>> one = HCalibrator(jnp.full(2, 2.0), jnp.array(0.0), jnp.array(50.0))
    >>> p = jnp.exp(apply_h_calibration(one, jnp.log(jnp.array([0.8, 0.2]))))
    >>> [round(float(x), 3) for x in p]
    [0.941, 0.059]
    """
    wide = accumulation_dtype(inputs.dtype)
    x = jax.nn.log_softmax(inputs.astype(wide))
    mapped = _mapped(x, fitted.slopes.astype(wide), fitted.width.astype(wide))
    return jax.nn.log_softmax(mapped).astype(inputs.dtype)


# Outside of `jit` one program; inside, several fits share one trace.
@functools.partial(
    jax.jit,
    static_argnames=("steps", "segments", "reach", "clusters", "leave_class_out"),
)
def _fit(
    x: jax.Array,
    labels: jax.Array,
    where: jax.Array | None,
    width: jax.Array,
    learning_rate: jax.Array,
    *,
    steps: int,
    segments: int,
    reach: int,
    clusters: int,
    leave_class_out: bool,
) -> HCalibrator:
    """The best slopes of log-probabilities ``x`` that Adam has seen."""

    def loss(slopes: jax.Array) -> jax.Array:
        return h_calibration_loss(
            _mapped(x, slopes, width),
            labels,
            where=where,
            reach=reach,
            count=clusters,
            leave_class_out=leave_class_out,
        )

    # One evaluation more than steps, of the last slopes: the loss is traced once.
    @jax.checkpoint
    def step(carry: Any, i: jax.Array) -> tuple[Any, jax.Array]:
        slopes, mean, square, best = carry
        value, grad = jax.value_and_grad(loss)(slopes)
        best = _better(best, (slopes, value))
        mean = _B1 * mean + (1 - _B1) * grad
        square = _B2 * square + (1 - _B2) * grad**2
        i = i + 1
        first, second = mean / (1 - _B1**i), square / (1 - _B2**i)
        slopes = slopes - learning_rate * first / (jnp.sqrt(second + _EPS_ROOT) + _EPS)
        return (slopes, mean, square, best), value

    ones = jnp.ones(segments, x.dtype)
    carry = (ones, 0 * ones, 0 * ones, (ones, jnp.asarray(jnp.inf, x.dtype)))
    times = jnp.arange(steps + 1, dtype=x.dtype)
    (_, _, _, (slopes, value)), values = jax.lax.scan(step, carry, times)
    # A loss that is no number compares as false, and would pass for the identity.
    bad = jnp.isnan(values[0])
    value = jnp.where(bad, jnp.nan, value)
    return HCalibrator(jnp.where(bad, jnp.nan, slopes), value, width)


def _mapped(x: jax.Array, slopes: jax.Array, width: jax.Array) -> jax.Array:
    """The piecewise-linear map: slope and offset of the segment of each entry."""
    slopes = jnp.abs(slopes)
    before = with_zero(jnp.cumsum(slopes))[:-1]
    number = jnp.arange(slopes.size, dtype=x.dtype)
    offsets = width * (slopes * number - before)
    # The bound first: no integer holds the quotient of a large number.
    place = jnp.floor(jnp.clip(-x / width, 0, slopes.size - 1)).astype(jnp.int32)
    return slopes[place] * x + offsets[place]


def _better(a: Any, b: Any) -> Any:
    return jax.tree.map(lambda x, y: jnp.where(b[1] < a[1], y, x), a, b)
