"""Wiener deconvolution as a layer: each channel's noise ratio is learned."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.options import COUNT, POSITIVE, STATIC, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype, safe_divide
from jaxopt_lab.core.typing import Params
from jaxopt_lab.layers.masks import over_features, without_padding
from jaxopt_lab.layers.restoration.deconvolution import Padding, wiener_deconvolution


def learned_wiener(
    features: Annotated[int, COUNT],
    *,
    noise: Literal["estimated", "learned"] = "estimated",
    start: Annotated[float, POSITIVE, STATIC] = 1.0,
    least: Annotated[float, POSITIVE, STATIC] = 1e-6,
    padding: Padding = "edge",
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Wiener deconvolution of images or features, with a learned noise ratio.

    .. math:: r_{bc} = e^{\theta_c} \frac{\operatorname{var}(x_{bc} -
        \operatorname{median}_{3 \times 3} x_{bc})}{\operatorname{var}(x_{bc})} +
        \epsilon

    is the noise ratio of ``wiener_deconvolution`` for channel c of example b: the
    median is the image as far as noise is concerned.

    Args:
      features: channels of the input.
      noise: ``"estimated"``, as above; ``"learned"``, :math:`r_c = e^{\theta_c}` alone.
      start: first value of :math:`e^\theta`.
      least: :math:`\epsilon`, which keeps frequencies that the blur removed from
        growing without a limit.
      padding: as of ``wiener_deconvolution``.
      param_dtype: type of the parameters.

    Returns:
      ``init(key) -> ({"log_factor"}, {})`` and ``apply(params, state, (x, kernel), *,
      train, key=None, axis_name=None, mask=None) -> (y, state)``: ``x`` ``(B, height,
      width, features)``, ``kernel`` ``(B, h, w)``, ``y`` as ``x``. ``mask`` ``(B,)`` is
      0 for padding. No state; training and evaluation are the same. Kept for the
      gradient: 40 bytes a number of the input, mostly spectra.

    Raises:
      InputError: an option is out of range; at the call, shapes do not fit, or the mask
        is one of positions.

    The code has the ratio of a variance and a standard deviation, times 8/30, which
    changes with the scale of the image; here both are variances and the factor is
    learned. A constant image has the ratio :math:`\epsilon`.

    Source: Zhang et al., "INFWIDE: Image and Feature Space Wiener Deconvolution Network
    for Non-blind Image Deblurring in Low-Light Conditions", arXiv:2207.08201. Code
    read: zhihongz/INFWIDE.

    >>> layer = learned_wiener(1)
    >>> params, state = layer.init(jax.random.key(0))
    >>> x, kernel = jnp.ones((1, 4, 4, 1)), jnp.ones((1, 3, 3))
    >>> run = jax.jit(lambda x: layer.apply(params, state, x, train=True)[0])
    >>> bool(jnp.allclose(run((x, kernel)), 1.0, atol=1e-4))  # constant: no blur
    True
    """
    check_arguments(learned_wiener, locals())

    def init(key: jax.Array | None = None) -> tuple[Any, Any]:
        return {"log_factor": jnp.full(features, jnp.log(start), param_dtype)}, {}

    def apply(params: Params, x: Any, mask: jax.Array | None) -> jax.Array:
        if not isinstance(x, tuple) or len(x) != 2 or jnp.ndim(x[0]) != 4:
            raise InputError(
                f"learned_wiener takes images (B, height, width, {features}) and "
                "kernels (B, h, w), a pair"
            )
        images, kernel = x
        if mask is not None and mask.ndim != 1:
            raise InputError(
                f"learned_wiener takes a mask of examples, (B,); got {mask.shape}"
            )
        valid = over_features("learned_wiener", images, features, mask)
        images = without_padding(images, valid)
        kernel = without_padding(kernel, None if valid is None else valid[..., 0])
        factor = params["log_factor"].astype(accumulation_dtype(images.dtype))
        ratio = jnp.exp(factor)
        if noise == "estimated":
            ratio = ratio[None] * noise_share(images)
            ratio = ratio + jnp.asarray(least, ratio.dtype)
        y = wiener_deconvolution(images, kernel, ratio, padding=padding)
        return without_padding(y, valid)

    return stateless_layer(init, apply)


def noise_share(x: jax.Array) -> jax.Array:
    """Variance of images less their 3 x 3 median, over the variance of the images.

    Args:
      x: ``(B, H, W, C)``, floating; edges are continued.

    Returns:
      ``(B, C)``, float32 or float64; 0 for constant images. The derivative of the
      median is that of the pixel which it is.

    >>> ramp = jnp.arange(5.0)[None, :, None, None] * jnp.ones((1, 1, 5, 1))
    >>> bool(jax.jit(noise_share)(ramp)[0, 0] < 1e-2)
    True
    """
    x = x.astype(accumulation_dtype(x.dtype))
    height, width = x.shape[1:3]
    around = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    nine = jnp.stack(
        [around[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    )
    own = jax.lax.stop_gradient(nine)[:, None]
    other, places = jnp.moveaxis(own, 0, 1), jnp.arange(9).reshape(9, 1, 1, 1, 1, 1)
    earlier = places > jnp.moveaxis(places, 0, 1)
    below = (other < own) | (earlier & (other == own))
    # An index, in place of the nine arrays, is kept for the gradient.
    middle = jnp.argmax(jnp.sum(below, axis=1) == 4, axis=0, keepdims=True)
    rest = x - jnp.take_along_axis(nine, middle, axis=0)[0]
    return safe_divide(jnp.var(rest, axis=(1, 2)), jnp.var(x, axis=(1, 2)))


def with_fixed_ratio(params: Any, x: Any) -> jax.Array:
    """Wiener deconvolution with one noise ratio for each channel.

    Args:
      params: ``{"log_factor"}``, the logarithms.
      x: images and kernels.

    Returns:
      The images.
    """
    images, kernel = x
    return wiener_deconvolution(images, kernel, jnp.exp(params["log_factor"]))
