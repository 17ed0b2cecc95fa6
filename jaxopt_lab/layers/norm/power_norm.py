"""PowerNorm: running second moments forward, running means of slopes backward."""
# Its examples wait for pytest --full.

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

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
from jaxopt_lab.layers.norm.last_axis import along, normalized
from jaxopt_lab.layers.norm.running import affine, padded

Padding = Literal["zero", "normalized"]


def power_norm(
    features: Annotated[int, COUNT],
    *,
    groups: Annotated[int, COUNT] = 1,
    group_scaling: bool = True,
    warmup: Annotated[int, COUNT_OR_ZERO, STATIC] = 10000,
    forward_decay: Annotated[float, UNIT, STATIC] = 0.9,
    backward_decay: Annotated[float, UNIT, STATIC] = 0.9,
    eps: Annotated[float, POSITIVE, STATIC] = 1e-5,
    padding: Padding = "zero",
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Normalization by the running mean square of each feature over batch and tokens.

    Each token is first divided by the root mean square of its features in each of
    ``groups`` groups. Then, with the mean square :math:`m` of each feature over all
    tokens and :math:`d = m` in the first ``warmup`` calls, afterwards :math:`d = \phi`,

    .. math:: z = \frac{x}{\sqrt{d + \epsilon}}, \quad y = g z + b, \quad
        \phi \gets \alpha \phi + (1 - \alpha) m.

    The gradient is not that of :math:`y`, but, with the slope u of z and its running
    mean :math:`\nu`,

    .. math:: a = u - (1 - \alpha_b) \nu z, \quad
        \frac{\partial}{\partial x} = \frac{a}{\sqrt{m + \epsilon}}, \quad
        \nu \gets \nu + \overline{a z}.

    Args:
      features: size of the last axis.
      groups: of features, in the division of each token; divides ``features``. The
        released model takes the number of heads.
      group_scaling: False: no division of each token.
      warmup: calls in which :math:`\phi` is an average of all so far (and moves by
        :math:`\alpha` besides), and which normalize by their own mean squares. 10000 as
        in the released layer; its models pass 1000.
      forward_decay: :math:`\alpha`, the fraction of :math:`\phi` that is kept.
      backward_decay: :math:`\alpha_b`; :math:`\nu` is a leaky sum, unbounded above 1.
      eps: :math:`\epsilon`, above 0.
      padding: ``"zero"``: masked tokens give 0 and count nowhere; ``"normalized"``, as
        the released code: they are left out of :math:`m` alone.
      param_dtype: type of parameters and state.

    Returns:
      ``init(key=None) -> ({"scale", "bias"}, {"running"})``, the state a
      ``BackwardState`` of :math:`\phi` (1 at first), :math:`\nu` (0) and the number of
      calls: 2 numbers a feature. It is made in the *backward* pass as the cotangent of
      the old one; ``make_train_step`` and ``batch_grad`` take it from their first pass.
      A training call that is not differentiated leaves it as it is, and one layer may
      be called once in a pass. :math:`\nu` is in units of the loss that is
      differentiated: of a micro-batch, or inside ``shard_map`` of one device.
      ``apply(params, state, x, *, train, key=None, axis_name=None, mask=None) -> (y,
      state)``: ``x`` is ``(..., features)`` of any
      floating type, ``y`` has its shape and type; statistics are float32, float64 for
      float64. ``mask``: of the first axes of ``x``. Evaluation takes :math:`\phi`, and
      its gradient is that of y. Passes over the input: two forward (four with the
      division), two backward. Reverse mode only.

    Raises:
      InputError: an argument is out of range, ``groups`` does not divide ``features``;
        at the call, ``x`` has another number of features or no floating type.

    Paper and code differ: the paper divides the gradient by the root of its running
    :math:`\psi^2`, the code (followed here: it gave the results) by the mean square of
    the batch, after the warm-up too; the paper has no division of each token.

    Source: Shen et al., "PowerNorm: Rethinking Batch Normalization in Transformers",
    2020 (https://arxiv.org/abs/2003.07845). Code read: sIncerass/powernorm.

    >>> layer = power_norm(1, group_scaling=False)
    >>> params, state = layer.init()
    >>> x = jnp.array([[3.0], [4.0]])
    >>> loss = lambda state: jnp.sum(layer.apply(params, state, x, train=True)[0])
    >>> new = jax.grad(loss)(state)["running"]
    >>> float(new.value["phi"][0]), float(new.value["count"])
    (12.5, 1.0)
    """
    check_arguments(power_norm, locals())
    if features % groups:
        raise InputError(
            f"groups must divide the features, {features}; got groups={groups}"
        )

    def init(key: jax.Array | None = None) -> tuple[Any, Any]:
        ones, zeros = jnp.ones(features, param_dtype), jnp.zeros(features, param_dtype)
        first = {"phi": ones, "nu": zeros, "count": jnp.zeros((), param_dtype)}
        return {"scale": ones, "bias": zeros}, {"running": first_state(first)}

    def apply(
        params: Params, state: ModelState, x: jax.Array, call: Call
    ) -> tuple[jax.Array, ModelState]:
        valid = over_features("power_norm", x, features, call.mask)
        z = x.astype(accumulation_dtype(x.dtype))
        zeroed = valid if padding == "zero" else None
        z = without_padding(z, zeroed)
        if group_scaling:
            # No axis of one group: the loops over it are slow on a CPU.
            parts = (groups, features // groups) if groups > 1 else (features,)
            apart = normalized(z.reshape(*z.shape[:-1], *parts), eps, centred=False)
            z = apart.reshape(z.shape)
        if call.train:
            rule = _PowerNorm(
                warmup, forward_decay, backward_decay, eps, call.axis_name, padding
            )
            args = (z, params["scale"], params["bias"], valid)
            y = with_backward_state(rule, args, state["running"])
        else:
            phi = along(state["running"].value["phi"], z)
            z = z * jax.lax.rsqrt(phi + jnp.asarray(eps, z.dtype))
            y = affine(z, params["scale"], params["bias"])
        return padded(y, zeroed, x.dtype), state

    return stateful_layer(init, apply)


def by_mean_square(params: Any, x: jax.Array, *, eps: float = 1e-5) -> jax.Array:
    """Inputs over the root mean square of each feature in the batch, times a scale.

    Args:
      params: ``{"scale", "bias"}``.
      x: ``(..., features)``.
      eps: added to the mean square.

    Returns:
      As ``x``: the first calls of power norm and of unified normalization.
    """
    square = jnp.mean(x * x, axis=tuple(range(x.ndim - 1)), keepdims=True)
    return affine(x / jnp.sqrt(square + eps), params["scale"], params["bias"])


@dataclasses.dataclass(frozen=True)
class _PowerNorm:
    """A call in training, and the gradient and state that it is given."""

    warmup: int
    forward_decay: float
    backward_decay: float
    eps: float
    axis_name: str | None
    padding: Padding

    def forward(self, args: Any, state: Any) -> Any:
        x, scale, bias, valid = args
        axes = tuple(range(x.ndim - 1))
        square, _ = batch_mean(x * x, axes, weights=valid, axis_name=self.axis_name)
        early = state["count"] + 1 <= self.warmup
        divisor = jnp.where(early, square, along(state["phi"], x))
        divisor = divisor + jnp.asarray(self.eps, x.dtype)
        z = x * jax.lax.rsqrt(divisor)
        return affine(z, scale, bias), (z, scale, valid, (square, divisor), state)

    def backward(self, kept: Any, slope: jax.Array) -> Any:
        z, scale, valid, (square, divisor), state = kept
        axes = tuple(range(z.ndim - 1))
        nu = along(state["nu"], z)
        g, leak = along(scale, z), (1 - self.backward_decay) * nu
        a = g * slope - leak * z
        if self.padding == "zero":
            weights, mean_square = valid, square / divisor
        else:
            weights = None
            mean_square, _ = batch_mean(z * z, axes, axis_name=self.axis_name)
        # The mean of a z from two: the gradient of the scale needs the first one, too.
        mean, _ = batch_mean(slope * z, axes, weights=weights, axis_name=self.axis_name)
        drift = g * mean - leak * mean_square
        to_x = a * jax.lax.rsqrt(square + jnp.asarray(self.eps, z.dtype))
        to_scale = jnp.sum(slope * z, axis=axes).astype(scale.dtype)
        to_bias = jnp.sum(slope, axis=axes).astype(scale.dtype)
        new = self._moved(state, square, drift)
        return (to_x, to_scale, to_bias, None), new

    def _moved(self, state: Any, square: jax.Array, drift: jax.Array) -> Any:
        count = (state["count"] + 1).astype(square.dtype)
        phi, nu = (state[n].astype(square.dtype) for n in ("phi", "nu"))
        square = square.reshape(phi.shape)
        mean_so_far = phi * ((count - 1) / count) + square / count
        phi = jnp.where(count < self.warmup, mean_so_far, phi)
        phi = self.forward_decay * phi + (1 - self.forward_decay) * square
        new = {"phi": phi, "nu": nu + drift.reshape(nu.shape), "count": count}
        return {name: new[name].astype(state[name].dtype) for name in state}
