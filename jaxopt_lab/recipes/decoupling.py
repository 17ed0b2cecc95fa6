"""Gradients that are predicted: decoupled nodes and windows of a recurrence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Params, PyTree, Scalar
from jaxopt_lab.core.where import or_zero


class WindowGradients(NamedTuple):
    """A window of a recurrence, differentiated.

    Attributes:
      loss: scalar, the mean over the examples of the sums of their losses.
      grads: of it with respect to the parameters, predictions of what comes after the
        window included.
      state: the state behind the window, ``(B, ...)``.
      target: the gradient of each example's losses with respect to the first state, to
        which the prediction there is regressed.
    """

    loss: jax.Array
    grads: Params
    state: PyTree
    target: PyTree


def window_gradients(
    window_fn: Callable[[Params, PyTree], tuple[jax.Array, PyTree]],
    params: Params,
    state: PyTree,
    predict: Callable[[PyTree], PyTree],
    *,
    live: jax.Array | None = None,
) -> WindowGradients:
    r"""Gradients of a window of steps, whose future is a synthetic gradient.

    With the losses :math:`\ell_b` of the examples in the window and its last state
    :math:`h_n`, one backward pass with the cotangents 1 and :math:`s(h_n)`,

    .. math::
        g_\theta = \frac1B \sum_b \Big(\frac{\partial \ell_b}{\partial \theta}
            + s(h_n)_b^\top \frac{\partial h_{n, b}}{\partial \theta}\Big), \qquad
        g_0 = \frac{\partial \ell}{\partial h_0}
            + s(h_n)^\top \frac{\partial h_n}{\partial h_0}.

    Predictions of 0 are truncated backpropagation through time, and the true ones,
    :math:`\partial \ell_{> n} / \partial h_n`, the whole one.

    Args:
      window_fn: ``window_fn(params, state) -> (losses (B,), state)``, the losses summed
        over the window's steps.
      params: the parameters.
      state: the first state, arrays with a leading axis B.
      predict: ``predict(state)``, a tree like it: the sum of the later losses'
        gradients of each example. Held constant.
      live: ``(B,)``, 0 where an example's sequence ends at this window; ``None``: none
        does. Without it a prediction learns across sequences.

    Returns:
      Loss, gradients, last state, and the target of ``regression_loss(predict(state),
      target)``, which is not to be clipped.

    Raises:
      InputError: the losses are not ``(B,)``, or the prediction is not like the state.

    Cost: one forward and one backward pass, memory of the window's steps alone.

    >>> window = lambda a, h: (0.5 * h[:, 0] ** 2, a * h)
    >>> truth = lambda h: jnp.array([[1.0]])
    >>> found = window_gradients(window, jnp.array(2.0), jnp.array([[3.0]]), truth)
    >>> float(found.grads), found.target.tolist()  # 1 * 3, 3 + 1 * 2
    (3.0, [[5.0]])

    Source: Jaderberg et al., "Decoupled Neural Interfaces using Synthetic Gradients",
    arXiv:1608.05343.
    """
    (losses, last), back = jax.vjp(window_fn, params, state)
    if losses.ndim != 1:
        raise InputError(
            f"window_fn must give losses (B,), one for each example; got {losses.shape}"
        )
    future = jax.lax.stop_gradient(predict(last))
    shapes = [jax.tree.map(jnp.shape, tree) for tree in (last, future)]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"predict gives {shapes[1]}; accepted: the shapes of the state, {shapes[0]}"
        )

    def cotangent(x: jax.Array, d: jax.Array) -> jax.Array:
        return or_zero(d, live).astype(x.dtype)

    grads, target = back((jnp.ones_like(losses), jax.tree.map(cotangent, last, future)))
    count = losses.shape[0]
    grads = jax.tree.map(lambda g: g / count, grads)
    return WindowGradients(jnp.mean(losses), grads, last, target)


def regression_loss(prediction: PyTree, target: PyTree) -> jax.Array:
    r"""The loss of a synthetic gradient, :math:`\frac{1}{2 B} \sum \|s - g\|^2`.

    Args:
      prediction: arrays with a leading axis B.
      target: likewise, held constant.

    Returns:
      A number, float32 or float64.

    >>> float(regression_loss(jnp.zeros((2, 3)), jnp.ones((2, 3))))
    1.5
    """

    def one(s: jax.Array, g: jax.Array) -> jax.Array:
        s = s.astype(accumulation_dtype(s.dtype))
        gap = s - jax.lax.stop_gradient(g).astype(s.dtype)
        return jnp.sum(gap**2) / (2 * gap.shape[0])

    return jnp.stack(jax.tree.leaves(jax.tree.map(one, prediction, target))).sum()


def inject_gradient(
    u: jax.Array, gradient: jax.Array, *, weight: Scalar = 1.0
) -> jax.Array:
    r"""The identity, whose derivative is mixed with a given one.

    Backwards it hands on :math:`(1 - \lambda) g + \lambda d`: the slow path for 0, and
    for 1 the fast path, on which what stands before does not wait for the rest.

    Args:
      u: any array.
      gradient: d, like it; held constant.
      weight: :math:`\lambda`. The Python number 0 is the identity in value and
        derivative, to the bit.

    Returns:
      ``u``.

    >>> f = lambda u: 5 * inject_gradient(u, jnp.array(1.0), weight=0.5)
    >>> float(jax.grad(f)(jnp.array(2.0)))
    3.0
    """
    if known_number(weight) == 0:
        return u
    share = jnp.asarray(weight, u.dtype)
    return _mixed(u, jax.lax.stop_gradient(gradient).astype(u.dtype), share)


def decouple(u: jax.Array, prediction: jax.Array, *, weight: Scalar = 1.0) -> jax.Array:
    r"""A node of a mean loss whose gradient is predicted while the predictor learns.

    The value is u. For a loss that is the mean over the B examples, with the gradient g
    that arrives, u is handed :math:`(1 - \lambda) g + \lambda s / B`, and the
    prediction s what it gets from ``regression_loss(s, B g)``: one backward pass trains
    both.

    Args:
      u: ``(B, ...)``.
      prediction: s, like it, of each example; the input of the predictor is to be
        constant (``jax.lax.stop_gradient(u)``).
      weight: :math:`\lambda`.

    Returns:
      ``u``.

    Raises:
      InputError: the prediction has another shape.

    >>> loss = lambda u, s: jnp.mean(3 * decouple(u, s, weight=1.0))
    >>> du, ds = jax.grad(loss, (0, 1))(jnp.ones(2), jnp.zeros(2))
    >>> du.tolist(), ds.tolist()
    ([0.0, 0.0], [-1.5, -1.5])
    """
    if prediction.shape != u.shape:
        raise InputError(
            f"the prediction must have the shape {u.shape} of the node; got "
            f"{prediction.shape}"
        )
    return _decoupled(u, prediction.astype(u.dtype), jnp.asarray(weight, u.dtype))


def _mix(g: jax.Array, d: jax.Array, share: jax.Array) -> jax.Array:
    """Exactly either at the ends, whatever the other holds."""
    mixed = (1 - share) * g + share * d
    return jnp.where(share == 0, g, jnp.where(share == 1, d, mixed))


@jax.custom_vjp
def _mixed(u: Any, d: Any, share: Any) -> Any:
    return u


def _mixed_forward(u: Any, d: Any, share: Any) -> Any:
    return u, (d, share)


def _mixed_backward(kept: Any, g: Any) -> Any:
    d, share = kept
    return _mix(g, d, share), jnp.zeros_like(d), jnp.zeros_like(share)


_mixed.defvjp(_mixed_forward, _mixed_backward)


@jax.custom_vjp
def _decoupled(u: Any, s: Any, share: Any) -> Any:
    return u


def _decoupled_forward(u: Any, s: Any, share: Any) -> Any:
    return u, (s, share)


def _decoupled_backward(kept: Any, g: Any) -> Any:
    s, share = kept
    own = s / s.shape[0]
    return _mix(g, own, share), own - g, jnp.zeros_like(share)


_decoupled.defvjp(_decoupled_forward, _decoupled_backward)
