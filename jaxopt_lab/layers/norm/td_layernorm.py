"""Layer normalization whose scale and bias depend on the time of a diffusion."""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.options import COUNT, POSITIVE, STATIC, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Params
from jaxopt_lab.layers.masks import over_features, without_padding
from jaxopt_lab.layers.norm.last_axis import along, normalized
from jaxopt_lab.layers.norm.layernorm_scaling import Statistics


def time_dependent(
    p0: jax.Array, p1: jax.Array, weight: jax.Array, bias: jax.Array, t: jax.Array
) -> jax.Array:
    r"""A parameter that moves between two values with time.

    .. math:: p(t) = s p_0 + (1 - s) p_1, \quad s = \sigma(t (w + 1) + b).

    Args:
      p0: value for :math:`t \to \infty`.
      p1: value for :math:`t \to -\infty`.
      weight: :math:`w` of each number of the parameter; 0 at the start.
      bias: :math:`b` of each number; 0 at the start.
      t: times, with trailing axes of size 1 for those of the parameter.

    Returns:
      The parameter at every time.

    >>> times = jnp.array([[0.0], [100.0]])
    >>> zero = jnp.zeros(1)
    >>> time_dependent(zero + 2.0, zero, zero, zero, times).ravel().tolist()
    [1.0, 2.0]
    """
    share = jax.nn.sigmoid(t * (weight + 1) + bias)
    return share * p0 + (1 - share) * p1


def td_layernorm(
    features: Annotated[int, COUNT],
    *,
    statistics: Statistics = "layer",
    eps: Annotated[float, POSITIVE, STATIC] = 1e-5,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Layer normalization whose scale and bias move between two values with time.

    With :math:`t = \text{log\_snr} / 4`, for scale g and bias b each,

    .. math::
        y = g(t) \odot \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + b(t), \quad
        p(t) = s p_0 + (1 - s) p_1, \quad s = \sigma(t (w_p + 1) + b_p),

    a replacement of adaLN with 8 numbers a feature instead of about 6 times the square
    of the features. :math:`w_p, b_p` start at 0 and :math:`p_0 = p_1`, so that the
    layer does not depend on time at first, and they have no gradient until :math:`p_0`
    and :math:`p_1` have come apart. They are to be kept out of weight decay.

    Args:
      features: size of the last axis of ``x``.
      statistics: ``"layer"``, mean and variance (ddof 0), with a bias; ``"rms"``, the
        mean square alone (:math:`\mu = 0`), without a bias.
      eps: :math:`\epsilon`, above 0; under the root for ``"layer"``, added to the root
        for ``"rms"``, where the paper's code takes 1e-8.
      param_dtype: type of the parameters.

    Returns:
      ``init(key=None) -> (params, {})`` with ``scale_0``, ``scale_1``,
      ``scale_time_weight``, ``scale_time_bias`` and the same of ``bias``, and
      ``apply(params, state, (x, log_snr), *, train, key=None, axis_name=None,
      mask=None) -> (y, state)``. ``x`` is ``(B, ..., features)`` of any floating type
      and ``y`` has its shape and type; ``log_snr`` is ``(B,)``, the logarithm of the
      signal-to-noise ratio of each example. The statistics are float32, float64 for
      float64. ``mask``, of the leading axes of ``x``, is 0 for padding, which gives 0.
      No state; training and evaluation are the same. Kept for the gradient: two arrays
      of the size of ``x`` in the type of the statistics.

    Raises:
      InputError: an argument is out of range; at the call, the inputs do not fit.

    Source: Liu et al., "Alleviating Distortion in Image Generation via Multi-Resolution
    Diffusion Models and Time-Dependent Layer Normalization", 2024
    (https://arxiv.org/abs/2406.09416) and its code.

    >>> norm = td_layernorm(4)
    >>> x, times = jnp.array([[1.0, 1.0, 3.0, 3.0]]), jnp.array([-2.0])
    >>> norm.apply(*norm.init(), (x, times), train=True)[0].round(3).tolist()
    [[-1.0, -1.0, 1.0, 1.0]]
    """
    check_arguments(td_layernorm, locals())
    centred = statistics == "layer"
    starts = {"scale": jnp.ones, "bias": jnp.zeros} if centred else {"scale": jnp.ones}

    def init(key: jax.Array | None = None) -> tuple[dict[str, jax.Array], Any]:
        params = {}
        for name, start in starts.items():
            params[f"{name}_0"] = start(features, param_dtype)
            params[f"{name}_1"] = start(features, param_dtype)
            params[f"{name}_time_weight"] = jnp.zeros(features, param_dtype)
            params[f"{name}_time_bias"] = jnp.zeros(features, param_dtype)
        return params, {}

    def apply(params: Params, x: Any, mask: jax.Array | None) -> jax.Array:
        x, log_snr = _checked(x)
        if jnp.iscomplexobj(log_snr):
            raise InputError(f"log_snr must be real; got {log_snr.dtype}")
        wide = accumulation_dtype(x.dtype)
        valid = over_features("td_layernorm", x, features, mask)
        shape = (-1,) + (1,) * (x.ndim - 1)
        z, times = x.astype(wide), log_snr.reshape(shape).astype(wide)
        z = without_padding(z, valid)
        if valid is not None:
            there = jnp.any(valid, axis=tuple(range(1, x.ndim)), keepdims=True)
            times = jnp.where(there, times, 0)
        t = times / jnp.asarray(4, wide)

        def at_time(name: str) -> jax.Array:
            part = lambda which: along(params[f"{name}_{which}"], z)
            moves = (part("time_weight"), part("time_bias"))
            return time_dependent(part("0"), part("1"), *moves, t)

        y = normalized(z, eps, centred=True) if centred else _over_rms(z, eps)
        y = y * at_time("scale")
        if centred:
            y = y + at_time("bias")
        if valid is not None:
            y = jnp.where(valid, y, 0)
        return y.astype(x.dtype)

    return stateless_layer(init, apply)


def without_time(params: dict[str, jax.Array], x: Any) -> jax.Array:
    """The layer where both values of scale and of bias are the same.

    Args:
      params: of ``td_layernorm``.
      x: input and times.

    Returns:
      Layer normalization of the input.
    """
    y = normalized(jnp.asarray(x[0]), 1e-5, centred=True)
    return y * along(params["scale_0"], y) + along(params["bias_0"], y)


def _checked(x: Any) -> tuple[jax.Array, jax.Array]:
    if not isinstance(x, tuple) or len(x) != 2:
        raise InputError(
            f"td_layernorm takes inputs (x, log_snr); got {type(x).__name__}"
        )
    x, log_snr = jnp.asarray(x[0]), jnp.asarray(x[1])
    if log_snr.shape != x.shape[:1]:
        raise InputError(
            f"log_snr must have one number for each of the {x.shape[:1]} examples; "
            f"got {log_snr.shape}"
        )
    return x, log_snr


def _over_rms(z: jax.Array, eps: float) -> jax.Array:
    square = jnp.mean(z * z, axis=-1, keepdims=True)
    # The root has no derivative at 0, where the quotient has one.
    root = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)
    return z / (root + jnp.asarray(eps, z.dtype))
