"""Layer of residual codes, between the encoder and the decoder of a codec."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Call, Functional, stateful_layer
from jaxopt_lab.core.options import COUNT, NON_NEGATIVE, check_arguments
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.layers.compression.residual_codes import residual_vector_quantize
from jaxopt_lab.layers.masks import over_features, without_padding
from jaxopt_lab.layers.norm.last_axis import along
from jaxopt_lab.layers.penalties import summed_penalties

_PENALTY = "quantization_penalty"


def residual_vector_quantizer(
    features: Annotated[int, COUNT],
    *,
    stages: Annotated[int, COUNT] = 2,
    size: Annotated[int, COUNT] = 256,
    groups: Annotated[int, COUNT] = 1,
    commitment: Annotated[float, NON_NEGATIVE] = 0.25,
    through_codes: bool = False,
    kernel_init: Callable[..., jax.Array] | None = None,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""``residual_vector_quantize`` with trained tables.

    Args:
      features: size of the last axis.
      stages: tables one after another.
      size: codes of each, K.
      groups: consecutive parts of the features, with tables of their own; divides
        ``features``.
      commitment: weight of the input's pull towards its codes.
      through_codes: whether the gradient of the output reaches the tables, beside that
        of the penalty.
      kernel_init: of the codes, as jax's initializers; ``None``: normal numbers of
        deviation 1 for the first stage, half of the one before for each other.
      param_dtype: type of the parameters.

    Returns:
      ``init(key) -> ({"codebooks"}, {"quantization_penalty"})``, the tables ``(stages,
      K, features)``, with groups ``(groups, stages, K, features / groups)``, and
      ``apply(params, state, x, *, train, key=None, axis_name=None, mask=None) -> (y,
      state)``. The new state of a training call has the loss of the tables, a scalar:
      add ``quantization_penalty(state)`` inside of the loss function, else they do not
      learn. ``mask``, of the leading axes of ``x``, is 0 for padding, which counts in
      no penalty and gives 0. The gradient of the input is straight-through.

    Raises:
      InputError: an argument is out of range, or ``groups`` does not divide
        ``features``.

    Bits of a position: ``groups * stages * log2(size)``. Memory: that of
    ``residual_vector_quantize``; ``replace_dead_codes`` for tables with unused codes.

    Source: Zeghidour et al., "SoundStream", 2021 (https://arxiv.org/abs/2107.03312);
    Yang et al., "HiFi-Codec", 2023 (https://arxiv.org/abs/2305.02765), for groups.

    >>> layer = residual_vector_quantizer(4, stages=3, size=8, groups=2)
    >>> params, state = layer.init(jax.random.key(0))
    >>> y, state = layer.apply(params, state, jnp.ones((5, 4)), train=True)
    >>> params["codebooks"].shape, y.shape, float(quantization_penalty(state)) > 0
    ((2, 3, 8, 2), (5, 4), True)
    """
    check_arguments(residual_vector_quantizer, locals())
    if features % groups:
        raise InputError(
            f"groups must divide the {features} features; got groups={groups}"
        )
    shape = (stages, size, features // groups)
    shape = shape if groups == 1 else (groups, *shape)

    def init(key: jax.Array | None = None) -> tuple[Any, Any]:
        if key is None:
            raise InputError("residual_vector_quantizer: init draws codes; pass a key")
        if kernel_init is None:
            halves = jnp.asarray([0.5**i for i in range(stages)], param_dtype)
            drawn = jax.random.normal(key, shape, param_dtype)
            ahead = () if groups == 1 else (0,)
            tables = drawn * jnp.expand_dims(halves, (*ahead, -2, -1))
        else:
            tables = kernel_init(key, shape, param_dtype)
        return {"codebooks": tables}, {_PENALTY: jnp.zeros((), param_dtype)}

    def apply(
        params: Params, state: ModelState, x: jax.Array, call: Call
    ) -> tuple[jax.Array, ModelState]:
        valid = over_features("residual_vector_quantizer", x, features, call.mask)
        where = jnp.ones(x.shape[:-1], bool)
        if valid is not None:
            where = jnp.broadcast_to(valid, (*x.shape[:-1], 1))[..., 0]
        found = residual_vector_quantize(
            without_padding(x, valid),
            params["codebooks"],
            commitment=commitment,
            through_codes=through_codes,
            where=where,
        )
        if call.train:
            loss = _over_devices(found.loss, where, call.axis_name)
            state = {_PENALTY: loss.astype(state[_PENALTY].dtype)}
        y = found.out
        return without_padding(y, valid), state

    return stateful_layer(init, apply)


def quantization_penalty(model_state: ModelState) -> jax.Array:
    """The sum of the losses of a model's tables of residual codes.

    Args:
      model_state: the *new* state of a training call, inside of the loss function.

    Returns:
      A scalar; 0 where there are no such layers.

    >>> state = {"codes": {"quantization_penalty": jnp.array(0.5)}}
    >>> float(quantization_penalty(state))
    0.5
    """
    return summed_penalties(model_state, _PENALTY)


def only_codes(params: Params, x: jax.Array) -> jax.Array:
    """The sum of the one code of each stage, what is left of tables of ``size=1``.

    Args:
      params: ``{"codebooks": (stages, 1, features)}``.
      x: ``(..., features)``.

    Returns:
      As ``x``.
    """
    total = jnp.sum(params["codebooks"], axis=(0, 1))
    return jnp.zeros_like(x) + along(total, x)


def _over_devices(
    loss: jax.Array, where: jax.Array, axis_name: str | None
) -> jax.Array:
    """The mean over the positions of all devices."""
    if axis_name is None:
        return loss
    own = jnp.sum(where.astype(loss.dtype))
    total, count = jax.lax.psum((loss * own, own), axis_name)
    return total / jnp.maximum(count, 1)
