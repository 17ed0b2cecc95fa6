"""EvoNorm: normalization and activation in one, found by search."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

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
    affine,
    after_batch,
    in_groups,
    padded,
    places,
)

BatchForm = Literal["b0", "b1", "b2"]
SampleForm = Literal["s0", "s1", "s2"]


def evonorm_b0(
    features: Annotated[int, COUNT],
    *,
    form: BatchForm = "b0",
    eps: Annotated[float, POSITIVE, STATIC] = 1e-5,
    momentum: Annotated[float, UNIT] = 0.1,
    unbiased: bool = True,
    activate: bool = True,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""EvoNorm of the batch series, which takes the place of norm and activation.

    With the variances :math:`\sigma_b^2` of the batch and :math:`\sigma_i^2` of an
    example over its positions, and :math:`r = \sqrt{\overline{x^2} + \epsilon}` the
    root mean square of an example over its positions,

    .. math:: y = \frac{x}{\max(\sqrt{\sigma_b^2 + \epsilon}, \, d)} g + b, \quad
        d = \begin{cases} v x + \sqrt{\sigma_i^2 + \epsilon} & \text{B0} \\
        (x + 1) \, r & \text{B1} \\ r - x & \text{B2.} \end{cases}

    Args:
      features: size of the last axis.
      form: the series: ``"b0"``, ``"b1"``, ``"b2"``.
      eps: :math:`\epsilon`, above 0: 1e-5 as in the paper; timm takes 1e-3 for B0.
      momentum: the fraction of the running variance that is new (the paper's 0.9 is the
        fraction kept), in ``[0, 1]``.
      unbiased: store the variance of ddof 1, as timm and torch; the paper's code stores
        that of ddof 0.
      activate: False: ``g x + b`` alone, without any normalization, as timm.
      param_dtype: type of parameters and statistics.

    Returns:
      ``init(key=None) -> ({"scale", "bias"[, "v"]}, {"var"})``, v for B0 alone, and
      ``apply(params, state, x, *, train, key=None, axis_name=None, mask=None) -> (y,
      state)``. ``x`` is ``(B, ..., features)`` of any floating type, ``y`` has its
      shape and type; the statistics are float32, float64 for float64, in two passes.
      ``mask``, of the first axes of ``x``, is 0 for padding: it counts in no statistic
      and gives 0. Evaluation takes the stored variance for :math:`\sigma_b^2`; the
      statistics of an example are its own. State: a number a feature. Passes over the
      input: three, where the formulas have five (four of B1 and B2): the statistics of
      the batch are pooled from those of its examples.
      Differentiable to any order; where both terms of the maximum are equal, along that
      of the batch (torch halves it: at x = 0, where it happens, the first derivatives
      are the same).

    Raises:
      InputError: an argument is out of range; at the call, ``x`` has another number of
        features or no floating type, or a batch for training has one value a feature.

    Source: Liu et al., "Evolving Normalization-Activation Layers", 2020
    (https://arxiv.org/abs/2004.02967). Code read: huggingface/pytorch-image-models.

    >>> layer = evonorm_b0(1, form="b2")
    >>> params, state = layer.init()
    >>> x = jnp.array([[[3.0], [-1.0]]])
    >>> y, state = layer.apply(params, state, x, train=True)
    >>> [round(float(number), 3) for number in y.ravel()]
    [1.5, -0.309]
    """
    check_arguments(evonorm_b0, locals())
    names = ("scale", "bias", "v") if form == "b0" and activate else ("scale", "bias")

    def init(key: jax.Array | None = None) -> tuple[Any, Any]:
        return _first(features, names, param_dtype), {
            "var": jnp.ones(features, param_dtype)
        }

    def of_batch(
        params: Any, state: Any, z: jax.Array, valid: Any, train: bool, axis_name: Any
    ) -> tuple[jax.Array, Any]:
        own = batch_statistics(z, places(z), weights=valid)
        if train:
            require_values(f"evonorm_{form}", z, (0, *places(z)), axis_name)
            found = pooled(own, 0, axis_name=axis_name)
            state = after_batch(state, found, momentum, ddof=int(unbiased))
            var = found.var
        else:
            var = along(state["var"], z)
        small = jnp.asarray(eps, z.dtype)
        floor = jnp.sqrt(var + small)
        if form == "b0":
            other = along(params["v"], z) * z + jnp.sqrt(own.var + small)
        else:
            root = jnp.sqrt(own.var + jnp.square(own.mean) + small)
            other = (z + 1) * root if form == "b1" else root - z
        # Not jnp.maximum, whose derivative compares twice to halve it at ties; there x
        # is 0, or the case has no measure.
        return scaled(params, z / jnp.where(other > floor, other, floor)), state

    return stateful_layer(
        init, _around(f"evonorm_{form}", features, activate, of_batch)
    )


def evonorm_s0(
    features: Annotated[int, COUNT],
    *,
    form: SampleForm = "s0",
    groups: Annotated[int, COUNT] = 32,
    eps: Annotated[float, POSITIVE, STATIC] = 1e-5,
    activate: bool = True,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""EvoNorm of the sample series, which takes the place of norm and activation.

    With the variance :math:`\sigma_g^2` and the mean square of an example over its
    positions and the features of one of ``groups`` consecutive groups,

    .. math:: y = \begin{cases}
        x \, \mathrm{sigmoid}(v x) / \sqrt{\sigma_g^2 + \epsilon} & \text{S0} \\
        x \, \mathrm{sigmoid}(x) / \sqrt{\sigma_g^2 + \epsilon} & \text{S1} \\
        x \, \mathrm{sigmoid}(x) / \sqrt{\overline{x^2} + \epsilon} & \text{S2}
        \end{cases} \cdot g + b.

    Args:
      features: size of the last axis.
      form: the series: ``"s0"``, ``"s1"``, ``"s2"``.
      groups: number of groups; divides ``features``, or, if there are fewer features
        than groups, each is a group.
      eps: :math:`\epsilon`, above 0.
      activate: False: ``g x + b`` alone, without any normalization, as timm.
      param_dtype: type of the parameters.

    Returns:
      ``init(key=None) -> ({"scale", "bias"[, "v"]}, {})``, v for S0 alone, and
      ``apply`` as that of ``evonorm_b0``, without a state: training and evaluation are
      the same and no example depends on others; its positions depend on each other.
      Statistics in two passes, of ddof 0. Differentiable to any order.

    Raises:
      InputError: an argument is out of range, ``groups`` does not divide ``features``;
        at the call, ``x`` has another number of features or no floating type.

    Source: Liu et al., "Evolving Normalization-Activation Layers", 2020
    (https://arxiv.org/abs/2004.02967). Code read: huggingface/pytorch-image-models.

    >>> layer = evonorm_s0(2, groups=1)
    >>> params, _ = layer.init()
    >>> x = jnp.array([[[1.0, -1.0]]])
    >>> y, _ = layer.apply(params, {}, x, train=True)
    >>> [round(float(number), 3) for number in y.ravel()]
    [0.731, -0.269]
    """
    check_arguments(evonorm_s0, locals())
    count = min(groups, features)
    if features % count:
        raise InputError(
            f"groups must divide the features, {features}; got groups={groups}"
        )
    names = ("scale", "bias", "v") if form == "s0" and activate else ("scale", "bias")

    def init(key: jax.Array | None = None) -> tuple[Any, Any]:
        return _first(features, names, param_dtype), {}

    def of_groups(
        params: Any, state: Any, z: jax.Array, valid: Any, train: bool, axis_name: Any
    ) -> tuple[jax.Array, Any]:
        _, square = in_groups(z, count, valid, centred=form != "s2")
        size = jax.lax.rsqrt(square + jnp.asarray(eps, z.dtype))
        turned = along(params["v"], z) * z if form == "s0" else z
        # The scale is multiplied by the small array first: one pass less.
        factor = size * along(params["scale"], z)
        y = z * jax.nn.sigmoid(turned) * factor + along(params["bias"], z)
        return y, state

    return stateful_layer(
        init, _around(f"evonorm_{form}", features, activate, of_groups)
    )


def scaled(params: Any, x: jax.Array) -> jax.Array:
    """``g x + b``, what is left of EvoNorm with ``activate=False``.

    Args:
      params: ``{"scale", "bias"}``.
      x: ``(..., features)``.

    Returns:
      As ``x``.
    """
    return affine(x, params["scale"], params["bias"])


def _first(features: int, names: tuple[str, ...], dtype: DTypeLike) -> Any:
    first = {"scale": jnp.ones, "bias": jnp.zeros, "v": jnp.ones}
    return {name: first[name](features, dtype) for name in names}


def _around(
    name: str, features: int, activate: bool, inner: Callable[..., Any]
) -> Callable[..., Any]:
    """``apply`` of a layer: its input checked, its output padded."""

    def apply(
        params: Params, state: ModelState, x: jax.Array, call: Call
    ) -> tuple[jax.Array, ModelState]:
        z, valid = wide_input(name, x, features, call.mask)
        if activate:
            y, state = inner(params, state, z, valid, call.train, call.axis_name)
        else:
            y = scaled(params, z)
        return padded(y, valid, x.dtype), state

    return apply
