"""S-ConvKAN: the functions of S-KAN on the patches of an image."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Call, Functional, stateful_layer
from jaxopt_lab.core.options import COUNT, COUNT_OR_ZERO, POSITIVE, check_arguments
from jaxopt_lab.core.typing import ModelState
from jaxopt_lab.layers.kan.selectable_kan import (
    ALL,
    Choice,
    Granularity,
    Params,
    plain_kan,
    selectable_kan,
)
from jaxopt_lab.layers.masks import over_images, without_padding


def selectable_kan_conv(
    features: Annotated[int, COUNT],
    *,
    out: Annotated[int | None, COUNT] = None,
    size: Annotated[int, COUNT] = 3,
    stride: Annotated[int, COUNT] = 1,
    padding: Annotated[int | None, COUNT_OR_ZERO] = None,
    spaces: tuple[str, ...] = ALL,
    granularity: Granularity = "node",
    temperature: Annotated[float, POSITIVE] = 1.0,
    chosen: Choice | None = None,
    kernel_init: Callable[..., jax.Array] | None = None,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    """Convolution with a function, of a chosen space, in place of every weight.

    It is ``selectable_kan`` on patches: n is ``size * size * features``, by position of
    the kernel (rows, then columns) and then by channel. With a kernel of one position
    it is ``selectable_kan`` of the channels.

    Args:
      features: channels of the input.
      out: channels of the output; ``None``: as the input.
      size: sides of the kernel.
      stride: of the positions of the output.
      padding: zeros at each edge, on which the functions act as on other values;
        ``None``: the size is kept, divided by the stride.
      spaces: of ``selectable_kan``.
      granularity: of ``selectable_kan``.
      temperature: of ``selectable_kan``.
      chosen: of ``select_spaces``.
      kernel_init: of ``selectable_kan``.
      param_dtype: type of the parameters.

    Returns:
      ``init(key) -> (params, {})`` of ``selectable_kan`` and ``apply(params, state, x,
      *, train, key=None, axis_name=None, mask=None) -> (y, state)`` for images ``(B,
      height, width, features)``. ``mask``, of the first axes of ``x``, is 0 for
      padding, which is seen as 0 and gives 0. Training and evaluation are the same.

    Raises:
      InputError: an argument is out of range, a space is unknown, or ``chosen`` does
        not fit; at the call, the input does not fit.

    Patches and their bases are in memory: ``size * size * K`` times the image for each
    space.

    Source: S-ConvKAN, "Selectable Kolmogorov-Arnold networks", from the abstract and
    summaries; the definition and all constants are ours.

    >>> layer = selectable_kan_conv(1, out=2, spaces=("plain",))
    >>> params, state = layer.init(jax.random.key(0))
    >>> layer.apply(params, state, jnp.zeros((1, 4, 4, 1)), train=True)[0].shape
    (1, 4, 4, 2)
    """
    given = {n: v for n, v in locals().items() if n not in ("kernel_init", "chosen")}
    check_arguments(selectable_kan_conv, given)
    inner = selectable_kan(
        size * size * features,
        out=features if out is None else out,
        spaces=spaces,
        granularity=granularity,
        temperature=temperature,
        chosen=chosen,
        kernel_init=kernel_init,
        param_dtype=param_dtype,
    )

    def apply(
        params: Params, state: ModelState, x: jax.Array, call: Call
    ) -> tuple[jax.Array, ModelState]:
        valid = over_images("selectable_kan_conv", x, features, call.mask)
        cut = patches(without_padding(x, valid), size, stride, padding)
        each = valid is not None and math.prod(valid.shape[1:]) > 1
        if each and cut.shape[:-1] != x.shape[:-1]:
            raise InputError(
                "selectable_kan_conv: a mask of positions needs an output of the size "
                f"of the input, {x.shape[1:3]}; got {cut.shape[1:3]}"
            )
        y, state = inner.apply(params, state, cut, train=call.train)
        return without_padding(y, valid), state

    return stateful_layer(inner.init, apply)


def patches(x: jax.Array, size: int, stride: int, padding: int | None) -> jax.Array:
    """The patch of every position of the output.

    Args:
      x: images ``(B, height, width, C)``.
      size: sides of a patch.
      stride: of the positions.
      padding: zeros at each edge; ``None``: as ``"SAME"`` of convolutions.

    Returns:
      ``(B, rows, columns, size * size * C)``.

    Raises:
      InputError: an image is smaller than a patch.

    >>> patches(jnp.arange(4.0).reshape(1, 2, 2, 1), 2, 1, 0).ravel().tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    edges: Any = [(padding or 0,) * 2] * 2
    if padding is None:
        edges = jax.lax.padtype_to_pads(
            x.shape[1:3], (size, size), (stride, stride), "SAME"
        )
    x = jnp.pad(x, ((0, 0), *edges, (0, 0)))
    places = [n - size for n in x.shape[1:3]]
    if min(places) < 0:
        raise InputError(
            f"images must be at least as large as a patch of {size}, with their "
            f"padding; got {x.shape[1:3]}"
        )
    parts = [
        x[:, i : i + places[0] + 1 : stride, j : j + places[1] + 1 : stride]
        for i, j in itertools.product(range(size), repeat=2)
    ]
    return jnp.concatenate(parts, axis=-1)


def plain_kan_conv(params: Params, x: jax.Array) -> jax.Array:
    """A convolution of Chebyshev polynomials with kernels of 3 by 3.

    Args:
      params: of ``selectable_kan_conv`` of this one space.
      x: images.

    Returns:
      Images of the same size.
    """
    return plain_kan(params, patches(x, 3, 1, None))
