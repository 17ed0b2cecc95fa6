"""Dropout that keeps mean and variance behind SELU."""

from __future__ import annotations

import math
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.functional import Call, Functional, stateful_layer
from jaxopt_lab.core.options import COUNT, DECAY, STATIC, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.layers.activation.selu import ALPHA, SCALE
from jaxopt_lab.layers.masks import needed_key, over_features, without_padding

SATURATION = -ALPHA * SCALE
"""The limit of SELU at minus infinity."""


def with_saturated(x: jax.Array, keep: jax.Array, *, rate: float) -> jax.Array:
    r"""Units that are not kept at SELU's lower limit, then all of them rescaled.

    Args:
      x: of any floating type.
      keep: booleans of its shape.
      rate: probability with which a unit is not kept, in ``[0, 1)``.

    Returns:
      :math:`a \tilde x + b`, of the shape and type of ``x``.

    >>> keep = jnp.array([True, False])
    >>> y = with_saturated(jnp.ones(2), keep, rate=0.0)
    >>> [round(float(unit), 3) for unit in y]
    [1.0, -1.758]
    """
    q = 1 - rate
    a = 1 / math.sqrt(q * (rate * SATURATION**2 + 1))
    b = -a * rate * SATURATION
    wide = accumulation_dtype(x.dtype)
    a, b, low = (jnp.asarray(number, wide) for number in (a, b, SATURATION))
    return (a * jnp.where(keep, x.astype(wide), low) + b).astype(x.dtype)


def alpha_dropout(
    features: Annotated[int, COUNT], *, rate: Annotated[float, DECAY, STATIC] = 0.1
) -> Functional:
    r"""Dropout for SELU: dropped units take its lower limit, then all are rescaled.

    With :math:`\alpha' = -\lambda \alpha` (-1.758), the limit of SELU at minus
    infinity, and the probability :math:`q = 1 - \text{rate}` to keep a unit,

    .. math:: y = a \tilde x + b, \quad
        \tilde x = x \text{ with probability } q, \text{ else } \alpha', \quad
        a = \frac{1}{\sqrt{q ((1 - q) \alpha'^2 + 1)}}, \quad
        b = -a (1 - q) \alpha'.

    Inputs of mean 0 and variance 1 give outputs of mean 0 and variance 1.

    Args:
      features: size of the last axis.
      rate: probability with which a unit is dropped, in ``[0, 1)``; the paper takes
        0.05 to 0.1.

    Returns:
      ``init(key=None) -> ({}, {})`` and ``apply(params, state, x, *, train, key=None,
      axis_name=None, mask=None) -> (y, state)``. ``x`` is ``(..., features)`` of any
      floating type, ``y`` has its shape and type. Training needs ``key`` unless the
      rate is 0; evaluation is the identity. ``mask``, of the leading axes of ``x``, is
      0 for padding, which gives 0. Over ``axis_name`` each device draws for itself.
      The mask is drawn in float32 whatever the type of ``x``. Kept for the gradient: a
      byte an element, and zeros that ``jit`` folds away.

    Raises:
      InputError: an argument is out of range; at the call, the input does not fit, or
        there is no key to draw with.

    Source: Klambauer et al., "Self-Normalizing Neural Networks", 2017
    (https://arxiv.org/abs/1706.02515) and its code, bioinf-jku/SNNs.

    >>> drop = alpha_dropout(1000, rate=0.5)
    >>> x = jax.nn.selu(jax.random.normal(jax.random.key(0), (1, 1000)))
    >>> y, _ = drop.apply({}, {}, x, train=True, key=jax.random.key(1))
    >>> bool(abs(y.mean()) < 0.1), bool(abs(y.std() - 1) < 0.1)
    (True, True)
    """
    check_arguments(alpha_dropout, locals())

    def init(key: jax.Array | None = None) -> tuple[Any, Any]:
        return {}, {}

    def apply(
        params: Params, state: ModelState, x: jax.Array, call: Call
    ) -> tuple[jax.Array, ModelState]:
        valid = over_features("alpha_dropout", x, features, call.mask)
        if call.train and rate > 0:
            key = needed_key("alpha_dropout", f"{rate=}", call.key)
            if call.axis_name is not None:
                key = jax.random.fold_in(key, jax.lax.axis_index(call.axis_name))
            uniform = jax.random.uniform(key, x.shape, jnp.float32)
            x = with_saturated(x, uniform >= jnp.asarray(rate, jnp.float32), rate=rate)
        return without_padding(x, valid), state

    return stateful_layer(init, apply)
