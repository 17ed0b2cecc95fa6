"""Batch-channel normalization: batch normalization and a group norm behind it."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Call, Functional, stateful_layer
from jaxopt_lab.core.options import COUNT, POSITIVE, STATIC, UNIT, check_arguments
from jaxopt_lab.core.statistics import batch_statistics, pooled, require_values
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.layers.masks import wide_input
from jaxopt_lab.layers.norm.last_axis import along
from jaxopt_lab.layers.norm.running import (
    after_batch,
    centred_affine,
    first_running,
    over_groups,
    padded,
    places,
)


def batch_channel_norm(
    features: Annotated[int, COUNT],
    *,
    groups: Annotated[int, COUNT] = 32,
    estimate: bool = False,
    channel_norm: bool = True,
    momentum: Annotated[float, UNIT] = 0.1,
    eps: Annotated[float, POSITIVE, STATIC] = 1e-5,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Batch normalization, then a group norm with a scale and bias for each *group*.

    .. math:: z = g \odot \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + b, \quad
        y = g_k \frac{z - \mu_k}{\sqrt{\sigma_k^2 + \epsilon}} + b_k,

    :math:`\mu_k, \sigma_k^2` of an example over its positions and the features of group
    k. The statistics :math:`\mu, \sigma^2` are those of the batch, or, with
    ``estimate`` (for batches of one or two examples), running ones that are moved
    before they are used, the variance about the old running mean:

    .. math:: \sigma^2 \gets (1 - m) \sigma^2 + m \overline{(x - \mu)^2}, \quad
        \mu \gets (1 - m) \mu + m \bar x,

    constants to the gradient.

    Args:
      features: size of the last axis.
      groups: number of groups; divides ``features``, or, if there are fewer features
        than groups, each is a group.
      estimate: normalize by running statistics in training, too.
      channel_norm: False: batch normalization alone.
      momentum: :math:`m`, the fraction that is new, in ``[0, 1]``. With ``estimate`` it
        may be a traced number, as the paper lets it follow the learning rate: build the
        layer inside of the step. (In the released code it is a buffer that is 0, so
        that nothing moves, until it is set from outside.)
      eps: :math:`\epsilon` of both, above 0.
      param_dtype: type of parameters and statistics.

    Returns:
      ``init(key=None) -> ({"scale", "bias"[, "group_scale", "group_bias"]}, {"mean",
      "var"})`` and ``apply(params, state, x, *, train, key=None, axis_name=None,
      mask=None) -> (y, state)``. ``x`` is ``(B, ..., features)`` of any floating type,
      ``y`` has its shape and type; the statistics are float32, float64 for float64, in
      two passes. ``mask``, of the first axes of ``x``, is 0 for padding: it counts in
      no statistic and gives 0. Evaluation takes the stored statistics; those of the
      groups are an example's own. The stored variance is of ddof 1 (torch's rule), with
      ``estimate`` about the old mean, of ddof 0. State: 2 numbers a feature. Passes
      over the input: three, where the formulas have six: all statistics are pooled from
      those of each example and feature. Differentiable to any order.

    Raises:
      InputError: an argument is out of range, ``groups`` does not divide ``features``;
        at the call, ``x`` has another number of features or no floating type, or a
        batch for training without ``estimate`` has one value a feature.

    Source: Qiao et al., "Micro-Batch Training with Batch-Channel Normalization and
    Weight Standardization", 2019 (https://arxiv.org/abs/1903.10520). Code read:
    joe-siyuan-qiao/Batch-Channel-Normalization.

    >>> layer = batch_channel_norm(2, groups=1)
    >>> params, state = layer.init()
    >>> x = jnp.array([[[0.0, 0.0]], [[2.0, 4.0]]])
    >>> y, state = layer.apply(params, state, x, train=True)
    >>> [round(float(mean), 3) for mean in state["mean"]]
    [0.1, 0.2]
    """
    check_arguments(batch_channel_norm, locals())
    count = min(groups, features)
    if features % count:
        raise InputError(
            f"groups must divide the features, {features}; got groups={groups}"
        )

    def init(key: jax.Array | None = None) -> tuple[Any, Any]:
        sizes = {"scale": features, "bias": features}
        if channel_norm:
            sizes |= {"group_scale": count, "group_bias": count}
        params = {
            name: (jnp.ones if name.endswith("scale") else jnp.zeros)(size, param_dtype)
            for name, size in sizes.items()
        }
        return params, first_running(features, param_dtype)

    def apply(
        params: Params, state: ModelState, x: jax.Array, call: Call
    ) -> tuple[jax.Array, ModelState]:
        z, valid = wide_input("batch_channel_norm", x, features, call.mask)
        small = jnp.asarray(eps, z.dtype)
        # Of each example: those of the batch are pooled from them, and the groups' of
        # the normalized input follow from its being linear in the input.
        own = batch_statistics(z, places(z), weights=valid)
        mean, var = (along(state[name], z) for name in ("mean", "var"))
        if call.train:
            if estimate:
                found = pooled(jax.lax.stop_gradient(own), 0, axis_name=call.axis_name)
                var = found.var + jnp.square(found.mean - mean)
                found = found._replace(var=var)
            else:
                axes = (0, *places(z))
                require_values("batch_channel_norm", z, axes, call.axis_name)
                found = pooled(own, 0, axis_name=call.axis_name)
            state = after_batch(state, found, momentum, ddof=0 if estimate else 1)
            mean, var = found.mean, found.var
            if estimate:
                mean, var = (along(state[name], z) for name in ("mean", "var"))
        factor = jax.lax.rsqrt(var + small) * along(params["scale"], z)
        offset = along(params["bias"], z)
        if channel_norm:
            of_channels = own._replace(
                mean=(own.mean - mean) * factor + offset,
                var=own.var * jnp.square(factor),
            )
            of_groups = over_groups(of_channels, count)
            size = jax.lax.rsqrt(of_groups.var + small)
            each = features // count
            scale, bias = (
                along(jnp.repeat(params[n], each), z)
                for n in ("group_scale", "group_bias")
            )
            factor = factor * size * scale
            offset = (offset - of_groups.mean) * size * scale + bias
        y = centred_affine(z, mean, factor, offset, own.mean)
        return padded(y, valid, x.dtype), state

    return stateful_layer(init, apply)
