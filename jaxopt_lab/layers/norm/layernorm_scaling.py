"""Layer normalization divided by the square root of the depth of its block."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.options import COUNT, POSITIVE, STATIC, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Params
from jaxopt_lab.layers.masks import over_features, without_padding
from jaxopt_lab.layers.norm.last_axis import along, normalized

Statistics = Literal["layer", "rms"]


def layernorm_scaling(
    features: Annotated[int, COUNT],
    *,
    index: Annotated[int, COUNT] = 1,
    statistics: Statistics = "layer",
    eps: Annotated[float, POSITIVE, STATIC] = 1e-6,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Layer normalization whose output is divided by the root of its block's index.

    For the two pre-norms of block :math:`l = 1, 2, \ldots` of a transformer, before
    attention and before the perceptron, with the same :math:`l`:

    .. math:: y = \frac{1}{\sqrt l}
        \left(g \odot \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + b\right),

    so that the variance of the residual stream grows more slowly with depth. The final
    norm of the network stays unscaled; the method is not to be combined with weights
    that are scaled down by the depth at the start.

    Args:
      features: size of the last axis, over which the statistics are taken.
      index: :math:`l`, the number of the block, counted from 1; 1 is plain layer
        normalization.
      statistics: ``"layer"``, mean and variance (ddof 0), with a bias; ``"rms"``, the
        mean square alone (:math:`\mu = 0`), without a bias.
      eps: :math:`\epsilon`, above 0.
      param_dtype: type of the parameters.

    Returns:
      ``init(key=None) -> ({"scale"[, "bias"]}, {})`` and ``apply(params, state, x, *,
      train, key=None, axis_name=None, mask=None) -> (y, state)``. ``x`` is ``(...,
      features)`` of any floating type, ``y`` has its shape and type; the statistics are
      float32, float64 for float64. ``mask``, of the leading axes of ``x``, is 0 for
      padding, which gives 0. Training and evaluation are the same, there is no state,
      and examples are independent of each other. Kept for the gradient: two arrays of
      the size of ``x`` in the type of the statistics; differentiable to any order, at
      constant inputs too.

    Raises:
      InputError: an argument is out of range; at the call, ``x`` has another number of
        features or no floating type.

    Source: Sun et al., "The Curse of Depth in Large Language Models", 2025
    (https://arxiv.org/abs/2502.05795); its released switch ``NORM_TYPE=LNS`` is dead
    code, the formula is the paper's.

    >>> norm = layernorm_scaling(4, index=4)
    >>> params, state = norm.init()
    >>> x = jnp.array([[1.0, 1.0, 3.0, 3.0]])
    >>> norm.apply(params, state, x, train=True)[0].round(3).tolist()
    [[-0.5, -0.5, 0.5, 0.5]]
    """
    check_arguments(layernorm_scaling, locals())
    centred = statistics == "layer"

    def init(key: jax.Array | None = None) -> tuple[dict[str, jax.Array], Any]:
        params = {"scale": jnp.ones(features, param_dtype)}
        if centred:
            params["bias"] = jnp.zeros(features, param_dtype)
        return params, {}

    def apply(params: Params, x: jax.Array, mask: jax.Array | None) -> jax.Array:
        wide = accumulation_dtype(x.dtype)
        valid = over_features("layernorm_scaling", x, features, mask)
        z = x.astype(wide)
        z = without_padding(z, valid)
        y = normalized(z, eps, centred=centred)
        y = y * along(params["scale"], y)
        if centred:
            y = y + along(params["bias"], y)
        y = y * jnp.asarray(layer_norm_scale(index), wide)
        if valid is not None:
            y = jnp.where(valid, y, 0)
        return y.astype(x.dtype)

    return stateless_layer(init, apply)


def layer_norm_scale(block_index: int) -> float:
    r"""The factor of the norms of a block, :math:`1 / \sqrt l`.

    Args:
      block_index: :math:`l`, counted from 1; both norms of a block share it.

    Returns:
      The factor.

    Raises:
      InputError: the index is below 1 or no whole number.

    >>> layer_norm_scale(4)
    0.5
    """
    check_arguments(layernorm_scaling, {"index": block_index})
    return 1 / math.sqrt(block_index)


def folded(params: dict[str, jax.Array], *, index: int) -> dict[str, jax.Array]:
    """The parameters of a plain norm with the outputs of a scaled one, for an export.

    Not for training: Adam's steps of the scale would be larger by the root of the
    index.

    Args:
      params: of ``layernorm_scaling``.
      index: its number of the block.

    Returns:
      Scale and bias, multiplied by ``layer_norm_scale(index)``.

    >>> float(folded({"scale": jnp.ones(1)}, index=4)["scale"][0])
    0.5
    """
    factor = layer_norm_scale(index)
    return {n: p * jnp.asarray(factor, p.dtype) for n, p in params.items()}
