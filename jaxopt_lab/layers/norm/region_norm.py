"""Normalization of two regions of images, each by its own statistics."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Call, Functional, stateful_layer
from jaxopt_lab.core.options import COUNT, POSITIVE, STATIC, UNIT, check_arguments
from jaxopt_lab.core.statistics import batch_mean, batch_statistics
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.layers.masks import over_images, without_padding
from jaxopt_lab.layers.norm.last_axis import along

_LECUN = jax.nn.initializers.lecun_normal()
_SIDES = ("foreground", "background")


def region_norm(
    features: Annotated[int, COUNT],
    *,
    regions: Literal["learned", "given"] = "learned",
    threshold: Annotated[float, UNIT, STATIC] = 0.8,
    kernel_size: Annotated[int, COUNT] = 7,
    per_example: bool = False,
    eps: Annotated[float, POSITIVE, STATIC] = 1e-5,
    kernel_init: Callable[..., jax.Array] = _LECUN,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Normalization of foreground and background of images, each by itself.

    For a region of n of the N positions of the batch, with mean :math:`\mu` and
    variance :math:`\sigma^2` (ddof 0) of the channel over the region,

    .. math:: z = \frac{x - \mu}{\sqrt{\sigma^2 n / N + \epsilon}} \sqrt{n / N},

    which is batch normalization of the region with its surroundings at its mean. Given
    regions (RN-B): :math:`y = z (1 + \gamma_r) + \beta_f + \beta_b`, gains of its own
    region and both biases, for each channel. Learned regions (RN-L): with the map
    :math:`s = \sigma(\text{conv}(\text{mean}_c x, \max_c x))` the foreground is where
    :math:`s` reaches ``threshold``, which has no gradient, and :math:`y = z (1 +
    \text{conv}(s)) + \text{conv}(s)`.

    Args:
      features: size of the last axis.
      regions: ``"given"``, in the input; ``"learned"``.
      threshold: of the learned map, in ``[0, 1]``.
      kernel_size: of the three convolutions of learned regions; odd.
      per_example: statistics of each image; otherwise one set over the batch, as in
        the code (the paper's text reads as if each image had its own).
      eps: :math:`\epsilon`, above 0.
      kernel_init: initializer of the kernels.
      param_dtype: type of the parameters.

    Returns:
      ``init(key) -> (params, {})`` and ``apply(params, state, x, *, train, key=None,
      axis_name=None, mask=None) -> (y, state)``. ``x`` is ``(B, H, W, features)`` of
      any floating type, for given regions ``(x, region)`` with ``region`` ``(B, h, w,
      1)``, nonzero in the foreground, resized to the nearest value; ``y`` has its shape
      and type. The statistics are float32, float64 for float64. ``mask``, of the first
      axes of ``x``, is 0 for padding, which counts in no statistic and gives 0. Over
      ``axis_name`` the statistics are those of all devices. There is no running state:
      evaluation takes the statistics of its batch too. An empty region is no position
      of the output.

    Raises:
      InputError: an argument is out of range; at the call, the inputs do not fit.

    Cost: three convolutions of maps of one or two features where regions are
    learned, and statistics of two regions. Kept for the gradient: on the catalog's
    example 35 bytes a float32 number of ``x``, about nine arrays of its size.

    Source: Yu et al., "Region Normalization for Image Inpainting", 2019
    (https://arxiv.org/abs/1911.10375) and its code, geekyutao/RN.

    >>> norm = region_norm(1, regions="given")
    >>> x = jnp.array([1.0, 3.0, 10.0, 30.0]).reshape(1, 2, 2, 1)
    >>> region = jnp.array([1.0, 1.0, 0.0, 0.0]).reshape(1, 2, 2, 1)
    >>> y, _ = norm.apply(*norm.init(), (x, region), train=True)
    >>> y.ravel().round(2).tolist()
    [-1.0, 1.0, -1.0, 1.0]
    """
    options = {n: v for n, v in locals().items() if n != "kernel_init"}
    check_arguments(region_norm, options)
    if kernel_size % 2 == 0:
        raise InputError(f"kernel_size must be odd; got {kernel_size}")

    def init(key: jax.Array | None = None) -> tuple[dict[str, jax.Array], Any]:
        if regions == "given":
            zero = jnp.zeros(features, param_dtype)
            names = [f"{side}_{part}" for side in _SIDES for part in ("gamma", "beta")]
            return dict.fromkeys(names, zero), {}
        if key is None:
            raise InputError("region_norm with learned regions needs init(key)")
        params = {}
        for i, (name, inputs) in enumerate((("map", 2), ("gamma", 1), ("beta", 1))):
            shape = (kernel_size, kernel_size, inputs, 1)
            own = jax.random.fold_in(key, i)
            params[f"{name}_kernel"] = kernel_init(own, shape, param_dtype)
        zero = jnp.zeros(1, param_dtype)
        return {**params, "gamma_bias": zero, "beta_bias": zero}, {}

    def apply(
        params: Params, state: ModelState, x: Any, call: Call
    ) -> tuple[jax.Array, ModelState]:
        x, region = _checked(x, regions)
        wide = accumulation_dtype(x.dtype)
        valid = over_images("region_norm", x, features, call.mask)
        z = x.astype(wide)
        inside = jnp.ones((*x.shape[:-1], 1), bool)
        z = without_padding(z, valid)
        if valid is not None:
            inside = jnp.broadcast_to(valid, inside.shape)
        weights = {name: p.astype(wide) for name, p in params.items()}
        heat = None
        if region is not None:
            front = _resized(region, x.shape) != 0
        else:
            pooled = [f(z, axis=-1, keepdims=True) for f in (jnp.mean, jnp.max)]
            heat = jax.nn.sigmoid(
                _convolved(jnp.concatenate(pooled, axis=-1), weights["map_kernel"])
            )
            front = heat >= jnp.asarray(threshold, wide)
        axes = (1, 2) if per_example else (0, 1, 2)
        name = None if per_example else call.axis_name
        sides = (front & inside, ~front & inside)
        each = [_normalized(z, side, inside, axes, name, eps) for side in sides]
        if heat is None:
            gains = [1 + along(weights[f"{side}_gamma"], z) for side in _SIDES]
            bias = along(weights["foreground_beta"] + weights["background_beta"], z)
            y = jnp.where(front, each[0] * gains[0], each[1] * gains[1]) + bias
        else:
            gain, bias = (
                _convolved(heat, weights[f"{n}_kernel"])
                + along(weights[f"{n}_bias"], z)
                for n in ("gamma", "beta")
            )
            y = jnp.where(front, each[0], each[1]) * (1 + gain) + bias
        if valid is not None:
            y = jnp.where(valid, y, 0)
        return y.astype(x.dtype), state

    return stateful_layer(init, apply)


def _checked(x: Any, regions: str) -> tuple[jax.Array, jax.Array | None]:
    if regions == "learned":
        return jnp.asarray(x), None
    if not isinstance(x, tuple) or len(x) != 2:
        raise InputError(
            "region_norm with given regions takes inputs (x, region); got "
            f"{type(x).__name__}"
        )
    x, region = jnp.asarray(x[0]), jnp.asarray(x[1])
    if region.ndim != 4 or region.shape[::3] != (x.shape[0], 1):
        raise InputError(
            f"region must be ({x.shape[0]}, h, w, 1), one for each image; got "
            f"{region.shape}"
        )
    return x, region


def _resized(region: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """To the height and width of ``shape``, the value below a corner, as torch does."""
    rows, columns = (
        jnp.arange(shape[axis], dtype=jnp.int32) * region.shape[axis] // shape[axis]
        for axis in (1, 2)
    )
    return jnp.take(jnp.take(region, rows, axis=1), columns, axis=2)


def _convolved(x: jax.Array, kernel: jax.Array) -> jax.Array:
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=layout
    )


def _normalized(
    z: jax.Array,
    side: jax.Array,
    inside: jax.Array,
    axes: tuple[int, ...],
    axis_name: str | None,
    eps: float,
) -> jax.Array:
    """The input over the deviation of one region, right inside of it alone."""
    found = batch_statistics(z, axes, weights=side, axis_name=axis_name)
    ones = inside.astype(z.dtype)
    share = batch_mean(side.astype(z.dtype), axes, weights=ones, axis_name=axis_name)[0]
    root = jnp.sqrt(found.var * share + jnp.asarray(eps, z.dtype))
    return (z - found.mean) / root * jnp.sqrt(share)


def in_one_region(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """Batch normalization with the affine map of learned regions.

    Args:
      params: of ``region_norm`` with learned regions.
      x: images.

    Returns:
      The output where all of the batch is foreground.
    """
    mean, var = (f(x, axis=(0, 1, 2), keepdims=True) for f in (jnp.mean, jnp.var))
    pooled = [f(x, axis=-1, keepdims=True) for f in (jnp.mean, jnp.max)]
    map_ = _convolved(jnp.concatenate(pooled, axis=-1), params["map_kernel"])
    gain, bias = (
        _convolved(jax.nn.sigmoid(map_), params[f"{n}_kernel"])
        + along(params[f"{n}_bias"], x)
        for n in ("gamma", "beta")
    )
    return (x - mean) / jnp.sqrt(var + 1e-5) * (1 + gain) + bias
