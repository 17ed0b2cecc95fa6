"""Normalizations of one example that flax has, with the contract of a layer."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.options import COUNT, POSITIVE, STATIC, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Params
from jaxopt_lab.layers.masks import over_features, without_padding


def layer_norm(
    features: Annotated[int, COUNT],
    *,
    statistics: Literal["layer", "rms"] = "layer",
    eps: Annotated[float, POSITIVE, STATIC] = 1e-6,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Layer normalization, flax's, with the variance in two passes.

    .. math:: y = g \odot \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + b

    over the features of each position.

    Args:
      features: size of the last axis.
      statistics: ``"layer"``, mean and variance (ddof 0), with a bias; ``"rms"``, the
        mean square alone (:math:`\mu = 0`), without a bias.
      eps: :math:`\epsilon`, above 0: flax's default; torch takes 1e-5.
      param_dtype: type of the parameters.

    Returns:
      ``init(key=None) -> ({"scale"[, "bias"]}, {})`` and ``apply(params, state, x, *,
      train, key=None, axis_name=None, mask=None) -> (y, state)``. ``x`` is ``(...,
      features)`` of any floating type, ``y`` has its shape and type; the statistics are
      float32, float64 for float64. ``mask``, of the leading axes of ``x``, is 0 for
      padding, which gives 0. No state; training and evaluation are the same. Kept for
      the gradient: three arrays of the size of ``x`` (two for ``layernorm_scaling``).

    Raises:
      InputError: an argument is out of range; at the call, ``x`` has another number of
        features or no floating type.

    Source: Ba et al., "Layer Normalization", 2016 (https://arxiv.org/abs/1607.06450);
    Zhang and Sennrich, 2019, for ``"rms"``. The code is flax's.

    >>> norm = layer_norm(4)
    >>> y, _ = norm.apply(*norm.init(), jnp.array([[1.0, 1.0, 3.0, 3.0]]), train=True)
    >>> y.round(3).tolist()
    [[-1.0, -1.0, 1.0, 1.0]]
    """
    check_arguments(layer_norm, locals())

    def module(options: dict[str, Any]) -> Any:
        from flax import linen

        if statistics == "rms":
            return linen.RMSNorm(**options)
        return linen.LayerNorm(**options)

    names = ("scale", "bias") if statistics == "layer" else ("scale",)
    return _of_flax("layer_norm", features, module, names, eps, param_dtype)


def group_norm(
    features: Annotated[int, COUNT],
    *,
    groups: Annotated[int, COUNT] = 32,
    eps: Annotated[float, POSITIVE, STATIC] = 1e-6,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Group normalization, flax's, with the variance in two passes.

    Mean and variance (ddof 0) of each example over its positions and the features of
    one of ``groups`` consecutive groups; scale and bias for each feature.

    Args:
      features: size of the last axis.
      groups: number of groups; divides ``features``.
      eps: added to the variance, above 0: flax's default; torch takes 1e-5.
      param_dtype: type of the parameters.

    Returns:
      ``init(key=None) -> ({"scale", "bias"}, {})`` and ``apply(params, state, x, *,
      train, key=None, axis_name=None, mask=None) -> (y, state)``. ``x`` is ``(B, ...,
      features)`` of any floating type, ``y`` has its shape and type; the statistics are
      float32, float64 for float64. ``mask``, of the leading axes of ``x``, is 0 for
      padding, which counts in no statistic and gives 0. The positions of an example
      depend on each other: not for tokens that may not see later ones. No state;
      training and evaluation are the same. Kept for the gradient: two arrays of the
      size of ``x``.

    Raises:
      InputError: an argument is out of range, ``groups`` does not divide ``features``;
        at the call, ``x`` has another number of features or no floating type.

    Source: Wu and He, "Group Normalization", 2018 (https://arxiv.org/abs/1803.08494).
    The code is flax's.

    >>> norm = group_norm(2, groups=1)
    >>> x = jnp.array([[[1.0, 1.0], [3.0, 3.0]]])
    >>> y, _ = norm.apply(*norm.init(), x, train=True)
    >>> y.round(3).tolist()
    [[[-1.0, -1.0], [1.0, 1.0]]]
    """
    check_arguments(group_norm, locals())
    if features % groups:
        raise InputError(
            f"groups must divide the features, {features}; got groups={groups}"
        )

    def module(options: dict[str, Any]) -> Any:
        from flax import linen

        return linen.GroupNorm(num_groups=groups, **options)

    return _of_flax("group_norm", features, module, ("scale", "bias"), eps, param_dtype)


def instance_norm(
    features: Annotated[int, COUNT],
    *,
    eps: Annotated[float, POSITIVE, STATIC] = 1e-6,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Instance normalization, flax's, with the variance in two passes.

    Mean and variance (ddof 0) of each example and feature over its positions; scale
    and bias for each feature.

    Args:
      features: size of the last axis.
      eps: added to the variance, above 0: flax's default; torch takes 1e-5.
      param_dtype: type of the parameters.

    Returns:
      ``init(key=None) -> ({"scale", "bias"}, {})`` and ``apply``, as ``group_norm``;
      ``x`` has at least one axis of positions between examples and features.

    Raises:
      InputError: an argument is out of range; at the call, ``x`` has no positions,
        another number of features or no floating type.

    Source: Ulyanov et al., "Instance Normalization", 2016
    (https://arxiv.org/abs/1607.08022). The code is flax's.

    >>> norm = instance_norm(1)
    >>> y, _ = norm.apply(*norm.init(), jnp.array([[[1.0], [3.0]]]), train=True)
    >>> y.ravel().round(3).tolist()
    [-1.0, 1.0]
    """
    check_arguments(instance_norm, locals())

    def module(options: dict[str, Any]) -> Any:
        from flax import linen

        return linen.InstanceNorm(**options)

    return _of_flax(
        "instance_norm", features, module, ("scale", "bias"), eps, param_dtype
    )


def _of_flax(
    name: str,
    features: int,
    module: Callable[[dict[str, Any]], Any],
    names: tuple[str, ...],
    eps: float,
    param_dtype: DTypeLike,
) -> Functional:
    """A normalization of flax that takes a mask of its statistics, as a core."""
    by_position = name == "layer_norm"

    def init(key: jax.Array | None = None) -> tuple[Any, Any]:
        first = {"scale": jnp.ones, "bias": jnp.zeros}
        return {n: first[n](features, param_dtype) for n in names}, {}

    def apply(params: Params, x: jax.Array, mask: jax.Array | None) -> jax.Array:
        wide = accumulation_dtype(x.dtype)
        valid = over_features(name, x, features, mask)
        if name == "instance_norm" and x.ndim < 3:
            raise InputError(
                f"{name} takes inputs (B, ..., {features}) with positions between "
                f"examples and features; got {x.shape}"
            )
        z = x.astype(wide)
        inside = None
        z = without_padding(z, valid)
        if valid is not None and not by_position:
            # Of an example of padding alone all zeros count: 0 / 0 is NaN too.
            alone = ~jnp.any(valid, axis=tuple(range(1, x.ndim)), keepdims=True)
            inside = jnp.broadcast_to(valid | alone, x.shape)
        options = {"epsilon": eps, "use_fast_variance": False, "param_dtype": wide}
        options["force_float32_reductions"] = False  # the input is wide already
        cast = {n: params[n].astype(wide) for n in names}
        y = module(options).apply({"params": cast}, z, mask=inside)
        if valid is not None:
            y = jnp.where(valid, y, 0)
        return y.astype(x.dtype)

    return stateless_layer(init, apply)
