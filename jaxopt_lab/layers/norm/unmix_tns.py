"""Test-time normalization by un-mixed components of the statistics."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.functional import Call, Functional, stateful_layer
from jaxopt_lab.core.options import COUNT, POSITIVE, STATIC, UNIT, check_arguments
from jaxopt_lab.core.statistics import batch_mean, batch_statistics
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.layers.masks import wide_input
from jaxopt_lab.layers.norm.last_axis import along
from jaxopt_lab.layers.norm.running import (
    first_running,
    normalized_affine,
    padded,
    places,
)

_SMALLEST_NORM = 1e-8


def unmix_tns(
    features: Annotated[int, COUNT],
    *,
    components: Annotated[int, COUNT] = 16,
    momentum: Annotated[float, UNIT, STATIC] = 0.1,
    batch_size: Annotated[int, COUNT] = 64,
    temperature: Annotated[float, POSITIVE, STATIC] = 0.07,
    eps: Annotated[float, POSITIVE, STATIC] = 1e-5,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Normalization of each image by K components, which its own statistics move.

    A layer of test time, with the parameters and the state of a batch normalization
    that was trained, for streams whose neighbouring images are alike. Component k has a
    mean and variance :math:`\mu_k, \sigma_k^2` of each feature. An image with
    :math:`\mu, \sigma^2` over its positions takes part in them by

    .. math:: p_k = \mathrm{softmax}_k \frac{\cos(\mu, \mu_k)}{T}, \quad
        m_k = (1 - p_k) \mu_k + p_k \mu, \quad
        v_k = (1 - p_k) \sigma_k^2 + p_k \sigma^2,

    and is normalized by mean :math:`\bar m` and variance :math:`\bar v +
    \overline{m^2} - \bar m^2`, means over k. Then, in a call with ``train=True``, which
    is one that *adapts*, :math:`\mu_k \gets \mu_k + M \overline{p_k (\mu - \mu_k)}`
    over the images, and the variances likewise, :math:`M = 1 - (1 - m)^{B / 64}`.

    Args:
      features: size of the last axis.
      components: K; 1 is instance normalization.
      momentum: :math:`m`, the fraction that is new for a batch of 64.
      batch_size: B, that of the stream, in M.
      temperature: T, above 0.
      eps: :math:`\epsilon`, added to the variance, above 0.
      param_dtype: type of parameters and statistics.

    Returns:
      ``init(key) -> ({"scale", "bias"}, {"mean", "var", "means", "vars"})``, the first
      two those of the source, the others ``(components, features)``;
      ``components_of_source`` places them around a source. ``apply(params, state, x, *,
      train, key=None, axis_name=None, mask=None) -> (y, state)``: ``x`` is ``(B, ...,
      features)`` of any floating type, ``y`` has its shape and type; statistics are
      float32, float64 for float64; the p and the new state are constants to the
      gradient. Images do not depend on each other. Without positions, ``(B,
      features)``, it is the batch normalization of the source. ``mask``, of the first
      axes of ``x``, is 0 for padding: it counts in no statistic and gives 0. Passes
      over the input: three.

    Raises:
      InputError: an argument is out of range; at the call, ``x`` has another number of
        features or no floating type.

    The variance of an image leaves out :math:`p (1 - p) (\mu - \mu_k)^2`, as the
    released code does (the term stands there as a comment).

    State: ``2 (components + 1)`` numbers a feature. Kept for the gradient: two
    arrays of the size of ``x`` in the type of the statistics.

    Source: Tomar et al., "Un-Mixing Test-Time Normalization Statistics: Combatting
    Label Temporal Correlation", 2024 (https://arxiv.org/abs/2401.08328). Code read:
    devavratTomar/unmixtns.

    >>> layer = unmix_tns(1, components=1)
    >>> params, state = layer.init(jax.random.key(0))
    >>> x = jnp.array([[[3.0], [5.0]]])
    >>> y, state = layer.apply(params, state, x, train=True)
    >>> [round(float(number), 3) for number in y.ravel()]
    [-1.0, 1.0]
    """
    check_arguments(unmix_tns, locals())
    speed = 1 - (1 - momentum) ** (batch_size / 64)

    def init(key: jax.Array | None = None) -> tuple[Any, Any]:
        ones, zeros = jnp.ones(features, param_dtype), jnp.zeros(features, param_dtype)
        shape = (components, features)
        if components == 1 or key is None:
            noise = jnp.zeros(shape, param_dtype)
        else:
            noise = jax.random.normal(key, shape, param_dtype)
        source = first_running(features, param_dtype)
        state = {**source, **components_of_source(source, noise)}
        return {"scale": ones, "bias": zeros}, state

    def apply(
        params: Params, state: ModelState, x: jax.Array, call: Call
    ) -> tuple[jax.Array, ModelState]:
        z, valid = wide_input("unmix_tns", x, features, call.mask)
        if z.ndim == 2:
            mean, var = (along(state[name], z) for name in ("mean", "var"))
            about = mean
        else:
            own = batch_statistics(z, places(z), weights=valid)
            state, mean, var = _unmixed(state, own, call.train, call.axis_name)
            about = own.mean
        y = normalized_affine(z, mean, var, params, eps, about)
        return padded(y, valid, x.dtype), state

    def _unmixed(state: Any, own: Any, train: bool, axis_name: Any) -> Any:
        """``(state, mean, variance)``, of each image."""
        shape = own.mean.shape
        mu, var = (s.reshape(shape[0], 1, features) for s in (own.mean, own.var))
        means, variances = (
            state[name].astype(mu.dtype)[None] for name in ("means", "vars")
        )
        p = _shares(jax.lax.stop_gradient(mu), means, temperature)
        m, v = (1 - p) * means + p * mu, (1 - p) * variances + p * var
        mean = jnp.mean(m, axis=1)
        spread = jnp.mean(jnp.square(m - mean[:, None]), axis=1)
        variance = jnp.mean(v, axis=1) + spread
        if train:
            present = jnp.broadcast_to(own.count, (shape[0], *own.count.shape[1:]))
            present = present.reshape(shape[0], 1, 1) > 0
            moves = [p * (mu - means), p * (var - variances)]
            new = {}
            for name, move in zip(("means", "vars"), moves, strict=True):
                move = jax.lax.stop_gradient(move)
                by, _ = batch_mean(move, 0, weights=present, axis_name=axis_name)
                old = state[name]
                new[name] = (old.astype(by.dtype) + speed * by[0]).astype(old.dtype)
            state = {**state, **new}
        return state, mean.reshape(shape), variance.reshape(shape)

    return stateful_layer(init, apply)


def components_of_source(
    source: dict[str, jax.Array], noise: jax.Array
) -> dict[str, jax.Array]:
    r"""The first components around the statistics of a trained batch normalization.

    .. math:: \mu_k = \mu + \sqrt{\frac{K}{2 (K - 1)}} \, \sigma n_k, \quad
        \sigma_k^2 = \frac{\sigma^2}{2},

    whose mixture has the statistics of the source in the mean over normal numbers n;
    for K = 1 those of the source.

    Args:
      source: ``{"mean", "var"}``, ``(features,)`` each.
      noise: standard normal numbers, ``(components, features)``.

    Returns:
      ``{"means", "vars"}``, of the shape and type of ``noise``.

    >>> source = {"mean": jnp.zeros(2), "var": jnp.ones(2)}
    >>> components_of_source(source, jnp.ones((2, 2)))["vars"].tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    count = noise.shape[0]
    mean, var = (source[name].astype(noise.dtype)[None] for name in ("mean", "var"))
    if count == 1:
        return {"means": mean + 0 * noise, "vars": var + 0 * noise}
    deviation = jnp.sqrt(0.5 * count / (count - 1) * var)
    return {"means": mean + deviation * noise, "vars": 0.5 * var + 0 * noise}


def _shares(mu: jax.Array, means: jax.Array, temperature: float) -> jax.Array:
    """p, ``(B, components, 1)``."""
    a, b = (
        x / jnp.maximum(jnp.sqrt(jnp.sum(x * x, -1, keepdims=True)), _SMALLEST_NORM)
        for x in (mu, jax.lax.stop_gradient(means))
    )
    return jax.nn.softmax(jnp.sum(a * b, -1, keepdims=True) / temperature, axis=1)
