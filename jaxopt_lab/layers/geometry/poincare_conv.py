"""Convolution in the Poincare ball, of tangents at 0."""
# Its examples wait for pytest --full.

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.options import COUNT, POSITIVE, STATIC, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Params
from jaxopt_lab.layers.geometry import poincare
from jaxopt_lab.layers.masks import over_images, without_padding

Start = Literal["reference", "centre_identity", "normal"]


def poincare_conv(
    features: Annotated[int, COUNT],
    *,
    out: Annotated[int | None, COUNT] = None,
    size: Annotated[int, COUNT] = 3,
    stride: Annotated[int, COUNT] = 1,
    curvature: Annotated[float, POSITIVE, STATIC] = 0.1,
    start: Start = "reference",
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Convolution of images of points of the ball of curvature -c, as tangents at 0.

    The tangents of a window, with zeros beyond the edges, are joined to one vector v of
    :math:`n = k^2 C` numbers, which goes through the linear layer of the ball
    (``poincare.poincare_linear``):

    .. math:: y = \log_0 F\left(\exp_0\left(\frac{B(n / 2, 1 / 2)}{B(C / 2, 1 / 2)} \,
        v\right)\right)

    with beta functions B, which keep the mean length of the joined vector at that of
    its parts.

    Args:
      features: C, channels of the input.
      out: channels of the output; ``None``: as the input.
      size: k, sides of the window, odd.
      stride: of the positions of the output.
      curvature: c, above 0.
      start: kernel at the start: ``"reference"``, I / 2 over the inputs in the order
        channel by channel, as the released code, so that an output sees one place of
        the window; ``"centre_identity"``, 1 / 2 over the factor, from each channel to
        itself at the centre; ``"normal"``, of deviation :math:`(2 n \, out)^{-1/2}`.
      param_dtype: type of the parameters.

    Returns:
      ``init(key) -> ({"kernel", "offset"}, {})`` and ``apply(params, state, x, *,
      train, key=None, axis_name=None, mask=None) -> (y, state)``. ``x`` is ``(B,
      height, width, C)`` of any floating type, ``y`` has its type; points are computed
      in float32, float64 for float64. ``mask``, of the first axes of ``x``, is 0 for
      padding, which is seen as 0 and gives 0. No state; training and evaluation are the
      same. Kept for the gradient: the input and the parameters; the maps are computed
      again. First derivatives in reverse mode.

    Raises:
      InputError: an argument is out of range, the window is even, or there are more
        outputs than the identity has; at the call, ``x`` does not fit.

    With ``"centre_identity"`` an image of one channel comes back where the rest of the
    window is 0, and any image for ``size=1``; elsewhere the length of the neighbours
    bends the point, whatever the kernel is.

    Source: van Spengler et al., "Poincare ResNet", 2023
    (https://arxiv.org/abs/2303.14027) and its code, maxvanspengler/poincare-resnet,
    whose linear layer has another conformal factor (see ``poincare_linear``).

    >>> layer = poincare_conv(1, start="centre_identity")
    >>> params, state = layer.init()
    >>> x = jnp.zeros((1, 3, 3, 1)).at[0, 1, 1, 0].set(0.5)
    >>> y, _ = layer.apply(params, state, x, train=True)
    >>> round(float(y[0, 1, 1, 0]), 4)
    0.5
    """
    check_arguments(poincare_conv, locals())
    if size % 2 == 0:
        raise InputError(f"size must be odd; got {size}")
    units = features if out is None else out
    joined = size * size * features
    most = {"reference": joined, "centre_identity": features}.get(start, units)
    if units > most:
        raise InputError(
            f"start={start!r} gives at most {most} outputs, further columns would be "
            f"zeros, which stay; got {units} (accepted: start='normal')"
        )
    factor = _beta(joined) / _beta(features)

    def init(key: jax.Array | None = None) -> tuple[Any, Any]:
        shape = (size, size, features, units)
        if start == "normal":
            if key is None:
                raise InputError("poincare_conv: init draws the kernel; pass it a key")
            deviation = jnp.asarray((2 * joined * units) ** -0.5, param_dtype)
            kernel = deviation * jax.random.normal(key, shape, param_dtype)
        else:
            kernel = jnp.asarray(_first(shape, start, factor), param_dtype)
        return {"kernel": kernel, "offset": jnp.zeros(units, param_dtype)}, {}

    def apply(params: Params, x: jax.Array, mask: jax.Array | None) -> jax.Array:
        valid = over_images("poincare_conv", x, features, mask)
        wide = accumulation_dtype(x.dtype)
        z = without_padding(x.astype(wide), valid)
        maps = poincare.FORMULAS
        c = jnp.asarray(curvature, wide)

        # Of the windows, k^2 times the input, nothing is kept.
        @jax.checkpoint
        def run(z: jax.Array, kernel: jax.Array, offset: jax.Array) -> jax.Array:
            v = windows(z, size, stride) * jnp.asarray(factor, wide)
            point = maps["expmap0"](v, c)
            point = maps["poincare_linear"](point, kernel, offset, c)
            return maps["logmap0"](poincare.project(point, c), c)

        kernel = params["kernel"].astype(wide).reshape(joined, units)
        y = run(z, kernel, params["offset"].astype(wide))
        if valid is not None:
            if math.prod(valid.shape[1:]) > 1 and y.shape[:-1] != x.shape[:-1]:
                raise InputError(
                    "poincare_conv: a mask of positions needs an output of the size of "
                    f"the input, {x.shape[1:3]}; got {y.shape[1:3]}"
                )
            y = jnp.where(valid, y, 0)
        return y.astype(x.dtype)

    return stateless_layer(init, apply)


def windows(x: jax.Array, size: int, stride: int = 1) -> jax.Array:
    """The windows around positions, with zeros beyond the edges.

    Args:
      x: ``(B, H, W, C)``.
      size: of the sides, odd.
      stride: of the positions, from the first.

    Returns:
      ``(B, ceil(H / stride), ceil(W / stride), size^2 C)``, row by row, the channels of
      a place together.

    >>> windows(jnp.arange(3.0).reshape(1, 1, 3, 1), 3)[0, 0, 0].tolist()
    [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
    """
    edge = size // 2
    height, width = x.shape[1:3]
    wide = jnp.pad(x, ((0, 0), (edge, edge), (edge, edge), (0, 0)))
    parts = [
        wide[:, i : i + height : stride, j : j + width : stride]
        for i in range(size)
        for j in range(size)
    ]
    return jnp.concatenate(parts, axis=-1)


def pointwise(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """The linear layer of the ball at every position, by ``asinh`` and ``sinh`` alone.

    Args:
      params: of ``poincare_conv`` with ``size=1`` and ``curvature=1``.
      x: tangents at 0, ``(..., C)``.

    Returns:
      The output.
    """
    length = jnp.linalg.norm(x, axis=-1, keepdims=True)
    rate = jnp.where(length == 0, 1, jnp.tanh(length) / length)
    point = rate * x
    kernel, turn = params["kernel"][0, 0], 2 * params["offset"]
    sizes = jnp.linalg.norm(kernel, axis=0)
    like = (1,) * (x.ndim - 1) + (-1,)
    sizes, turn = sizes.reshape(like), turn.reshape(like)
    factor = 2 / (1 - jnp.sum(point * point, axis=-1, keepdims=True))
    ahead = factor * (point @ kernel) / sizes * jnp.cosh(turn)
    w = jnp.sinh(2 * sizes * jnp.arcsinh(ahead - (factor - 1) * jnp.sinh(turn)))
    y = w / (1 + jnp.sqrt(1 + jnp.sum(w * w, axis=-1, keepdims=True)))
    reach = jnp.linalg.norm(y, axis=-1, keepdims=True)
    return jnp.where(reach == 0, 1, jnp.arctanh(reach) / reach) * y


def _beta(dimension: int) -> float:
    """B(dimension / 2, 1 / 2)."""
    a, b = dimension / 2, 0.5
    return math.exp(math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b))


def _first(shape: tuple[int, ...], start: Start, factor: float) -> np.ndarray:
    """A kernel of fixed numbers."""
    size, _, features, units = shape
    kernel = np.zeros(shape)
    if start == "reference":
        for place in range(min(size * size * features, units)):
            channel, tap = divmod(place, size * size)
            kernel[tap // size, tap % size, channel, place] = 0.5
        return kernel
    for channel in range(min(features, units)):
        kernel[size // 2, size // 2, channel, channel] = 0.5 / factor
    return kernel
