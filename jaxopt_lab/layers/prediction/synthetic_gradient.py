"""Predictor of gradients: a perceptron whose prediction is 0 in the beginning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.options import COUNT, COUNT_OR_ZERO, check_arguments
from jaxopt_lab.core.typing import Params
from jaxopt_lab.layers.masks import over_features, without_padding


def synthetic_gradient(
    features: Annotated[int, COUNT],
    *,
    hidden: Annotated[int, COUNT_OR_ZERO] = 64,
    out: Annotated[int | None, COUNT] = None,
    kernel_init: Callable[..., jax.Array] | None = None,
) -> Functional:
    r"""The gradient with respect to activations, predicted from them.

    .. math:: s(h) = W_2 \max(0, W_1 h + b_1) + b_2, \qquad W_2 = 0, b_2 = 0
        \text{ in the beginning},

    so that training begins as without predictions.

    Args:
      features: size of the last axis of the input, that of the activations and of what
        stands beside them (a label).
      hidden: size of the hidden layer; 0: a linear map.
      out: size of the activations; ``None``: that of the input.
      kernel_init: of :math:`W_1`; ``None``: LeCun's normal one.

    Returns:
      ``init(key) -> (params, {})`` and ``apply(params, state, x, *, train, key=None,
      axis_name=None, mask=None) -> (y, state)``. ``mask``, of the leading axes of
      ``x``, is 0 for padding, which gives 0.

    Raises:
      InputError: an argument is out of range, or an input has other features.

    Memory: for the gradient the input and the hidden layer.

    >>> layer = synthetic_gradient(3, hidden=4)
    >>> params, state = layer.init(jax.random.key(0))
    >>> layer.apply(params, state, jnp.ones((1, 3)), train=True)[0].tolist()
    [[0.0, 0.0, 0.0]]

    Source: Jaderberg et al., "Decoupled Neural Interfaces using Synthetic Gradients",
    arXiv:1608.05343.
    """
    check_arguments(synthetic_gradient, locals())
    outputs = features if out is None else out
    width = hidden or features

    def init(key: jax.Array) -> tuple[Any, Any]:
        dtype = jnp.result_type(float)
        params = {
            "kernel": jnp.zeros((width, outputs), dtype),
            "bias": jnp.zeros((outputs,), dtype),
        }
        if hidden:
            make = kernel_init or jax.nn.initializers.lecun_normal()
            params["hidden_kernel"] = make(key, (features, hidden), dtype)
            params["hidden_bias"] = jnp.zeros((hidden,), dtype)
        return params, {}

    def apply(params: Params, x: jax.Array, mask: jax.Array | None) -> jax.Array:
        valid = over_features("synthetic_gradient", x, features, mask)
        h = without_padding(x, valid)
        own = {name: p.astype(x.dtype) for name, p in params.items()}
        if hidden:
            h = _shifted(h @ own["hidden_kernel"], own["hidden_bias"])
            h = jax.nn.relu(h)
        y = _shifted(h @ own["kernel"], own["bias"])
        return without_padding(y, valid)

    return stateless_layer(init, apply)


def linear_prediction(params: Any, x: jax.Array) -> jax.Array:
    """A linear map.

    Args:
      params: ``kernel`` and ``bias``.
      x: ``(..., features)``.

    Returns:
      ``(..., out)``.

    >>> params = {"kernel": jnp.eye(2), "bias": jnp.ones(2)}
    >>> linear_prediction(params, jnp.zeros((1, 2))).tolist()
    [[1.0, 1.0]]
    """
    return _shifted(x @ params["kernel"], params["bias"])


def _shifted(y: jax.Array, bias: jax.Array) -> jax.Array:
    return y + jnp.expand_dims(bias, range(y.ndim - 1))
