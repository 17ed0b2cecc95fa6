"""Scale and bias with a random effect of each group of examples."""
# Its examples wait for pytest --full.

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Call, Functional, stateful_layer
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.options import (
    COUNT,
    POSITIVE,
    STATIC,
    check_arguments,
)
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.layers.masks import needed_key, over_features, without_padding
from jaxopt_lab.layers.norm.running import padded

_EFFECTS = ("scale", "bias")


def random_effect_scale_bias(
    x: jax.Array, group: jax.Array, gamma: jax.Array, beta: jax.Array
) -> jax.Array:
    r"""Scale and bias of the group of each example.

    .. math:: y_n = (1 + \gamma_{g(n)}) \odot x_n + \beta_{g(n)},

    and :math:`y_n = x_n` where g(n) is -1, a group that was never seen.

    Args:
      x: ``(B, ..., features)``, real floating.
      group: ``(B,)``, integers from -1 to ``groups - 1``.
      gamma: ``(groups, features)``.
      beta: likewise.

    Returns:
      As ``x``, in the wider of float32 and its type; NaN for a group beyond the table
      that is not known before the call.

    Raises:
      InputError: shapes do not fit, or a group is beyond the table.

    >>> x, gamma, beta = jnp.ones((2, 1)), jnp.array([[0.5]]), jnp.array([[2.0]])
    >>> random_effect_scale_bias(x, jnp.array([0, -1]), gamma, beta).ravel().tolist()
    [3.5, 1.0]
    """
    group = jnp.asarray(group)
    table = gamma.shape[0]
    if group.shape != x.shape[:1] or not jnp.issubdtype(group.dtype, jnp.integer):
        raise InputError(
            f"group must be an integer for each of {x.shape[0]} examples; got "
            f"{group.dtype} of shape {group.shape}"
        )
    if gamma.shape != (table, x.shape[-1]) or gamma.shape != beta.shape:
        raise InputError(
            f"gamma and beta must be (groups, {x.shape[-1]}); got {gamma.shape} and "
            f"{beta.shape}"
        )
    known = known_values(group)
    if (
        known is not None
        and known.size
        and not -1 <= known.min() <= known.max() < table
    ):
        raise InputError(
            f"group must be from -1, none, to {table - 1}; got {known.min()} to "
            f"{known.max()}"
        )
    z = x.astype(accumulation_dtype(x.dtype))
    row = jnp.where(group == -1, 0, group)

    def own(effects: jax.Array) -> jax.Array:
        found = effects.astype(z.dtype).at[row].get(mode="fill", fill_value=jnp.nan)
        found = jnp.where((group == -1)[:, None], 0, found)
        return jnp.expand_dims(found, tuple(range(1, z.ndim - 1)))

    return z * (1 + own(gamma)) + own(beta)


def random_effects(
    features: Annotated[int, COUNT],
    *,
    groups: Annotated[int, COUNT] = 1,
    sample: bool = True,
    prior_scale: Annotated[float, POSITIVE] = 0.25,
    posterior_scale: Annotated[float, POSITIVE, STATIC] = 0.05,
    kernel_init: Callable[..., jax.Array] | None = None,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Random effects of groups on scale and bias, with Gaussian posteriors.

    ``random_effect_scale_bias`` with, in training, one draw a call

    .. math:: \gamma = m_\gamma + s_\gamma \odot \varepsilon, \qquad
        \beta = m_\beta + s_\beta \odot \varepsilon',

    by which the gradient reaches means and deviations; in evaluation the means. Add
    ``random_effects_kl(params)``, times a small number, to the loss.

    Args:
      features: size of the last axis.
      groups: number of groups, of batches, donors or sites.
      sample: whether training draws; else the effects are their means, and fixed.
      prior_scale: deviation of the prior, whose mean is 0: of ``kl()`` of the module.
      posterior_scale: first s of all.
      kernel_init: of the means, as jax's initializers; ``None``: normal numbers of
        deviation 0.1.
      param_dtype: type of the parameters.

    Returns:
      ``init(key) -> ({"scale_mean", "scale_log_sd", "bias_mean", "bias_log_sd"}, {})``,
      each ``(groups, features)``, and ``apply(params, state, x, *, train, key=None,
      axis_name=None, mask=None) -> (y, state)``. ``x`` is ``(B, ..., features)``, then
      y is x, the fixed effects alone; or a pair of that and ``group``, integers
      ``(B,)``, -1 for a group that was never seen. ``mask``, of the first axes of
      ``x``, is 0 for padding, which gives 0. ``key``: in training, one for all devices.

    Raises:
      InputError: an argument is out of range; at the call, there is no ``key`` to draw
        with, or ``x`` and ``group`` do not fit.

    Kept for the gradient: the input, and the effects of each example.

    Source: Nguyen et al., "Adversarially-Regularized Mixed Effects Deep Learning
    (ARMED)", 2022 (https://arxiv.org/abs/2202.11783); Andrade et al., "scMEDAL", 2024.
    Code read: DeepLearningForPrecisionHealthLab/scMEDAL_for_scRNAseq, for prior and
    locations; ``posterior_scale`` is ours.

    >>> layer = random_effects(3, groups=2)
    >>> params, state = layer.init(jax.random.key(0))
    >>> x, group = jnp.ones((2, 3)), jnp.array([1, -1])
    >>> y, _ = layer.apply(params, state, (x, group), train=False)
    >>> y.shape, y[1].tolist()
    ((2, 3), [1.0, 1.0, 1.0])
    """
    check_arguments(random_effects, locals())
    draw = jax.nn.initializers.normal(0.1) if kernel_init is None else kernel_init

    def init(key: jax.Array | None = None) -> tuple[Any, Any]:
        if key is None:
            raise InputError("random_effects: init draws the means; pass it a key")
        params, shape = {}, (groups, features)
        for name, own in zip(_EFFECTS, jax.random.split(key), strict=True):
            params[f"{name}_mean"] = draw(own, shape, param_dtype)
            first = math.log(posterior_scale)
            params[f"{name}_log_sd"] = jnp.full(shape, first, param_dtype)
        return params, {}

    def apply(
        params: Params, state: ModelState, x: Any, call: Call
    ) -> tuple[jax.Array, ModelState]:
        x, group = x if isinstance(x, tuple | list) else (x, None)
        valid = over_features("random_effects", x, features, call.mask)
        z = without_padding(x, valid)
        if group is None:
            return padded(z, valid, x.dtype), state
        effects = [params[f"{name}_mean"] for name in _EFFECTS]
        if call.train and sample:
            keys = jax.random.split(
                needed_key("random_effects", "sample=True", call.key)
            )
            for i, name in enumerate(_EFFECTS):
                spread = jnp.exp(params[f"{name}_log_sd"])
                effects[i] += spread * _normal(keys[i], spread.shape, spread.dtype)
        y = random_effect_scale_bias(z, group, *effects)
        return padded(y, valid, x.dtype), state

    return stateful_layer(init, apply)


def random_effects_kl(
    params: Params, *, prior_scale: Annotated[float, POSITIVE] = 0.25
) -> jax.Array:
    r"""Divergence of all posteriors of random effects from their prior, in nats.

    .. math:: \mathrm{KL} = \sum \log\frac{\tau}{s} + \frac{s^2 + m^2}{2 \tau^2}
        - \frac12,

    over the groups and features of scale and bias of every layer in a tree.

    Args:
      params: of ``random_effects``, or nested dicts with such among others.
      prior_scale: :math:`\tau`.

    Returns:
      A scalar, float32, float64 for float64; 0 at the prior and without such layers.

    Raises:
      InputError: ``prior_scale`` is not above 0.

    >>> layer = random_effects(2, kernel_init=jax.nn.initializers.zeros)
    >>> params, _ = layer.init(jax.random.key(0))
    >>> round(float(random_effects_kl(params)), 4)  # 4 (log 5 + 1 / 50 - 1 / 2)
    4.5178
    >>> abs(float(random_effects_kl(params, prior_scale=0.05))) < 1e-6
    True
    """
    check_arguments(random_effects_kl, locals())
    leaves = {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf
        for path, leaf in jax.tree.leaves_with_path(params)
    }
    total = jnp.zeros(())
    for name, mean in leaves.items():
        log_sd = leaves.get(f"{name.removesuffix('_mean')}_log_sd")
        if not name.endswith("_mean") or log_sd is None:
            continue
        dtype = accumulation_dtype(mean.dtype)
        m, s = mean.astype(dtype), log_sd.astype(dtype)
        prior = jnp.asarray(prior_scale, dtype)
        square = (jnp.exp(2 * s) + m * m) / (2 * prior * prior)
        own = jnp.sum(jnp.log(prior) - s + square - 0.5)
        wide = jnp.promote_types(total.dtype, own.dtype)
        total = total.astype(wide) + own.astype(wide)
    return total


def fixed_effects(params: Params, x: Any) -> jax.Array:
    """Scale and bias of each group by the means, what is left with ``sample=False``.

    Args:
      params: of ``random_effects``.
      x: ``(B, ..., features)`` and groups.

    Returns:
      As ``x[0]``.
    """
    means = (params[f"{name}_mean"] for name in _EFFECTS)
    return random_effect_scale_bias(x[0], x[1], *means)


def _normal(key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike) -> jax.Array:
    """Normal numbers that are the same for every type, up to its rounding.

    They come from multiples of 2^-23 in (-1, 1), which all of them hold exactly.
    """
    bits = jax.random.uniform(key, shape, jnp.float32).astype(accumulation_dtype(dtype))
    z = math.sqrt(2) * jax.lax.erf_inv(2 * bits - (1 - 2**-23))
    return z.astype(dtype)
