"""Batch normalization that mixes stored and test statistics."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.functional import Call, Functional, stateful_layer
from jaxopt_lab.core.options import (
    COUNT,
    COUNT_OR_ZERO,
    POSITIVE,
    STATIC,
    UNIT,
    check_arguments,
)
from jaxopt_lab.core.statistics import batch_statistics, require_values
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.layers.masks import wide_input
from jaxopt_lab.layers.norm.last_axis import along
from jaxopt_lab.layers.norm.running import (
    after_batch,
    first_running,
    normalized_affine,
    padded,
    places,
)


def alpha_bn(
    features: Annotated[int, COUNT],
    *,
    alpha: Annotated[float, UNIT] = 0.1,
    ddof: Annotated[int, COUNT_OR_ZERO] = 1,
    eps: Annotated[float, POSITIVE, STATIC] = 1e-5,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Normalization by stored statistics that a test batch has moved.

    A layer of test time, with the parameters and the state of a batch normalization
    that was trained. A call with ``train=True`` *adapts*: with the statistics s of the
    source and b of the batch,

    .. math:: y = g \odot \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + b, \quad
        (\mu, \sigma^2) = (1 - \alpha) s + \alpha b,

    and the mixture is the new state. Every batch is mixed with the source: keep that
    state, and adapt from it again for the next one. With the new state, a call with
    ``train=False`` gives the same output.

    Args:
      features: size of the last axis.
      alpha: :math:`\alpha`, the weight of the *test* batch, in ``[0, 1]`` (the paper's
        is that of the source, 0.9).
      ddof: of the variance of the batch; 1, torch's rule.
      eps: :math:`\epsilon`, above 0.
      param_dtype: type of parameters and statistics.

    Returns:
      ``init(key=None) -> ({"scale", "bias"}, {"mean", "var"})`` and ``apply(params,
      state, x, *, train, key=None, axis_name=None, mask=None) -> (y, state)``. ``x`` is
      ``(B, ..., features)`` of any floating type, ``y`` has its shape and type; the
      statistics are float32, float64 for float64, in two passes, and constants to the
      gradient. ``mask``, of the first axes of ``x``, is 0 for padding: it counts in no
      statistic and gives 0. State: 2 numbers a feature. Passes over the input: three.

    Raises:
      InputError: an argument is out of range; at the call, ``x`` has another number of
        features or no floating type, or a batch to adapt to has one value a feature.

    Source: You et al., "Test-time Batch Statistics Calibration for Covariate Shift",
    2021 (https://arxiv.org/abs/2110.04065); no official code was found, the formula is
    that of the paper and of the layer in common use, checked against the latter.

    >>> layer = alpha_bn(1, alpha=0.5, ddof=0)
    >>> params, source = layer.init()
    >>> x = jnp.array([[3.0], [5.0]])
    >>> _, state = layer.apply(params, source, x, train=True)
    >>> float(state["mean"][0]), float(state["var"][0])
    (2.0, 1.0)
    """
    check_arguments(alpha_bn, locals())

    def init(key: jax.Array | None = None) -> tuple[Any, Any]:
        ones, zeros = jnp.ones(features, param_dtype), jnp.zeros(features, param_dtype)
        return {"scale": ones, "bias": zeros}, first_running(features, param_dtype)

    def apply(
        params: Params, state: ModelState, x: jax.Array, call: Call
    ) -> tuple[jax.Array, ModelState]:
        z, valid = wide_input("alpha_bn", x, features, call.mask)
        if call.train:
            axes = (0, *places(z))
            require_values("alpha_bn", z, axes, call.axis_name)
            found = batch_statistics(
                jax.lax.stop_gradient(z), axes, weights=valid, axis_name=call.axis_name
            )
            state = after_batch(state, found, alpha, ddof=ddof)
        mean, var = (along(state[name], z) for name in ("mean", "var"))
        y = normalized_affine(z, mean, var, params, eps)
        return padded(y, valid, x.dtype), state

    return stateful_layer(init, apply)
