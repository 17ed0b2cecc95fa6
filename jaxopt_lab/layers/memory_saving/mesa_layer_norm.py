"""Layer normalization that keeps codes of its input for the backward pass."""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.options import COUNT, POSITIVE, STATIC, check_arguments, takes
from jaxopt_lab.layers.memory_saving.compressed_input import compressed_layer
from jaxopt_lab.layers.memory_saving.residual_codes import Compression
from jaxopt_lab.layers.norm.layernorm_scaling import layernorm_scaling


@takes(Compression)
def mesa_layer_norm(
    features: Annotated[int, COUNT],
    *,
    eps: Annotated[float, POSITIVE, STATIC] = 1e-6,
    param_dtype: DTypeLike = jnp.float32,
    **options: Any,
) -> Functional:
    r"""Layer normalization whose backward pass restores its input from 8-bit codes.

    The output is exact,

    .. math:: y = g \odot \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + b,

    and the gradient is that at the input :math:`\hat x` that the codes stand for
    (``mesa_gelu``), with the mean and variance of :math:`\hat x`.

    Args:
      features: size of the last axis, over which the statistics are taken.
      eps: :math:`\epsilon`, above 0.
      param_dtype: type of the parameters.
      **options: of the compression.

    Returns:
      ``init(key=None) -> ({"scale", "bias"}, {"range", "low", "started"})`` and
      ``apply(params, state, x, *, train, key=None, axis_name=None, mask=None) -> (y,
      state)``, as ``mesa_gelu``. Kept for the gradient: 1 byte a number (autodiff
      keeps 8). First derivatives only.

    Raises:
      InputError: an argument is out of range; at the call, the input does not fit,
        there is no key to round with, or a gradient is differentiated.

    Deviations: the released code keeps mean and standard deviation too, two numbers a
    position, and clamps from below only (``mesa_gelu``).

    Source: Pan et al., "Mesa: A Memory-saving Training Framework for Transformers",
    2021 (https://arxiv.org/abs/2111.11124). Code read: ziplab/Mesa.

    >>> norm = mesa_layer_norm(4, rounding="nearest")
    >>> params, state = norm.init()
    >>> x = jnp.array([[1.0, 1.0, 3.0, 3.0]])
    >>> norm.apply(params, state, x, train=True)[0].round(3).tolist()
    [[-1.0, -1.0, 1.0, 1.0]]
    """
    compression = Compression(**options)
    check_arguments(
        mesa_layer_norm, {"features": features, "eps": eps, "param_dtype": param_dtype}
    )
    plain = layernorm_scaling(features, eps=eps, param_dtype=param_dtype)

    def function(params: Any, x: jax.Array) -> jax.Array:
        return plain.apply(params, {}, x, train=True)[0]

    def first(key: jax.Array | None) -> Any:
        del key
        ones = jnp.ones(features, param_dtype)
        return {"scale": ones, "bias": jnp.zeros_like(ones)}

    return compressed_layer("mesa_layer_norm", features, function, first, compression)
