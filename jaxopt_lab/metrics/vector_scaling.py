"""A factor and an offset of each class that calibrate a classifier."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.labels import is_class
from jaxopt_lab.core.options import POSITIVE, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.metrics.mergeable import labelled

_STEPS, _WHOLE, _HALVINGS = 30, 10, 20


class FittedVectorScaling(NamedTuple):
    """Fitted factors and offsets.

    Attributes:
      scale: ``(C,)``, float32 or float64.
      bias: ``(C,)``.
    """

    scale: jax.Array
    bias: jax.Array


def fit_vector_scaling(
    data: Mapping[str, jax.Array],
    *,
    where: jax.Array | None = None,
    key: jax.Array | None = None,
    ridge: Annotated[float, POSITIVE] = 0.01,
) -> FittedVectorScaling:
    r"""Factors and offsets of the classes at which the cross-entropy is least.

    .. math:: \min_{a, b} \sum_i w_i \left( \log \sum_c e^{a_c z_{ic} + b_c}
        - a_{y_i} z_{i y_i} - b_{y_i} \right)
        + \frac{\rho}{2} \left( \|a - 1\|^2 + \|b\|^2 \right)

    is strictly convex; Newton's method with a halved step finds it. Other than a
    temperature it may change the order of the classes, and so the accuracy.

    Args:
      data: ``{"outputs": (B, C) logits, "targets": (B,) labels}``.
      where: ``(B,)``, weight of each example; 0 drops one, whatever it holds.
      key: not used; every estimator takes one.
      ridge: :math:`\rho`, against the sum over examples. It bounds the result where
        all predictions are right; the paper has none.

    Returns:
      Factors and offsets; 1 and 0 of no examples. Logits that are NaN give NaN. The
      derivative with respect to the logits is that of the implicit function. Time: 40
      steps, each with a Hessian of ``2 C`` numbers squared and 20 trial passes over the
      logits; memory: that of the Hessian's derivative, which grows with both.

    Raises:
      InputError: ``ridge`` is not above 0, a label is no class, or the shapes do not
        fit.

    Source: Guo et al., "On Calibration of Modern Neural Networks", 2017
    (https://arxiv.org/abs/1706.04599).

    >>> logits = jnp.zeros((4, 2))
    >>> data = {"outputs": logits, "targets": jnp.array([0, 0, 0, 1])}
    >>> fitted = fit_vector_scaling(data, ridge=1e-4)
    >>> jax.nn.softmax(apply_vector_scaling(fitted, logits))[0].round(2).tolist()
    [0.75, 0.25]
    """
    check_arguments(fit_vector_scaling, locals())
    given = dict(data) if where is None else {**data, "weight": where}
    logits, labels, weight = labelled(given)
    right = is_class(labels, logits.shape[1])
    known = jnp.any(right, axis=1, keepdims=True) | (weight == 0)[:, None]
    logits = jnp.where(known, logits, jnp.nan)
    return FittedVectorScaling(
        *_fit(logits, right, weight, jnp.asarray(ridge, logits.dtype))
    )


def apply_vector_scaling(fitted: FittedVectorScaling, inputs: jax.Array) -> jax.Array:
    """Logits times the factors of their classes, plus the offsets.

    Args:
      fitted: the result of ``fit_vector_scaling``.
      inputs: logits, ``(..., C)``, any floating type.

    Returns:
      The same shape and type.

    >>> fitted = FittedVectorScaling(jnp.array([2.0, 1.0]), jnp.array([0.0, 3.0]))
    >>> apply_vector_scaling(fitted, jnp.ones(2)).tolist()
    [2.0, 4.0]
    """
    wide = accumulation_dtype(inputs.dtype)
    shape = (1,) * (inputs.ndim - 1) + (-1,)
    scale, bias = (x.astype(wide).reshape(shape) for x in fitted)
    return (inputs.astype(wide) * scale + bias).astype(inputs.dtype)


# Outside of `jit` one program; inside, several fits share one trace.
@jax.jit
def _fit(
    logits: jax.Array, right: jax.Array, weight: jax.Array, ridge: jax.Array
) -> tuple[jax.Array, jax.Array]:
    classes = logits.shape[1]

    def objective(moved: jax.Array) -> jax.Array:
        """The objective at ``(a - 1, b)``."""
        a, b = jnp.split(moved, [classes])
        z = logits * (1 + a)[None] + b[None]
        own = jnp.sum(jnp.where(right, z, 0), axis=1)
        entropies = jax.nn.logsumexp(z, axis=1) - own
        return jnp.sum(weight * entropies) + ridge / 2 * jnp.sum(moved**2)

    slope = jax.grad(objective)

    def newton(f: Any, start: jax.Array) -> jax.Array:
        sizes = 0.5 ** jnp.arange(_HALVINGS, dtype=start.dtype)

        def step(i: jax.Array, moved: jax.Array) -> jax.Array:
            way = jnp.linalg.solve(jax.hessian(objective)(moved), f(moved))
            tried = moved[None] - sizes[:, None] * way[None]
            best = tried[jnp.argmin(jax.lax.map(objective, tried))]
            # Near the optimum differences of the objective are rounding, and those of
            # its derivative are not: the last steps are whole where that is smaller.
            nearer = jnp.linalg.norm(f(tried[0])) <= jnp.linalg.norm(f(moved))
            return jnp.where((i >= _STEPS) & nearer, tried[0], best)

        return jax.lax.fori_loop(0, _STEPS + _WHOLE, step, start)

    def solved(linear: Any, y: jax.Array) -> jax.Array:
        return jnp.linalg.solve(jax.jacobian(linear)(y), y)

    # At factors of 0 all probabilities are equal and the Hessian is large; at factors
    # of 1 large logits have probabilities of 0 and 1, and none.
    start = jnp.concatenate(
        [jnp.full(classes, -1, logits.dtype), jnp.zeros(classes, logits.dtype)]
    )
    moved = jax.lax.custom_root(slope, start, newton, solved)
    a, b = jnp.split(moved, [classes])
    return 1 + a, b
