"""The dense layer that the memory-saving ones are built around."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError

KernelInit = Callable[..., jax.Array]


def dense(params: Any, x: jax.Array) -> jax.Array:
    """``x @ kernel + bias``, in the type of ``x``.

    Args:
      params: ``{"kernel": (features, out)}``, and ``"bias": (out,)`` if there is one.
      x: ``(..., features)``.

    Returns:
      ``(..., out)``.

    >>> dense({"kernel": jnp.ones((2, 1))}, jnp.array([[1.0, 2.0]])).tolist()
    [[3.0]]
    """
    y = x @ params["kernel"].astype(x.dtype)
    if "bias" in params:
        bias = params["bias"].astype(x.dtype)
        y = y + bias.reshape((1,) * (y.ndim - 1) + bias.shape)
    return y


def first_dense(
    layer: str,
    features: int,
    out: int,
    *,
    use_bias: bool,
    kernel_init: KernelInit | None,
    param_dtype: DTypeLike,
) -> Callable[[jax.Array | None], Any]:
    """``first(key)``, the first parameters of a dense layer.

    Args:
      layer: name of the layer, for messages.
      features: inputs of a position.
      out: outputs of a position.
      use_bias: whether there is a bias, 0 at first.
      kernel_init: as jax's initializers; ``None``: LeCun's normal numbers, as flax.
      param_dtype: type of the parameters.

    Returns:
      The function.

    >>> first = first_dense("dense", 2, 3, use_bias=False, kernel_init=None,
    ...                     param_dtype=jnp.float32)
    >>> first(jax.random.key(0))["kernel"].shape
    (2, 3)
    """
    draw = jax.nn.initializers.lecun_normal() if kernel_init is None else kernel_init

    def first(key: jax.Array | None) -> Any:
        if key is None:
            raise InputError(f"{layer}: init draws the kernel; pass it a key")
        params = {"kernel": draw(key, (features, out), param_dtype)}
        if use_bias:
            params["bias"] = jnp.zeros(out, param_dtype)
        return params

    return first
