"""Convolution over the positions and the levels of a pyramid (SEPC)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.core.typing import Params
from jaxopt_lab.layers.conv.transformed_conv import KernelInit
from jaxopt_lab.layers.levels import Levels, checked_levels
from jaxopt_lab.layers.masks import without_padding
from jaxopt_lab.layers.norm.last_axis import along

_PLACES = ("coarser", "own", "finer")
_NORMAL = jax.nn.initializers.normal(0.01)


def pyramid_conv(
    features: Annotated[int, COUNT],
    *,
    out: Annotated[int | None, COUNT] = None,
    neighbours: bool = True,
    kernel_init: KernelInit = _NORMAL,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Convolution of each level of a pyramid with its neighbours.

    .. math:: y_l = w_1 * x_l + b_1 + (w_2 * x_{l-1} + b_2)_{\text{stride } 2}
        + \mathrm{up}(w_0 * x_{l+1} + b_0)

    for levels :math:`x_0` (finest) to :math:`x_{L-1}`, with three 3 x 3 kernels that
    all levels share; neighbours that do not exist are dropped. ``up`` is bilinear
    interpolation to the size of the level with aligned corners (``upsample_aligned``).

    Args:
      features: channels of the levels.
      out: channels of the output; ``None``: as many.
      neighbours: False: :math:`w_1 * x_l + b_1` alone, a head that levels share.
      kernel_init: of the kernels; normal numbers of deviation 0.01 as in the code.
      param_dtype: type of the parameters.

    Returns:
      ``init(key)`` with ``coarser`` (:math:`w_0`), ``own``, ``finer`` of shape ``(3, 3,
      features, out)`` and a bias, ``coarser_bias`` and so on, for each; and
      ``apply(params, state, levels, *, train, key=None, axis_name=None, mask=None) ->
      (levels, state)``. ``levels``: a tuple of images ``(B, height, width, features)``,
      each with half the height and width of the one before, rounded up. ``mask``: of
      the first axes of every level, ``(B,)``, or a tuple of one for each: padding is
      seen as 0 and gives 0. No state; training and evaluation are the same. About three
      times the operations of a 3 x 3 convolution of all levels; kept for the gradient:
      the levels alone.

    Raises:
      InputError: an argument is out of range; at the call, the levels do not fit.

    The paper's SEPC makes the kernels deformable on all levels but the finest; that is
    left out here.

    Source: Wang et al., "Scale-Equalizing Pyramid Convolution for Object Detection",
    2020 (https://arxiv.org/abs/2005.03101) and its code (jshilong/SEPC).

    >>> layer = pyramid_conv(1, kernel_init=jax.nn.initializers.ones)
    >>> params, state = jax.jit(layer.init)(jax.random.key(0))
    >>> levels = jnp.ones((1, 4, 4, 1)), jnp.ones((1, 2, 2, 1))
    >>> y, _ = jax.jit(lambda x: layer.apply(params, state, x, train=True))(levels)
    >>> y[0][0, 1, 1, 0].tolist(), y[1][0, 0, 0, 0].tolist()  # 9 + 4 and 4 + 4
    (13.0, 8.0)
    """
    check_arguments(
        pyramid_conv,
        {
            "features": features,
            "out": out,
            "neighbours": neighbours,
            "param_dtype": param_dtype,
        },
    )
    places = _PLACES if neighbours else ("own",)
    shape = (3, 3, features, features if out is None else out)

    def init(key: jax.Array | None = None) -> tuple[dict[str, jax.Array], Any]:
        if key is None:
            raise InputError("pyramid_conv: init draws the kernels; pass it a key")
        params = {}
        for i, name in enumerate(places):
            params[name] = kernel_init(jax.random.fold_in(key, i), shape, param_dtype)
            params[f"{name}_bias"] = jnp.zeros(shape[-1], param_dtype)
        return params, {}

    def apply(params: Params, x: Levels, mask: Any) -> tuple[jax.Array, ...]:
        levels, valids = checked_levels("pyramid_conv", x, features, mask)
        levels = [without_padding(*pair) for pair in zip(levels, valids, strict=True)]
        if neighbours:
            kernels = [params[name] for name in places]
            biases = [params[f"{name}_bias"] for name in places]
            y = convolve_pyramid(levels, kernels, biases)
        else:
            _check_images(levels)
            y = shared_head(params, levels)
        return tuple(
            without_padding(level, valid)
            for level, valid in zip(y, valids, strict=True)
        )

    return stateless_layer(init, apply)


def convolve_pyramid(
    levels: Levels,
    kernels: Sequence[jax.Array],
    biases: Sequence[jax.Array] | None = None,
) -> tuple[jax.Array, ...]:
    """The sums of ``pyramid_conv`` for given kernels.

    Args:
      levels: images ``(B, height, width, features)``, the finest first.
      kernels: three of shape ``(3, 3, features, out)``, of the coarser neighbour, the
        level itself and the finer neighbour.
      biases: three of shape ``(out,)``; ``None``: none.

    Returns:
      ``(B, height, width, out)`` for each level. Linear in the levels, and in the
      kernels.

    Raises:
      InputError: there are not three kernels or biases, or a level has not half the
        size of the one before.

    >>> level, kernel = jnp.ones((1, 2, 2, 1)), jnp.ones((3, 3, 1, 1))
    >>> convolve_pyramid([level], [kernel] * 3)[0].ravel().tolist()
    [4.0, 4.0, 4.0, 4.0]
    """
    none = [None] * 3
    found = none if biases is None else list(biases)
    if len(kernels) != 3 or len(found) != 3:
        raise InputError(
            "a pyramid convolution takes three kernels and three biases, coarser, own "
            f"and finer; got {len(kernels)} and {len(found)}"
        )
    _check_sizes(levels)
    coarser, own, finer = zip(kernels, found, strict=True)
    sums = []
    for i, level in enumerate(levels):
        y = _convolved(level, *own, 1)
        if i > 0:
            y = y + _convolved(levels[i - 1], *finer, 2)
        if i + 1 < len(levels):
            y = y + upsample_aligned(
                _convolved(levels[i + 1], *coarser, 1), y.shape[1:3]
            )
        sums.append(y)
    return tuple(sums)


def upsample_aligned(images: jax.Array, size: Sequence[int]) -> jax.Array:
    """Bilinear interpolation whose corner pixels are those of the images.

    Position i of n is :math:`i (m - 1) / (n - 1)` of the m of the input, so that a ramp
    stays a ramp; ``jax.image.resize`` aligns the edges of pixels and flattens it there.

    Args:
      images: ``(B, height, width, C)``.
      size: height and width of the result; one pixel is the first one.

    Returns:
      ``(B, *size, C)``, by two products with matrices of at most two entries a row.

    >>> ramp = jnp.arange(3.0).reshape(1, 1, 3, 1)
    >>> upsample_aligned(ramp, (1, 5)).ravel().tolist()
    [0.0, 0.5, 1.0, 1.5, 2.0]
    """
    rows, columns = (
        jnp.asarray(_aligned(m, n), images.dtype)
        for m, n in zip(images.shape[1:3], size, strict=True)
    )
    best = jax.lax.Precision.HIGHEST
    y = jnp.einsum("ih,bhwc->biwc", rows, images, precision=best)
    return jnp.einsum("jw,biwc->bijc", columns, y, precision=best)


def _aligned(m: int, n: int) -> np.ndarray:
    """The matrix of interpolation from m to n positions, in float64 on the host."""
    places = np.linspace(0.0, m - 1.0, n) if n > 1 else np.zeros(1)
    return np.maximum(0.0, 1.0 - np.abs(places[:, None] - np.arange(m)[None]))


def _check_images(levels: Levels) -> None:
    for level in levels:
        if level.ndim != 4:
            raise InputError(
                "the levels of a pyramid convolution must be images (B, height, width, "
                f"C); got {level.shape}"
            )


def _check_sizes(levels: Levels) -> None:
    _check_images(levels)
    for finer, level in itertools.pairwise(levels):
        halves = tuple(-(-n // 2) for n in finer.shape[1:3])
        if level.shape[1:3] != halves:
            raise InputError(
                "each level of a pyramid must have half the height and width of the "
                f"one before, rounded up; got {level.shape[1:3]} behind "
                f"{finer.shape[1:3]}"
            )


def _convolved(
    x: jax.Array, kernel: jax.Array, bias: jax.Array | None, stride: int
) -> jax.Array:
    y = jax.lax.conv_general_dilated(
        x,
        kernel.astype(x.dtype),
        (stride, stride),
        ((1, 1), (1, 1)),  # "SAME" would begin a stride of 2 one position later
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return y if bias is None else y + along(bias, y)


def shared_head(params: dict[str, jax.Array], x: Levels) -> tuple[jax.Array, ...]:
    """One 3 x 3 convolution of all levels, each by itself.

    Args:
      params: of ``pyramid_conv``.
      x: its levels.

    Returns:
      Its output where the kernels of neighbours and their biases are 0.
    """
    return tuple(_convolved(level, params["own"], params["own_bias"], 1) for level in x)
