"""Self-attention that keeps codes of its queries, keys and values."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional, real_layer
from jaxopt_lab.core.options import COUNT, check_arguments, takes
from jaxopt_lab.layers.attention.softmax_attention import softmax_attention
from jaxopt_lab.layers.memory_saving.compressed_input import compressed_layer
from jaxopt_lab.layers.memory_saving.residual_codes import Compression


@takes(Compression, omit=("groups",))
def mesa_attention(
    features: Annotated[int, COUNT],
    *,
    heads: Annotated[int, COUNT] = 1,
    causal: bool = True,
    **options: Any,
) -> Functional:
    r"""Softmax attention whose backward pass restores q, k and v from 8-bit codes.

    The input is the queries, keys and values side by side, ``(B, T, 3 * width)``; each
    of them has a range for every head (``mesa_gelu``). The output is exact; the
    backward pass computes the weights again from what the codes stand for, so that no
    array of ``T * T`` is kept.

    Args:
      features: size of the last axis of the input, 3 times the width.
      heads: number of heads; divides the width.
      causal: a position sees none behind it.
      **options: of the compression.

    Returns:
      ``init(key=None) -> ({}, {"range", "low", "started"})`` and ``apply(params, state,
      x, *, train, key=None, axis_name=None, mask=None) -> (y, state)``, ``y`` of shape
      ``(B, T, width)``. ``mask``, ``(B,)``, is 0 for examples that are padding. Kept
      for the gradient: 1 byte a number of the input. First derivatives only.

    Raises:
      InputError: an argument is out of range; at the call, the input or the mask does
        not fit, there is no key to round with, or a gradient is differentiated.

    Deviations: the released code keeps codes of the weights too and computes nothing
    again.

    Source: Pan et al., "Mesa: A Memory-saving Training Framework for Transformers",
    2021 (https://arxiv.org/abs/2111.11124). Code read: ziplab/Mesa.

    >>> layer = mesa_attention(6, heads=2, rounding="nearest")
    >>> y, _ = layer.apply(*layer.init(), jnp.ones((1, 3, 6)), train=True)
    >>> y.shape
    (1, 3, 2)
    """
    check_arguments(
        mesa_attention, {"features": features, "heads": heads, "causal": causal}
    )
    if features % (3 * heads):
        raise InputError(
            f"features={features} must be a multiple of three times heads={heads}, the "
            "queries, keys and values of each head"
        )
    compression = Compression(groups=3 * heads, **options)

    def attention(params: Any, x: jax.Array) -> jax.Array:
        del params
        batch, length, _ = x.shape
        shape = (batch, length, heads, features // (3 * heads))
        q, k, v = (part.reshape(shape) for part in jnp.split(x, 3, axis=-1))
        y = softmax_attention(q, k, v, causal=causal)
        return y.reshape(batch, length, features // 3)

    nothing = lambda key: {}
    core = compressed_layer("mesa_attention", features, attention, nothing, compression)

    def apply(
        params: Any,
        state: dict[str, jax.Array],
        x: jax.Array,
        *,
        mask: jax.Array | None = None,
        **options: Any,
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        if x.ndim != 3 or (mask is not None and mask.ndim > 1):
            raise InputError(
                "mesa_attention takes inputs (B, T, features) and a mask (B,) of "
                f"examples; got {x.shape} and {None if mask is None else mask.shape}"
            )
        return core.apply(params, state, x, mask=mask, **options)

    return real_layer(core.init, apply)
