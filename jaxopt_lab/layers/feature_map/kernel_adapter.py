"""Adapter on random features: a residual that begins at zero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.functional import Call, Functional, stateful_layer
from jaxopt_lab.core.options import COUNT, POSITIVE, STATIC, check_arguments
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.layers.feature_map.kernel_feed_forward import (
    LECUN,
    bundled_linear,
    kernel_feed_forward,
)
from jaxopt_lab.layers.feature_map.random_features import FINITE, WORD, Kernel
from jaxopt_lab.layers.masks import over_features, without_padding
from jaxopt_lab.layers.norm.last_axis import along


def kernel_adapter(
    features: Annotated[int, COUNT],
    *,
    size: Annotated[int, COUNT] = 8,
    num_features: Annotated[int, COUNT] = 16,
    kernel: Kernel = "relu",
    threshold: Annotated[float, FINITE, STATIC] = 0.0,
    radius: Annotated[float | None, POSITIVE] = None,
    seed: Annotated[int, WORD] = 0,
    layer: Annotated[int, WORD] = 0,
    kernel_init: Callable[..., jax.Array] = LECUN,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Adapter whose projection down and activation are random features.

    .. math:: y = x + U\, \Psi\, \Phi(x) + b

    U and b begin at 0, so that a trained net with new adapters is what it was.

    Args:
      features: size of the last axis, d.
      size: of the bottleneck, the rows of :math:`\Psi`.
      num_features: m, the columns of :math:`\Psi`.
      kernel: function that the features stand for, of ``kernel_features``.
      threshold: of relu's features.
      radius: norm that the input of the features is scaled to; ``None``: it is not.
      seed: of the projection, a whole number of 32 bits.
      layer: a number that tells the layers of one seed apart.
      kernel_init: initializer of the first W, ``(d, size)``.
      param_dtype: type of the parameters.

    Returns:
      ``init(key) -> (params, {})`` with ``weights`` ``(size, m)``, ``up`` ``(size, d)``
      and ``up_bias`` ``(d,)``; and ``apply`` as that of ``kernel_feed_forward``.

    Raises:
      InputError: an argument is out of range; at the call, the input does not fit.

    Kept for the gradient: the bottleneck, ``size`` numbers a position, beside the
    input. The projection is Gaussian as in the paper; the code's is uniform in [0, 1).

    Source: Sehanobish et al., "Scalable Neural Network Kernels", 2023
    (https://arxiv.org/abs/2310.13225).

    >>> adapter = kernel_adapter(2, size=1, num_features=4)
    >>> start = adapter.init(jax.random.key(0))
    >>> adapter.apply(*start, jnp.array([[1.0, 2.0]]), train=True)[0].tolist()
    [[1.0, 2.0]]
    """
    given = {n: v for n, v in locals().items() if n != "kernel_init"}
    check_arguments(kernel_adapter, given)
    down = kernel_feed_forward(
        features,
        out=size,
        num_features=num_features,
        kernel=kernel,
        threshold=threshold,
        radius=radius,
        seed=seed,
        layer=layer,
        kernel_init=kernel_init,
        param_dtype=param_dtype,
    )

    def init(key: jax.Array) -> tuple[dict[str, jax.Array], Any]:
        params, state = down.init(key)
        up = jnp.zeros((size, features), param_dtype)
        return {**params, "up": up, "up_bias": jnp.zeros(features, param_dtype)}, state

    def apply(
        params: Params, state: ModelState, x: jax.Array, call: Call
    ) -> tuple[jax.Array, ModelState]:
        valid = over_features("kernel_adapter", x, features, call.mask)
        x = without_padding(x, valid)
        inner = down.apply(params, state, x, train=call.train)[0]
        y = x + inner @ params["up"].astype(x.dtype) + along(params["up_bias"], x)
        return without_padding(y, valid), state

    return stateful_layer(init, apply)


def linear_adapter(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """An adapter without an activation, what is left with linear features of seed 0.

    Args:
      params: of ``kernel_adapter``.
      x: ``(..., features)``.

    Returns:
      As ``x``.
    """
    return x + bundled_linear(params, x) @ params["up"] + along(params["up_bias"], x)
