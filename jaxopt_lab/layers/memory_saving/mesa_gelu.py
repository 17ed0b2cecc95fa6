"""GELU that keeps codes of its input for the backward pass."""

from __future__ import annotations

from typing import Annotated, Any

import jax

from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.options import COUNT, check_arguments, takes
from jaxopt_lab.layers.memory_saving.compressed_input import compressed_layer
from jaxopt_lab.layers.memory_saving.residual_codes import Compression


def tanh_gelu(params: Any, x: jax.Array) -> jax.Array:
    """GELU by its approximation with tanh, jax's and flax's default."""
    del params
    return jax.nn.gelu(x)


def exact_gelu(params: Any, x: jax.Array) -> jax.Array:
    """GELU by the error function, torch's default."""
    del params
    return jax.nn.gelu(x, approximate=False)


@takes(Compression)
def mesa_gelu(
    features: Annotated[int, COUNT], *, approximate: bool = True, **options: Any
) -> Functional:
    r"""GELU whose backward pass restores its input from 8-bit codes.

    The output is exact. For each group of features a range R and a lowest value L run
    along from batch to batch, and the gradient is taken at

    .. math::
        \hat x = L + \frac{R}{255} \, \mathrm{clip}\left(\mathrm{round}\left(
        255 \frac{x - L}{R}\right), 0, 255\right).

    Args:
      features: size of the last axis.
      approximate: GELU by tanh, as jax and flax; otherwise by the error function.
      **options: of the compression.

    Returns:
      ``init(key=None) -> ({}, {"range", "low", "started"})`` and ``apply(params, state,
      x, *, train, key=None, axis_name=None, mask=None) -> (y, state)``. ``x`` is
      ``(..., features)`` of any floating type, ``y`` has its shape and type. ``mask``,
      of the leading axes of ``x``, is 0 for padding, which gives 0 and counts in no
      range. Evaluation is plain GELU. Kept for the gradient: 1 byte a number, half
      with ``bits=4`` (autodiff keeps at least 4). The state is that of all devices of
      ``axis_name``. First derivatives only.

    Raises:
      InputError: an argument is out of range; at the call, the input does not fit,
        there is no key to round with, or a gradient is differentiated.

    Deviations: the released code wraps values above the running range around to its
    bottom; we clamp, as the paper.

    Source: Pan et al., "Mesa: A Memory-saving Training Framework for Transformers",
    2021 (https://arxiv.org/abs/2111.11124). Code read: ziplab/Mesa.

    >>> import jax.numpy as jnp
    >>> act = mesa_gelu(3, rounding="nearest")
    >>> params, state = act.init()
    >>> y, state = act.apply(params, state, jnp.array([[-1.0, 0.0, 3.0]]), train=True)
    >>> y.round().tolist(), float(state["range"][0])
    ([[-0.0, 0.0, 3.0]], 4.0)
    """
    compression = Compression(**options)
    check_arguments(mesa_gelu, {"features": features, "approximate": approximate})
    function = tanh_gelu if approximate else exact_gelu
    return compressed_layer("mesa_gelu", features, function, _nothing, compression)


def _nothing(key: jax.Array | None) -> Any:
    del key
    return {}
