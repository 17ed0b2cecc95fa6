"""Batch normalization of consecutive parts of a large batch."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Call, Functional, stateful_layer
from jaxopt_lab.core.options import COUNT, POSITIVE, STATIC, UNIT, check_arguments
from jaxopt_lab.core.statistics import (
    batch_statistics,
    moved_in_sequence,
    require_values,
    with_ddof,
)
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.layers.masks import over_features, without_padding
from jaxopt_lab.layers.norm.running import normalized_affine


def ghost_batch_norm(
    features: Annotated[int, COUNT],
    *,
    ghost_size: Annotated[int, COUNT] = 128,
    momentum: Annotated[float, UNIT] = 0.1,
    eps: Annotated[float, POSITIVE, STATIC] = 1e-5,
    fast_variance: bool = False,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Batch normalization that takes its statistics from parts of the batch.

    In training the batch is cut into consecutive ghost batches :math:`i = 1 \ldots n`
    of ``ghost_size`` examples, each normalized by its own mean and variance (ddof 0),
    over the examples and all axes between them and the features:

    .. math:: y_i = g \odot \frac{x_i - \mu_i}{\sqrt{\sigma_i^2 + \epsilon}} + b.

    The running statistics follow one ghost batch after another, :math:`s \gets
    (1 - m) s + m s_i`, with the variance of ddof 1; evaluation normalizes by them. A
    large batch so keeps the noise of small ones. With equal ghost batches the gradient
    of a mean loss is the mean of the gradients of separate passes.

    Args:
      features: size of the last axis.
      ghost_size: examples of a ghost batch. A batch of at most this size is one
        ghost batch, and the layer is plain batch normalization.
      momentum: :math:`m`, the fraction that is new (torch's convention; flax's
        ``momentum`` is the fraction kept), in ``[0, 1]``.
      eps: :math:`\epsilon`, above 0.
      fast_variance: the variance as the mean of squares minus the square of the mean,
        one pass over the data instead of two, which loses the digits of a mean that is
        much larger than the deviation.
      param_dtype: type of parameters and statistics.

    Returns:
      ``init(key=None) -> ({"scale", "bias"}, {"mean", "var"})`` and ``apply(params,
      state, x, *, train, key=None, axis_name=None, mask=None) -> (y, state)``. ``x``
      is ``(B, ..., features)`` of any floating type, ``y`` has its shape and type; the
      statistics are computed in float32, float64 for float64. ``mask``, of the first
      axes of ``x``, is 0 for padding: it counts in no statistic and gives 0; a ghost
      batch of padding alone leaves the running statistics as they are. ``axis_name``:
      the batch is divided over this axis, in order, and ghost batches do not cross
      devices. State: 2 numbers a feature. Kept for the gradient: two arrays of the
      size of ``x`` in the type of the statistics. Differentiable to any order,
      running statistics included; a ghost batch of equal values gives 0 and a gradient
      of at most ``eps ** -0.5``.

    Raises:
      InputError: an argument is out of range; at the call, ``x`` has another number of
        features or no floating type, its batch cannot be cut evenly, or a ghost batch
        has one value a feature.

    Source: Hoffer et al., "Train longer, generalize better", 2017
    (https://arxiv.org/abs/1705.08741) and its code.

    >>> norm = ghost_batch_norm(1, ghost_size=2)
    >>> params, state = norm.init()
    >>> x = jnp.array([[1.0], [3.0], [10.0], [30.0]])
    >>> y, state = norm.apply(params, state, x, train=True)
    >>> y.ravel().round(3).tolist(), round(float(state["mean"][0]), 3)
    ([-1.0, 1.0, -1.0, 1.0], 2.18)
    """
    check_arguments(ghost_batch_norm, locals())

    def init(key: jax.Array | None = None) -> tuple[Any, Any]:
        ones, zeros = jnp.ones(features, param_dtype), jnp.zeros(features, param_dtype)
        return {"scale": ones, "bias": zeros}, {"mean": zeros, "var": ones}

    def apply(
        params: Params, state: ModelState, x: jax.Array, call: Call
    ) -> tuple[jax.Array, ModelState]:
        wide = accumulation_dtype(x.dtype)
        valid = over_features("ghost_batch_norm", x, features, call.mask)
        z = x.astype(wide)
        z = without_padding(z, valid)
        if call.train:
            chunks = _chunks(x.shape[0], ghost_size, call.axis_name)
            z = z.reshape((chunks, x.shape[0] // chunks, -1, features))
            inside = None
            if valid is not None:
                inside = jnp.broadcast_to(valid, (*x.shape[:-1], 1))
                inside = inside.reshape((*z.shape[:-1], 1))
            require_values("ghost_batch_norm", z, (1, 2))
            found = batch_statistics(
                z, (1, 2), weights=inside, fast_variance=fast_variance
            )
            mean, var, count = found
            new = {"mean": mean, "var": with_ddof(var, count)}
            state = {
                name: moved_in_sequence(
                    state[name], new[name], count, momentum, axis_name=call.axis_name
                )
                for name in state
            }
        else:
            shape = (1,) * (x.ndim - 1) + (features,)
            mean, var = (state[s].astype(wide).reshape(shape) for s in ("mean", "var"))
        y = normalized_affine(z, mean, var, params, eps).reshape(x.shape)
        if valid is not None:
            y = jnp.where(valid, y, 0)
        return y.astype(x.dtype), state

    return stateful_layer(init, apply)


def _chunks(batch: int, ghost_size: int, axis_name: str | None) -> int:
    """Number of ghost batches on this device."""
    devices = 1 if axis_name is None else jax.lax.axis_size(axis_name)
    size = min(ghost_size, batch * devices)
    if batch == 0 or batch % size:
        where = f" on each of {devices} devices" if devices > 1 else ""
        raise InputError(
            f"ghost_size={ghost_size} does not cut the batch of {batch} examples"
            f"{where} evenly; take a divisor of it"
        )
    return batch // size
