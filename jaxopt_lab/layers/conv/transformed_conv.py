"""Convolution whose kernel is a function of its parameters."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.typing import Params
from jaxopt_lab.layers.masks import over_images, without_padding
from jaxopt_lab.layers.norm.last_axis import along

KernelInit = Callable[..., jax.Array]


class KernelTransform(NamedTuple):
    """A function of a kernel, with parameters of its own or none.

    Attributes:
      init: ``init(shape, dtype) -> params``, a dict; ``shape`` of the kernel, with the
        outputs last.
      apply: ``apply(params, kernel) -> kernel``.
    """

    init: Callable[[tuple[int, ...], DTypeLike], dict[str, jax.Array]]
    apply: Callable[[dict[str, jax.Array], jax.Array], jax.Array]


class ConvShape(NamedTuple):
    """The shape of a square convolution.

    Attributes:
      out: channels of the output.
      size: sides of the kernel.
      stride: of the positions of the output.
      padding: zeros at each edge; None keeps the size (divided by the stride).
      groups: of channels that do not see each other.
    """

    out: int
    size: int
    stride: int
    padding: int | None
    groups: int

    def kernel(self, layer: str, features: int) -> tuple[int, ...]:
        """``(size, size, features / groups, out)``.

        Args:
          layer: name of the layer, for the message.
          features: channels of the input.

        Returns:
          The shape of the kernel.

        Raises:
          InputError: ``groups`` does not divide both numbers of channels.
        """
        if features % self.groups or self.out % self.groups:
            raise InputError(
                f"{layer}: groups must divide the channels, {features} of the input "
                f"and {self.out} of the output; got groups={self.groups}"
            )
        return self.size, self.size, features // self.groups, self.out


def transformed_conv(
    layer: str,
    features: int,
    shape: ConvShape,
    transform: KernelTransform | None,
    *,
    use_bias: bool,
    kernel_init: KernelInit | None,
    param_dtype: DTypeLike,
) -> Functional:
    """A convolution of images with a kernel transform, as a layer.

    Args:
      layer: its name, for messages.
      features: channels of the input.
      shape: of the convolution.
      transform: of the kernel; ``None``: none.
      use_bias: whether there is a bias, 0 at first.
      kernel_init: as jax's initializers; ``None``: LeCun's normal numbers, as flax.
      param_dtype: type of the parameters.

    Returns:
      ``init(key)`` and ``apply`` by the contract of layers. The kernel is transformed
      in its own type and cast to that of the input.

    >>> shape = ConvShape(out=2, size=1, stride=1, padding=None, groups=1)
    >>> layer = transformed_conv("conv", 3, shape, None, use_bias=False,
    ...                          kernel_init=None, param_dtype=jnp.float32)
    >>> params, state = layer.init(jax.random.key(0))
    >>> layer.apply(params, state, jnp.ones((1, 4, 4, 3)), train=True)[0].shape
    (1, 4, 4, 2)
    """
    draw = jax.nn.initializers.lecun_normal() if kernel_init is None else kernel_init
    sizes = shape.kernel(layer, features)

    def init(key: jax.Array | None = None) -> tuple[Any, Any]:
        if key is None:
            raise InputError(f"{layer}: init draws the kernel; pass it a key")
        params = {"kernel": draw(key, sizes, param_dtype)}
        if use_bias:
            params["bias"] = jnp.zeros(shape.out, param_dtype)
        if transform is not None:
            params |= transform.init(sizes, param_dtype)
        return params, {}

    def apply(params: Params, x: jax.Array, mask: jax.Array | None) -> jax.Array:
        valid = over_images(layer, x, features, mask)
        x = without_padding(x, valid)
        kernel = params["kernel"]
        if transform is not None:
            kernel = transform.apply(params, kernel)
        y = jax.lax.conv_general_dilated(
            x,
            kernel.astype(x.dtype),
            (shape.stride, shape.stride),
            "SAME" if shape.padding is None else [(shape.padding, shape.padding)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=shape.groups,
        )
        if use_bias:
            y = y + along(params["bias"], y)
        if valid is not None:
            if math.prod(valid.shape[1:]) > 1 and y.shape[:-1] != x.shape[:-1]:
                raise InputError(
                    f"{layer}: a mask of positions needs an output of the size of the "
                    f"input, {x.shape[1:3]}; got {y.shape[1:3]}"
                )
            y = jnp.where(valid, y, 0)
        return y

    return stateless_layer(init, apply)
