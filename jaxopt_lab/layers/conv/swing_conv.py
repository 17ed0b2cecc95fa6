"""Swing convolution: a strided convolution at a random offset of its input."""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.functional import Call, Functional, stateful_layer
from jaxopt_lab.core.options import COUNT, COUNT_OR_ZERO, STATIC, check_arguments
from jaxopt_lab.core.shifted_window import shifted_window
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.layers.conv.transformed_conv import (
    ConvShape,
    KernelInit,
    transformed_conv,
)
from jaxopt_lab.layers.masks import over_features, without_padding


def swing_conv(
    features: Annotated[int, COUNT],
    *,
    out: Annotated[int | None, COUNT] = None,
    size: Annotated[int, COUNT] = 3,
    stride: Annotated[int, COUNT] = 2,
    padding: Annotated[int | None, COUNT_OR_ZERO] = None,
    groups: Annotated[int, COUNT] = 1,
    reach: Annotated[int, COUNT_OR_ZERO, STATIC] = 1,
    use_bias: bool = True,
    kernel_init: KernelInit | None = None,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Convolution of a window of the input that swings by a few positions.

    .. math:: y = \mathrm{conv}(\mathrm{window}(x, d)), \qquad
        d \sim \mathrm{U}\{-r..r\}^2,

    where the window has the size of x and is cut from its reflection over the edges. A
    strided convolution sees each position at one offset only, so that images found
    through its gradient have a pattern of its stride; with random offsets they do not.

    Args:
      features: channels of the input.
      out: channels of the output; ``None``: as the input.
      size: sides of the kernel.
      stride: of the positions of the output.
      padding: zeros at each edge; ``None``: the size is kept, divided by the stride.
      groups: of channels that do not see each other; divides both numbers.
      reach: r; 0: a plain convolution.
      use_bias: whether a bias is added.
      kernel_init: as jax's initializers; ``None``: LeCun's normal numbers, as flax.
      param_dtype: type of the parameters.

    Returns:
      ``init(key) -> ({"kernel"[, "bias"]}, {})`` and ``apply(params, state, x, *,
      train, key=None, axis_name=None, mask=None) -> (y, state)``. ``x`` is ``(B,
      height, width, features)``, or a pair of it and the offset from the corner, two
      whole numbers from 0 to 2 r, r in the centre, in place of a draw. There is one
      draw for a batch, in training with a key; otherwise the convolution is plain.
      ``mask``, of the first axes of ``x``, is 0 for padding. No state. Kept for the
      gradient: the input.

    Raises:
      InputError: an argument is out of range, ``groups`` does not divide the channels;
        at the call, ``x`` does not fit or has no more than r positions.

    The paper swings the convolutions of a trained network whose stride is not 1;
    ``quantize.swinging`` does so for a network that is a function.

    Source: Jeon, Lee and Kim, "Genie: Show Me the Data for Quantization",
    arXiv:2212.04780. Code followed: SamsungLabs/Genie.

    >>> layer = swing_conv(1, size=1, stride=2, use_bias=False)
    >>> params, x = {"kernel": jnp.ones((1, 1, 1, 1))}, jnp.arange(16.0)
    >>> x = x.reshape(1, 4, 4, 1)
    >>> for d in ((1, 1), (2, 2)):
    ...     y, _ = layer.apply(params, {}, (x, jnp.array(d)), train=True)
    ...     print(y.ravel().tolist())
    [0.0, 2.0, 8.0, 10.0]
    [5.0, 7.0, 13.0, 15.0]
    """
    check_arguments(swing_conv, locals())
    conv = transformed_conv(
        "swing_conv",
        features,
        ConvShape(features if out is None else out, size, stride, padding, groups),
        None,
        use_bias=use_bias,
        kernel_init=kernel_init,
        param_dtype=param_dtype,
    )

    def apply(
        params: Params, state: ModelState, x: Any, call: Call
    ) -> tuple[jax.Array, ModelState]:
        shift = None
        if isinstance(x, tuple):
            x, shift = x
        elif call.train and call.key is not None and reach:
            shift = jax.random.randint(call.key, (2,), 0, 2 * reach + 1)
        if shift is not None and x.ndim == 4:
            # Padding is not reflected into the image.
            x = without_padding(x, over_features("swing_conv", x, features, call.mask))
            x = shifted_window(x, shift, (1, 2), reach)
        return conv.apply(params, state, x, train=call.train, mask=call.mask)

    return stateful_layer(conv.init, apply)
