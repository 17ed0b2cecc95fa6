"""SIREN: a network of sines, of coordinates."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.options import (
    COUNT,
    COUNT_OR_ZERO,
    POSITIVE,
    STATIC,
    check_arguments,
)
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Params
from jaxopt_lab.layers.masks import wide_input, without_padding
from jaxopt_lab.layers.norm.last_axis import along
from jaxopt_lab.layers.sine.winner import winner


def siren(
    features: Annotated[int, COUNT],
    *,
    hidden: Annotated[int, COUNT] = 256,
    depth: Annotated[int, COUNT_OR_ZERO] = 4,
    out: Annotated[int | None, COUNT] = None,
    omega_first: Annotated[float, POSITIVE, STATIC] = 30.0,
    omega: Annotated[float, POSITIVE, STATIC] = 30.0,
    kernel_init: Callable[..., jax.Array] | None = None,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Perceptron of sines on coordinates, an implicit representation of a signal.

    .. math:: h_{i+1} = \sin(\omega_i (h_i W_i + b_i)), \qquad
        y = h_{\text{depth}} W + b

    Args:
      features: number of coordinates, best in [-1, 1].
      hidden: units of a layer.
      depth: layers with sines; 0: the last, linear layer alone.
      out: size of the output; ``None``: as the input.
      omega_first: factor within the sines of the first layer.
      omega: that of the further ones, and of the bounds of all kernels but the first.
      kernel_init: initializer of every kernel, with biases 0; ``None``: ``winner``
        without noise, and biases uniform within one over the root of the inputs.
      param_dtype: type of the parameters.

    Returns:
      ``init(key) -> (params, {})`` with ``kernel_i`` and ``bias_i`` from the first to
      the last layer; and ``apply(params, state, x, *, train, key=None, axis_name=None,
      mask=None) -> (y, state)`` for ``x`` of ``(..., features)``. ``mask``, of the
      leading axes of ``x``, is 0 for padding, which gives 0. Training and evaluation
      are the same.

    Raises:
      InputError: an argument is out of range; at the call, the input does not fit.

    Phases and sines are float32 for narrower types: a phase of ``omega`` radians would
    lose its digits. Two arrays of ``hidden`` numbers a layer and position are kept for
    the gradient. Start from ``winner_init`` where the target has high frequencies.

    Source: Sitzmann et al., "Implicit Neural Representations with Periodic Activation
    Functions", 2020 (https://arxiv.org/abs/2006.09661).

    >>> layer = siren(2, hidden=3, depth=1, out=1, kernel_init=jax.nn.initializers.ones)
    >>> start = layer.init(jax.random.key(0))
    >>> y, _ = layer.apply(*start, jnp.full((1, 2), jnp.pi / 120), train=True)
    >>> [round(float(v), 4) for v in y.ravel()]
    [3.0]
    """
    given = {n: v for n, v in locals().items() if n != "kernel_init"}
    check_arguments(siren, given)
    widths = (features, *[hidden] * depth, features if out is None else out)

    def init(key: jax.Array) -> tuple[dict[str, jax.Array], Any]:
        params = {}
        for i, shape in enumerate(itertools.pairwise(widths)):
            own, other = jax.random.split(jax.random.fold_in(key, i))
            bias = jnp.zeros(shape[1], param_dtype)
            if kernel_init is None:
                first = i == 0 < depth
                kernel = winner(own, shape, param_dtype, omega=omega, first=first)
                wide = accumulation_dtype(param_dtype)
                spread = jax.random.uniform(other, shape[1:], wide, -1.0)
                bias = (spread / shape[0] ** 0.5).astype(param_dtype)
            else:
                kernel = kernel_init(own, shape, param_dtype)
            params[f"kernel_{i}"], params[f"bias_{i}"] = kernel, bias
        return params, {}

    def apply(params: Params, x: jax.Array, mask: jax.Array | None) -> jax.Array:
        h, valid = wide_input("siren", x, features, mask)
        for i in range(depth):
            h = jnp.sin(_affine(params, h, i) * (omega if i else omega_first))
        y = _affine(params, h, depth).astype(x.dtype)
        return without_padding(y, valid)

    return stateless_layer(init, apply)


def _affine(params: dict[str, jax.Array], h: jax.Array, i: int) -> jax.Array:
    return h @ params[f"kernel_{i}"].astype(h.dtype) + along(params[f"bias_{i}"], h)


def affine(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """The last layer alone, what is left without sines.

    Args:
      params: of ``siren`` of depth 0.
      x: ``(..., features)``.

    Returns:
      ``(..., out)``.
    """
    return _affine(params, x, 0)
