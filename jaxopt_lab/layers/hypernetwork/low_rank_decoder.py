"""LoGAH's decoder: kernels of low rank from the states of a graph's nodes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.options import COUNT, POSITIVE, STATIC, check_arguments
from jaxopt_lab.core.typing import Params
from jaxopt_lab.layers.masks import over_features, without_padding
from jaxopt_lab.layers.norm.last_axis import along

KAIMING = jax.nn.initializers.he_normal()
Layout = Literal["transpose", "reference"]


def low_rank_decoder_size(
    features: Annotated[int, COUNT],
    rank: Annotated[int, COUNT],
    max_width: Annotated[int, COUNT],
) -> int:
    r"""The number of parameters of ``low_rank_decoder``.

    .. math:: 36 h^2 + 12 h + 16 h r^2 + 2 r^2 + r c + c

    Args:
      features: h.
      rank: r.
      max_width: c; a decoder of whole kernels has :math:`h c^2` instead.

    Returns:
      The number, linear in ``max_width``.

    Raises:
      InputError: an argument is out of range.

    >>> low_rank_decoder_size(32, 8, 64)
    70720
    """
    check_arguments(low_rank_decoder_size, locals())
    h, r, c = features, rank, max_width
    return 36 * h * h + 12 * h + 16 * h * r * r + 2 * r * r + r * c + c


def low_rank_decoder(
    features: Annotated[int, COUNT],
    *,
    shape: tuple[int, ...] = (8, 8),
    rank: Annotated[int, COUNT] = 8,
    max_width: Annotated[int, COUNT] = 64,
    beta: Annotated[float, POSITIVE, STATIC] = 2.0,
    layout: Layout = "transpose",
    kernel_init: Callable[..., jax.Array] = KAIMING,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""A kernel of low rank from each node's state.

    .. math:: T = \text{relu}(\text{mlp}(x)) \in \mathbb R^{2 r \times r}, \quad
        (A^T, B) = T Q + q \in 2 \times \mathbb R^{r \times c}, \qquad
        W = \sqrt{\beta / n}\, A_{:c_{\text{out}} k_h}\, B_{:, :c_{\text{in}} k_w}

    with layers of h, 4 h, 8 h and 2 r^2 units and n inputs of the kernel. A narrower
    kernel is the corner of a wider one, but for the factor.

    Args:
      features: h, size of the last axis.
      shape: of the kernels, ``(..., inputs, outputs)`` of two axes or, of a
        convolution, four.
      rank: r, at most which is the rank of ``outputs * height`` by ``inputs * width``.
      max_width: c, at least both of these.
      beta: variance times inputs where A B has variance 1; 2 for ReLU, 1 for kernels
        of one channel a group.
      layout: ``"reference"``: the numbers of ``T Q + q`` in memory as A and then
        :math:`B^T`, in the authors' code, which mixes its rows.
      kernel_init: initializer of the kernels.
      param_dtype: type of the parameters.

    Returns:
      ``init(key) -> (params, {})`` with ``kernel_i`` and ``bias_i`` of the perceptron
      and, last, of Q and q, whatever the shape; and ``apply(params, state, x, *, train,
      key=None, axis_name=None, mask=None) -> (y, state)`` for ``x`` of ``(..., h)``,
      ``y`` of ``(..., *shape)``. ``mask``, of the leading axes, is 0 for padding, which
      gives 0. Training and evaluation are the same.

    Raises:
      InputError: an argument is out of range, the kernel is wider than ``max_width``;
        at the call, the input does not fit.

    ``2 r max_width`` numbers a kernel, and the kernel.

    Source: Zhou, Knyazev, Jolicoeur-Martineau and Fu, "LoGAH: Predicting
    774-Million-Parameter Transformers using Graph HyperNetworks with 1/100 Parameters",
    2024 (https://arxiv.org/abs/2405.16287). Code read: Blackzxy/LoGAH.

    >>> layer = low_rank_decoder(2, shape=(3, 4), rank=1, max_width=4)
    >>> params = jax.eval_shape(layer.init, jax.random.key(0))[0]
    >>> sum(p.size for p in params.values()) == low_rank_decoder_size(2, 1, 4)
    True
    """
    given = {n: v for n, v in locals().items() if n not in ("kernel_init", "shape")}
    check_arguments(low_rank_decoder, given)
    if len(shape) not in (2, 4) or not all(isinstance(n, int) and n > 0 for n in shape):
        raise InputError(f"shape must be two or four whole numbers; got {shape}")
    height, width = (1, 1, *shape)[-4:-2]
    inputs, outputs = shape[-2:]
    if max(outputs * height, inputs * width) > max_width:
        raise InputError(
            f"max_width must be at least {max(outputs * height, inputs * width)}, for "
            f"kernels {shape}; got {max_width}"
        )
    h, r = features, rank
    sizes = ((h, 4 * h), (4 * h, 8 * h), (8 * h, 2 * r * r), (r, max_width))
    factor = math.sqrt(beta / (height * width * inputs))

    def init(key: jax.Array) -> tuple[dict[str, jax.Array], Any]:
        params = {}
        for i, size in enumerate(sizes):
            own = jax.random.fold_in(key, i)
            params[f"kernel_{i}"] = kernel_init(own, size, param_dtype)
            params[f"bias_{i}"] = jnp.zeros(size[1], param_dtype)
        return params, {}

    def apply(params: Params, x: jax.Array, mask: jax.Array | None) -> jax.Array:
        valid = over_features("low_rank_decoder", x, features, mask)
        left, right = factors(params, without_padding(x, valid), r, layout)
        w = kernel_of(left, right, shape) * jnp.asarray(factor, x.dtype)
        if valid is not None:
            more = (1,) * (len(shape) - 1)
            w = jnp.where(valid.reshape(*valid.shape, *more), w, 0)
        return w

    return stateless_layer(init, apply)


def factors(
    params: dict[str, jax.Array], x: jax.Array, rank: int, layout: Layout
) -> tuple[jax.Array, jax.Array]:
    """The factors of the widest kernel of every node.

    Args:
      params: of ``low_rank_decoder``.
      x: ``(..., features)``.
      rank: r.
      layout: of ``low_rank_decoder``.

    Returns:
      A, ``(..., max_width, r)``, and B, ``(..., r, max_width)``.
    """
    lead = x.shape[:-1]
    for i in range(3):
        x = jax.nn.relu(_affine(params, x, i))
    y = _affine(params, x.reshape(*lead, 2 * rank, rank), 3)
    if layout == "transpose":
        left, right = jnp.split(y, 2, axis=-2)
        return left.swapaxes(-1, -2), right
    left, right = jnp.split(y.reshape(*lead, -1, rank), 2, axis=-2)
    return left, right.swapaxes(-1, -2)


def kernel_of(left: jax.Array, right: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """The corner of a product of factors, as a kernel.

    Args:
      left: A, ``(..., max_width, r)``.
      right: B, ``(..., r, max_width)``.
      shape: ``(inputs, outputs)`` or ``(height, width, inputs, outputs)``; the product
        has rows of (output, height) and columns of (input, width).

    Returns:
      ``(..., *shape)``.

    >>> kernel_of(jnp.array([[2.0], [3.0]]), jnp.array([[5.0, 7.0]]), (1, 2)).tolist()
    [[10.0, 15.0]]
    """
    height, width = (1, 1, *shape)[-4:-2]
    inputs, outputs = shape[-2:]
    w = left[..., : outputs * height, :] @ right[..., :, : inputs * width]
    w = w.reshape(*w.shape[:-2], outputs, height, inputs, width)
    w = jnp.moveaxis(w, (-4, -3, -2, -1), (-1, -4, -2, -3))
    return w.reshape(*w.shape[:-4], *shape)


def _affine(params: dict[str, jax.Array], x: jax.Array, i: int) -> jax.Array:
    return x @ params[f"kernel_{i}"].astype(x.dtype) + along(params[f"bias_{i}"], x)


def outer_products(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """Kernels of 3 by 4 and rank 1, an outer product for every position.

    Args:
      params: of ``low_rank_decoder``.
      x: ``(..., features)``.

    Returns:
      ``(..., 3, 4)``.
    """
    for i in range(3):
        x = jnp.maximum(_affine(params, x, i), 0)
    rows = _affine(params, x[..., None], 3)
    left, right = rows[..., 0, :4], rows[..., 1, :3]
    return jnp.sqrt(2 / 3) * right[..., :, None] * left[..., None, :]
