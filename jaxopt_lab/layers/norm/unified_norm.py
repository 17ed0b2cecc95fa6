"""Unified normalization: geometric means over a window of batches."""
# Its examples wait for pytest --full.

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.backward_state import first_state, with_backward_state
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Call, Functional, stateful_layer
from jaxopt_lab.core.options import (
    COUNT,
    COUNT_OR_ZERO,
    POSITIVE,
    STATIC,
    UNIT,
    check_arguments,
)
from jaxopt_lab.core.statistics import batch_mean
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.layers.masks import over_features, without_padding
from jaxopt_lab.layers.norm.last_axis import along
from jaxopt_lab.layers.norm.power_norm import Padding
from jaxopt_lab.layers.norm.running import affine, padded

_CORRECTED_FROM = 1000
"""Calls before which the fluctuation is not corrected, a constant of the code."""
_LARGEST_CORRECTION = 5.0
_MANY = 2**22
"""Calls that float32 still counts one by one."""


def unified_norm(
    features: Annotated[int, COUNT],
    *,
    window: Annotated[int, COUNT] = 4,
    backward_window: Annotated[int | None, COUNT] = None,
    warmup: Annotated[int, COUNT_OR_ZERO, STATIC] = 4000,
    filter_outliers: bool = False,
    decay: Annotated[float, UNIT, STATIC] = 0.9,
    eps: Annotated[float, POSITIVE, STATIC] = 1e-5,
    padding: Padding = "zero",
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Normalization by the geometric mean of the mean squares of the last batches.

    With the mean square :math:`m_t` of each feature over all tokens of call t,

    .. math:: z = \frac{x}{\sqrt{d + \epsilon}}, \quad y = g z + b, \quad
        d = \Big(\prod_{i > t - M} m_i\Big)^{1/M}, \quad
        v \gets \alpha v + (1 - \alpha) d,

    :math:`d = m_t` in the first ``max(warmup - 1, window)`` calls. Evaluation takes v,
    which can be folded into the next linear layer. The gradient is not that of y:
    slopes s of y are corrected for the fluctuation of d, and a running mean
    :math:`\nu` of the mean of the last M values of :math:`\overline{u z}` is
    subtracted,

    .. math:: u = g r s, \quad r = \sqrt{\frac{d + \epsilon}{v + \epsilon}}, \quad
        \frac{\partial}{\partial x} = \frac{u - \nu z}{\sqrt{d + \epsilon}}, \quad
        \frac{\partial}{\partial g} = \sum r s z,

    :math:`r` in ``[1/5, 5]``, and 1 in the first ``max(warmup, 1000)`` calls.

    A batch is an *outlier* where for one feature the arithmetic mean of the window
    exceeds the geometric one by more than M times the variance of all roots in the
    window before; it is then normalized by itself, :math:`\overline{u z}` is subtracted
    instead of its mean, and v and :math:`\nu` take its place in the windows.

    Args:
      features: size of the last axis.
      window: M of the mean squares; 1 is always an outlier.
      backward_window: M of the slopes; ``None``: as ``window``.
      warmup: calls before the geometric mean is used.
      filter_outliers: look for outliers, after the warm-up.
      decay: :math:`\alpha`, the fraction of v and :math:`\nu` that is kept.
      eps: :math:`\epsilon`, above 0.
      padding: as of ``power_norm``.
      param_dtype: type of parameters and state.

    Returns:
      ``init(key=None) -> ({"scale", "bias"}, {"running"})``, the state a
      ``BackwardState`` made in the *backward* pass, as that of ``power_norm`` and with
      its limits: v (1 at first), :math:`\nu` (0), both windows, the numbers of calls
      and of outliers: ``window + backward_window + 2`` numbers a feature. ``apply``,
      types and ``mask`` as of ``power_norm``. Passes over the
      input: two forward, two backward. Reverse mode only.

    Raises:
      InputError: an argument is out of range, or outliers are looked for before the
        window is full; at the call, ``x`` has another number of features or no floating
        type.

    Source: Yang et al., "Unified Normalization for Accelerating and Stabilizing
    Transformers", 2022 (https://arxiv.org/abs/2208.01313). Code read:
    hikvision-research/Unified-Normalization.

    >>> layer = unified_norm(1)
    >>> params, state = layer.init()
    >>> x = jnp.array([[3.0], [4.0]])
    >>> loss = lambda state: jnp.sum(layer.apply(params, state, x, train=True)[0])
    >>> new = jax.grad(loss)(state)["running"]
    >>> new.value["squares"].ravel().tolist()
    [0.0, 12.5, 0.0, 0.0]
    """
    check_arguments(unified_norm, locals())
    backward = window if backward_window is None else backward_window
    if filter_outliers and warmup < window:
        raise InputError(
            f"warmup must be at least the window, {window}, for filter_outliers: the "
            f"window is not full before; got warmup={warmup}"
        )

    def init(key: jax.Array | None = None) -> tuple[Any, Any]:
        ones, zeros = jnp.ones(features, param_dtype), jnp.zeros(features, param_dtype)
        first = {
            "var": ones,
            "nu": zeros,
            "squares": jnp.zeros((window, features), param_dtype),
            "slopes": jnp.zeros((backward, features), param_dtype),
            "count": jnp.zeros((), param_dtype),
            "outliers": jnp.zeros((), param_dtype),
        }
        return {"scale": ones, "bias": zeros}, {"running": first_state(first)}

    def apply(
        params: Params, state: ModelState, x: jax.Array, call: Call
    ) -> tuple[jax.Array, ModelState]:
        valid = over_features("unified_norm", x, features, call.mask)
        z = x.astype(accumulation_dtype(x.dtype))
        zeroed = valid if padding == "zero" else None
        z = without_padding(z, zeroed)
        if call.train:
            rule = _UnifiedNorm(
                warmup, filter_outliers, decay, eps, call.axis_name, padding
            )
            args = (z, params["scale"], params["bias"], valid)
            y = with_backward_state(rule, args, state["running"])
        else:
            var = along(state["running"].value["var"], z)
            z = z * jax.lax.rsqrt(var + jnp.asarray(eps, z.dtype))
            y = affine(z, params["scale"], params["bias"])
        return padded(y, zeroed, x.dtype), state

    return stateful_layer(init, apply)


@dataclasses.dataclass(frozen=True)
class _UnifiedNorm:
    """A call in training, and the gradient and state that it is given."""

    warmup: int
    filter_outliers: bool
    decay: float
    eps: float
    axis_name: str | None
    padding: Padding

    def forward(self, args: Any, state: Any) -> Any:
        x, scale, bias, valid = args
        axes, eps = tuple(range(x.ndim - 1)), jnp.asarray(self.eps, x.dtype)
        square, _ = batch_mean(x * x, axes, weights=valid, axis_name=self.axis_name)
        square = square.reshape(-1)
        now = {name: value.astype(x.dtype) for name, value in state.items()}
        var, old = now["var"], now["squares"]
        window = old.shape[0]
        count = now["count"] + 1
        place = _place(count, window)
        squares = old.at[place].set(square)
        outlier = jnp.asarray(window <= 1)
        if self.filter_outliers:
            roots = jnp.sqrt(old)
            spread = jnp.var(roots, ddof=1) if old.size > 1 else jnp.zeros((), x.dtype)
            apart = jnp.mean(squares, axis=0) - _geometric(squares)
            strange = jnp.any(apart > spread * jnp.asarray(window, x.dtype))
            strange &= count >= self.warmup
            squares = jnp.where(strange, old.at[place].set(var), squares)
            outlier |= strange
        by_itself = outlier | (count <= window) | (count < self.warmup)
        divisor = jnp.where(by_itself, square, _geometric(squares))
        correction = jnp.sqrt((divisor + eps) / (var + eps))
        largest = jnp.asarray(_LARGEST_CORRECTION, x.dtype)
        correction = jnp.clip(correction, 1 / largest, largest)
        early = count <= max(self.warmup, _CORRECTED_FROM)
        correction = jnp.where(early | outlier, 1, correction)
        z = x * along(jax.lax.rsqrt(divisor + eps), x)
        y = affine(z, scale, bias)
        moved = {"squares": squares, "divisor": divisor, "outlier": outlier}
        return y, (z, scale, valid, correction, moved, state)

    def backward(self, kept: Any, slope: jax.Array) -> Any:
        z, scale, valid, correction, moved, state = kept
        axes, eps = tuple(range(z.ndim - 1)), jnp.asarray(self.eps, z.dtype)
        now = {name: value.astype(z.dtype) for name, value in state.items()}
        nu, outlier, divisor = now["nu"], moved["outlier"], moved["divisor"]
        g = scale.astype(z.dtype)
        weights = valid if self.padding == "zero" else None
        mean, _ = batch_mean(slope * z, axes, weights=weights, axis_name=self.axis_name)
        mean = mean.reshape(-1) * correction * g
        window, count = now["slopes"].shape[0], now["count"] + 1
        kept_mean = jnp.where(outlier, nu, mean)
        slopes = now["slopes"].at[_place(count, window)].set(kept_mean)
        by_itself = outlier | (count <= window) | (count < self.warmup)
        mean = jnp.where(by_itself, mean, jnp.mean(slopes, axis=0))
        nu = self.decay * nu + (1 - self.decay) * mean
        size = jax.lax.rsqrt(divisor + eps)
        leak = jnp.where(outlier, mean, nu) * size
        to_x = slope * along(correction * g * size, z) - along(leak, z) * z
        to_scale = jnp.sum(slope * z, axis=axes) * correction
        to_scale = to_scale.astype(scale.dtype)
        to_bias = jnp.sum(slope, axis=axes).astype(scale.dtype)
        # Places in the windows go on where the count is set back.
        turn = math.lcm(now["squares"].shape[0], window)
        new = {
            "var": self.decay * now["var"] + (1 - self.decay) * divisor,
            "nu": nu,
            "squares": moved["squares"],
            "slopes": slopes,
            "count": jnp.where(count > _MANY, count - turn, count),
            "outliers": now["outliers"] + self._counted(outlier),
        }
        new = {name: new[name].astype(state[name].dtype) for name in state}
        return (to_x, to_scale, to_bias, None), new

    def _counted(self, outlier: jax.Array) -> Any:
        """1 for an outlier that was looked for."""
        return outlier.astype(jnp.float32) if self.filter_outliers else 0.0


def _place(count: jax.Array, window: int) -> jax.Array:
    """The place of a call in a window."""
    whole = jnp.round(count).astype(jnp.int32)
    return whole % jnp.asarray(window, jnp.int32)


def _geometric(squares: jax.Array) -> jax.Array:
    """The geometric mean over a window, 0 where a value is 0."""
    return jnp.exp(jnp.mean(jnp.log(squares), axis=0))
