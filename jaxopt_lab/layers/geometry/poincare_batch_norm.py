"""Batch normalization in the Poincare ball, by the gyromidpoint."""
# Its examples wait for pytest --full.

from __future__ import annotations

import math
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.functional import Call, Functional, stateful_layer
from jaxopt_lab.core.options import COUNT, POSITIVE, STATIC, UNIT, check_arguments
from jaxopt_lab.core.statistics import batch_mean
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.layers.geometry import poincare
from jaxopt_lab.layers.masks import over_features, without_padding


def poincare_batch_norm(
    features: Annotated[int, COUNT],
    *,
    curvature: Annotated[float, POSITIVE, STATIC] = 0.1,
    momentum: Annotated[float, UNIT] = 0.1,
    eps: Annotated[float, POSITIVE, STATIC] = 1e-6,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Batch normalization of points of the ball of curvature -c, as tangents at 0.

    Inputs are mapped into the ball, :math:`x = \exp_0(v)`; with their gyromidpoint
    :math:`\mu`, the mean squared distance :math:`\sigma^2` from it and the learned mean
    :math:`m = \exp_0(\text{mean})`,

    .. math:: y = \log_0 \exp_m\left(\sqrt{\frac{\text{var}}{\sigma^2 + \epsilon}}
        \, \Gamma_{\mu \to m} \log_\mu(x)\right).

    The midpoint has a closed form; the Frechet mean that it replaces is iterated.

    Args:
      features: size of the last axis.
      curvature: c at the start, above 0; learned as the softplus of ``inverse_c``.
      momentum: fraction of the running statistics that is new, in ``[0, 1]``; the
        running mean moves on the geodesic.
      eps: :math:`\epsilon`, above 0.
      param_dtype: type of the parameters.

    Returns:
      ``init(key=None) -> ({"mean", "var", "inverse_c"}, {"running_mean",
      "running_var"})`` and ``apply(params, state, x, *, train, key=None,
      axis_name=None, mask=None) -> (y, state)``. ``x`` is ``(B, ..., features)`` of any
      floating type, ``y`` has its shape and type; points are computed in float32,
      float64 for float64. ``mask``, of the leading axes of ``x``, is 0 for padding,
      which counts in no statistic and gives 0. Over ``axis_name`` the statistics are
      those of all devices. State: a point of the ball and a number. Kept for the
      gradient: the input alone; the maps are computed again.

    Raises:
      InputError: an argument is out of range; at the call, ``x`` has another number of
        features or no floating type. Every tangent leads into the ball: one that is too
        long is cut at a margin of it.

    Deviations: the released code takes the statistics of the batch in evaluation too,
    its running buffers are neither written nor read. Here they are, by a rule of ours;
    ``train=True`` gives the code's evaluation.

    Source: van Spengler et al., "Poincare ResNet", 2023
    (https://arxiv.org/abs/2303.14027) and its code, maxvanspengler/poincare-resnet.

    >>> norm = poincare_batch_norm(2)
    >>> x = jnp.array([[1.0, 0.0], [-1.0, 0.0]])
    >>> y, _ = norm.apply(*norm.init(), x, train=True)
    >>> y.round(2).tolist()
    [[0.5, 0.0], [-0.5, 0.0]]
    """
    check_arguments(poincare_batch_norm, locals())

    def init(key: jax.Array | None = None) -> tuple[Any, Any]:
        inverse = math.log(math.expm1(curvature))
        params = {
            "mean": jnp.zeros(features, param_dtype),
            "var": jnp.ones((), param_dtype),
            "inverse_c": jnp.asarray(inverse, param_dtype),
        }
        zero = jnp.zeros(features, param_dtype)
        state = {"running_mean": zero, "running_var": jnp.ones((), param_dtype)}
        return params, state

    def apply(
        params: Params, state: ModelState, x: jax.Array, call: Call
    ) -> tuple[jax.Array, ModelState]:
        wide = accumulation_dtype(x.dtype)
        valid = over_features("poincare_batch_norm", x, features, call.mask)
        z = x.astype(wide)
        weights = None
        z = without_padding(z, valid)
        if valid is not None:
            weights = jnp.broadcast_to(valid, (*x.shape[:-1], 1))
        axes = tuple(range(x.ndim - 1))

        def mean(each: jax.Array) -> jax.Array:
            return batch_mean(each, axes, weights=weights, axis_name=call.axis_name)[0]

        maps = poincare.FORMULAS
        like = (1,) * (x.ndim - 1) + (-1,)
        weights_of = {name: p.astype(wide) for name, p in params.items()}
        old = {name: value.astype(wide) for name, value in state.items()}

        # Of all that follows the gradient keeps the inputs, and computes it again.
        @jax.checkpoint
        def run(
            z: jax.Array, p: dict[str, jax.Array], old: dict[str, jax.Array]
        ) -> Any:
            c = jax.nn.softplus(p["inverse_c"])
            points = maps["expmap0"](z, c)
            target = maps["expmap0"](p["mean"].reshape(like), c)
            if call.train:
                center = poincare.midpoint(points, c, mean)
                spread = mean(jnp.square(poincare.distance(points, center, c)))
            else:
                center = poincare.project(old["running_mean"].reshape(like), c)
                spread = old["running_var"]
            tangent = maps["logmap"](center, points, c)
            tangent = maps["transport"](center, target, tangent, c)
            ratio = p["var"] / (spread + jnp.asarray(eps, wide))
            y = maps["expmap"](target, jnp.sqrt(ratio) * tangent, c)
            return maps["logmap0"](y, c), center, spread, c

        y, center, spread, c = run(z, weights_of, old)
        if call.train:
            some = jnp.any(mean(jnp.ones_like(spread)) > 0)
            state = _moved(state, center, spread, some, momentum, c)
        if valid is not None:
            y = jnp.where(valid, y, 0)
        return y.astype(x.dtype), state

    return stateful_layer(init, apply)


def _moved(
    state: dict[str, jax.Array],
    center: jax.Array,
    spread: jax.Array,
    some: jax.Array,
    momentum: float,
    c: jax.Array,
) -> dict[str, jax.Array]:
    """The running statistics; a batch of padding alone leaves them as they are."""
    m = jnp.asarray(momentum, center.dtype)
    old = {name: value.astype(center.dtype) for name, value in state.items()}
    point = poincare.project(old["running_mean"], c)
    ahead = poincare.FORMULAS["logmap"](point, center.reshape(point.shape), c)
    new = {
        "running_mean": poincare.FORMULAS["expmap"](point, m * ahead, c),
        "running_var": (1 - m) * old["running_var"] + m * spread.reshape(()),
    }
    return {n: jnp.where(some, new[n], old[n]).astype(state[n].dtype) for n in state}


def plain_poincare(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """The normalization by the formulas of a ball, with Mobius additions alone.

    Args:
      params: of ``poincare_batch_norm``.
      x: tangents at 0, ``(..., features)``.

    Returns:
      The output in training.
    """
    c = jax.nn.softplus(params["inverse_c"])
    add = lambda a, b: poincare.mobius_add(a, b, c)
    points = poincare.expmap0(x.reshape(-1, x.shape[-1]), c)
    target = poincare.expmap0(params["mean"][None], c)
    center = poincare.midpoint(points, c, lambda a: jnp.mean(a, axis=0, keepdims=True))
    spread = jnp.mean(jnp.square(poincare.distance(points, center, c)))
    # A gyration turns a point as it turns the tangent that leads to it.
    local = add(-center, points)
    turned = add(-add(target, -center), add(target, add(-center, local)))
    scaled = poincare.logmap0(turned, c) * jnp.sqrt(params["var"] / (spread + 1e-6))
    y = poincare.logmap0(add(target, poincare.expmap0(scaled, c)), c)
    return y.reshape(x.shape)
