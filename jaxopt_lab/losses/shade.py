"""Conditional entropy of activations: a regularizer with running statistics."""
# Its examples wait for pytest --full.

from __future__ import annotations

import math
from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import UNIT, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.where import counted, or_zero
from jaxopt_lab.losses.stateful import StatefulLoss

Modes = Literal["sigmoid", "relu_exp"]


class ShadeState(NamedTuple):
    """Running statistics of the two modes (first axis) of each neuron.

    Attributes:
      p: ``(2, N)``, probability of each mode; float32, float64 for float64.
      mu: ``(2, N)``, mean activation in each mode; 16 bytes a neuron with ``p``.
    """

    p: jax.Array
    mu: jax.Array


def shade(
    *,
    modes: Modes = "sigmoid",
    decay: Annotated[float, UNIT] = 0.8,
    through_modes: bool = False,
) -> StatefulLoss:
    r"""Penalty on the spread of each neuron's activation within its two modes.

    A neuron is on (:math:`z = 1`) or off (:math:`z = 0`) with :math:`p(1 | y) =
    \sigma(y)`, or :math:`1 - e^{-\max(y, 0)}`, of its activation :math:`y`. Running
    statistics over batches with decay :math:`\lambda`, the second with the new
    :math:`p^z`,

    .. math::
        p^z &\gets \lambda p^z + (1 - \lambda)\, \overline{p(z | y_k)}, \\
        \mu^z &\gets \lambda \mu^z + (1 - \lambda)\, \overline{p(z | y_k) y_k} / p^z,

    give the penalty of example :math:`k`, summed over neurons, :math:`\mu` constant:

    .. math:: \sum_n \sum_z p(z | y_{kn}) (y_{kn} - \mu_n^z)^2.

    Args:
      modes: ``"sigmoid"``, on activations before the ReLU, or ``"relu_exp"``.
      decay: :math:`\lambda`, in ``[0, 1]``; at 1 the statistics stay as they start
        (:math:`p = 1/2`, :math:`\mu = \mp 1`).
      through_modes: whether the gradient also flows through :math:`p(z | y)`.

    Returns:
      ``init(activations) -> ShadeState`` and ``apply(state, activations, *,
      where=None) -> (penalties, state)`` for activations ``(B, ..., N)`` of any
      floating type: positions between examples and neurons are samples of the same
      neuron, and the penalty of an example is the mean over its positions. ``where``,
      of shape ``(B,)``: 0 drops an example from penalties and statistics, whatever it
      holds. Examples are coupled through the statistics. Kept for the gradient: about
      four arrays of the size of the activations. The paper sums over examples or takes
      their mean in different places: the reduction is the caller's.

    Raises:
      InputError: an argument is out of range; at the call, the activations are not
        floating or do not fit the state.

    Source: Blot et al., "SHADE: Information-Based Regularization for Deep Learning",
    2018 (https://arxiv.org/abs/1804.10988); starting values and decay from
    the text of the thesis of T. Robert, one of the authors.

    >>> penalty = shade()
    >>> y = jnp.array([[-1.0], [1.0]])
    >>> values, state = penalty.apply(penalty.init(y), y)
    >>> values.shape, state.p.round(3).tolist()
    ((2,), [[0.5], [0.5]])
    """
    check_arguments(shade, locals())

    def init(activations: jax.Array) -> ShadeState:
        dtype = accumulation_dtype(_checked(activations).dtype)
        zeros = jnp.zeros((2, activations.shape[-1]), dtype)
        signs = jnp.array([[-1.0], [1.0]], dtype)
        return ShadeState(p=zeros + jnp.asarray(0.5, dtype), mu=zeros + signs)

    def apply(
        state: ShadeState, activations: jax.Array, *, where: jax.Array | None = None
    ) -> tuple[jax.Array, ShadeState]:
        y = _checked(activations).astype(accumulation_dtype(activations.dtype))
        if state.p.shape != (2, y.shape[-1]):
            raise InputError(
                f"activations of shape {activations.shape} do not fit the statistics "
                f"of {state.p.shape[-1]} neurons"
            )
        y = _positions(y)
        if where is not None:
            if where.shape != y.shape[:1]:
                raise InputError(
                    f"where must have shape {y.shape[:1]}, one value for each example; "
                    f"got {where.shape}"
                )
            y = or_zero(y, where)
        on = _on(y, modes)
        each = jnp.stack([1 - on, on])
        state = _moved(state, y, jax.lax.stop_gradient(each), where, decay)
        each = each if through_modes else jax.lax.stop_gradient(each)
        mu = jax.lax.stop_gradient(state.mu).astype(y.dtype)
        apart = jnp.square(y[None] - mu[:, None, None])
        penalty = jnp.mean(jnp.sum(each * apart, axis=(0, 3)), axis=1)
        return or_zero(penalty, where), state

    return StatefulLoss(init, apply)


def fixed_modes_penalty(
    activations: jax.Array, *, where: jax.Array | None = None
) -> jax.Array:
    r"""SHADE's penalty with sigmoid modes of means -1 and 1, in closed form.

    .. math:: \sum_n y_n^2 + 1 - 2 y_n \tanh(y_n / 2).

    Args:
      activations: shape ``(B, ..., N)``.
      where: shape ``(B,)``; 0 drops an example.

    Returns:
      Shape ``(B,)``: the values of ``shade(decay=1.0)``.

    >>> fixed_modes_penalty(jnp.zeros((1, 3))).tolist()
    [3.0]
    """
    y = activations.astype(accumulation_dtype(activations.dtype))
    y = or_zero(_positions(y), where)
    penalty = jnp.mean(jnp.sum(y * y + 1 - 2 * y * jnp.tanh(y / 2), axis=-1), axis=1)
    return or_zero(penalty, where)


def _checked(activations: jax.Array) -> jax.Array:
    if activations.ndim < 2 or not jnp.issubdtype(activations.dtype, jnp.floating):
        raise InputError(
            "activations must be real floating numbers of shape (B, ..., N); got "
            f"{activations.dtype} of shape {activations.shape}"
        )
    return activations


def _positions(y: jax.Array) -> jax.Array:
    """All axes between the examples and the neurons as one."""
    return y.reshape((y.shape[0], math.prod(y.shape[1:-1]), y.shape[-1]))


def _on(y: jax.Array, modes: Modes) -> jax.Array:
    """Probability of the mode "on"."""
    if modes == "sigmoid":
        return jax.nn.sigmoid(y)
    return -jnp.expm1(-jax.nn.relu(y))


def _moved(
    state: ShadeState,
    y: jax.Array,
    each: jax.Array,
    where: jax.Array | None,
    decay: float,
) -> ShadeState:
    """The statistics after a batch; a batch without examples leaves them."""
    y = jax.lax.stop_gradient(y)
    weight = jnp.ones(y.shape[0], y.dtype)
    if where is not None:
        weight = counted(where).astype(y.dtype)
    total = jnp.sum(weight) * y.shape[1]
    weight = weight[None, :, None, None] / jnp.maximum(total, 1)
    kept = jnp.where(total > 0, jnp.asarray(decay, y.dtype), 1)
    p = kept * state.p.astype(y.dtype) + (1 - kept) * jnp.sum(
        weight * each, axis=(1, 2)
    )
    # The probability of a mode that never occurs decays until it is zero.
    shares = jnp.sum(weight * each * y[None], axis=(1, 2)) / jnp.where(p > 0, p, 1)
    mu = kept * state.mu.astype(y.dtype) + (1 - kept) * shares
    return ShadeState(p.astype(state.p.dtype), mu.astype(state.mu.dtype))
