"""Batch normalization of positive definite matrices."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Call, Functional, stateful_layer
from jaxopt_lab.core.options import COUNT, POSITIVE, STATIC, UNIT, check_arguments
from jaxopt_lab.core.statistics import batch_mean
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.layers.geometry.spd import (
    bw_distance,
    bw_exp,
    bw_from_identity,
    bw_log,
    bw_mean,
    bw_to_identity,
    check_spd,
    spd_geodesic,
    spd_power,
    spd_sqrt,
    sym_abs,
)
from jaxopt_lab.layers.masks import over_features


def spd_batch_norm(
    features: Annotated[int, COUNT],
    *,
    power: Annotated[float, POSITIVE, STATIC] = 1.0,
    momentum: Annotated[float, UNIT] = 0.1,
    eps: Annotated[float, POSITIVE, STATIC] = 1e-5,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Batch normalization of matrices in the generalized Bures-Wasserstein geometry.

    With :math:`Y = M^{-1/2} X^p M^{-1/2}`, :math:`H = M^{-1/2} G^p M^{-1/2}`:

    1. centring: the tangent of Y at the barycentre B of the batch (one step from the
       arithmetic mean), transported to the identity and followed from there;
    2. scaling: the tangent of that at the identity times :math:`s / \sqrt{v +
       \epsilon}`, with :math:`v = \text{mean}\, d^2(Y, I) / p^2`;
    3. bias: that, transported to H and followed from there;
    4. :math:`(M^{1/2} \cdot M^{1/2})^{1/p}`.

    G, M and s are learned; M = I is the plain Bures-Wasserstein geometry. B and v have
    no gradient. Statistics are one set over batch and channels.

    Args:
      features: size of the matrices.
      power: p, deformation of the metric, above 0.
      momentum: fraction of the running statistics that is new, in ``[0, 1]``; the
        running mean moves on the geodesic.
      eps: :math:`\epsilon`, above 0.
      param_dtype: type of parameters and statistics.

    Returns:
      ``init(key=None) -> ({"G", "M", "shift"}, {"mean", "var"})`` and ``apply(params,
      state, x, *, train, key=None, axis_name=None, mask=None) -> (y, state)``. ``x`` is
      ``(B, ..., features, features)`` of any floating type, symmetric positive
      definite; ``y`` has its shape and type; matrices are computed in float32, float64
      for float64. ``mask``, ``(B,)`` or of more leading axes, is 0 for padding, which
      counts in no statistic and gives 0. Over ``axis_name`` the statistics are those of
      all devices. ``mean`` is about the deformed, congruent matrices :math:`Y`, as in
      the code. First derivatives only, exact where eigenvalues are equal.

    Raises:
      InputError: an argument is out of range; at the call, the input does not fit, or
        outside of ``jit`` a matrix is not symmetric positive definite. Inside of
        ``jit`` eigenvalues that are not above 0 count as the least one, silently.

    Deviations of the released code from the paper, of which the first two are kept for
    its results: the variance is about the identity and of the batch before centring;
    one step to the barycentre. Not kept: its derivatives are 0 between equal
    eigenvalues (wrong at the initial M = I) and use the wrong exponent for p other than
    1; its running mean is not saved; G starts off the identity to dodge the first.

    G and M are to stay positive definite: a Riemannian step, or a small learning rate.

    Source: Wang et al., "Learning to Normalize on the SPD Manifold under
    Bures-Wasserstein Geometry", 2025 (https://arxiv.org/abs/2504.00660) and its code,
    jjscc/GBWBN.

    >>> norm = spd_batch_norm(2)
    >>> x = jnp.stack([2 * jnp.eye(2)] * 3)[:, None]
    >>> y, state = norm.apply(*norm.init(), x, train=True)
    >>> y[0, 0].round(3).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    check_arguments(spd_batch_norm, locals())

    def init(key: jax.Array | None = None) -> tuple[Any, Any]:
        eye = jnp.eye(features, dtype=param_dtype)
        one = jnp.ones(1, param_dtype)
        return {"G": eye, "M": eye, "shift": one}, {"mean": eye, "var": one[0]}

    def apply(
        params: Params, state: ModelState, x: jax.Array, call: Call
    ) -> tuple[jax.Array, ModelState]:
        if x.ndim < 3 or x.shape[-2:] != (features, features):
            raise InputError(
                f"spd_batch_norm takes matrices (B, ..., {features}, {features}); got "
                f"{x.shape}"
            )
        wide = accumulation_dtype(x.dtype)
        valid = over_features("spd_batch_norm", x, features, call.mask)
        z = x.astype(wide)
        eye = jnp.eye(features, dtype=wide)
        weights = None
        if valid is not None:
            if call.mask is not None and call.mask.ndim > x.ndim - 2:
                raise InputError(
                    f"mask must have the first axes of {x.shape[:-2]}, one value for "
                    f"each matrix; got {call.mask.shape}"
                )
            z = jnp.where(valid, z, eye.reshape((1,) * (x.ndim - 2) + eye.shape))
            weights = jnp.broadcast_to(valid[..., 0, 0], x.shape[:-2]).reshape(-1)
        check_spd("spd_batch_norm", z)
        z = z.reshape(-1, features, features)
        g, m = (params[name].astype(wide) for name in ("G", "M"))
        down, up = spd_power(m, -0.5), spd_sqrt(m)
        y = down @ spd_power(z, power) @ down
        target = down @ spd_power(g, power) @ down
        if call.train:
            fixed = jax.lax.stop_gradient(y)
            mean = bw_mean(fixed, weights=weights, axis_name=call.axis_name)
            var, count = batch_mean(
                bw_distance(eye[None], fixed)[:, None],
                0,
                weights=None if weights is None else weights[:, None],
                axis_name=call.axis_name,
            )
            var = var[0, 0] / jnp.asarray(power**2, wide)
            some = count[0, 0] > 0
            mean = jnp.where(some, mean, eye)
            state = _moved(state, mean, var, some, momentum)
        else:
            mean, var = state["mean"].astype(wide), state["var"].astype(wide)
            mean, var = (jax.lax.stop_gradient(s) for s in (mean, var))
        factor = params["shift"].astype(wide) / jnp.sqrt(var + jnp.asarray(eps, wide))
        centred = bw_to_identity(mean[None], bw_log(mean[None], y))
        # A tangent V at the identity leads to the square of I + V / 2.
        root = sym_abs(eye[None] + centred * jnp.asarray(0.5, wide))
        scaled = sym_abs(eye[None] + factor[:, None, None] * (root - eye[None]))
        tangent = 2 * (scaled - eye[None])
        y = bw_exp(target[None], bw_from_identity(target[None], tangent))
        y = spd_power(up @ y @ up, 1 / power).reshape(x.shape)
        if valid is not None:
            y = jnp.where(valid, y, 0)
        return y.astype(x.dtype), state

    return stateful_layer(init, apply)


def _moved(
    state: dict[str, jax.Array],
    mean: jax.Array,
    var: jax.Array,
    some: jax.Array,
    momentum: float,
) -> dict[str, jax.Array]:
    """The running statistics; a batch of padding alone leaves them as they are."""
    old = {name: value.astype(mean.dtype) for name, value in state.items()}
    m = jnp.asarray(momentum, mean.dtype)
    new = {
        "mean": spd_geodesic(old["mean"], mean, m),
        "var": (1 - m) * old["var"] + m * var,
    }
    return {n: jnp.where(some, new[n], old[n]).astype(state[n].dtype) for n in state}


def plain_bures(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """The normalization at power 1, in the coordinates of its metric.

    Args:
      params: of ``spd_batch_norm``.
      x: ``(B, c, n, n)``.

    Returns:
      The output in training.
    """
    n = x.shape[-1]
    eye, x_ = jnp.eye(n, dtype=x.dtype)[None], x.reshape(-1, n, n)
    down, up = spd_power(params["M"], -0.5), spd_sqrt(params["M"])
    y = down @ x_ @ down
    fixed = jax.lax.stop_gradient(y)
    mean = bw_mean(fixed)[None]
    deviation = jnp.sqrt(jnp.mean(bw_distance(eye, fixed)) + 1e-5)
    at_identity = bw_exp(eye, bw_to_identity(mean, bw_log(mean, y)))
    factor = params["shift"][:, None, None] / deviation
    scaled = bw_exp(eye, factor * bw_log(eye, at_identity))
    base = (down @ spd_power(params["G"], 1.0) @ down)[None]
    y = bw_exp(base, bw_from_identity(base, bw_log(eye, scaled)))
    return (up @ y @ up).reshape(x.shape)
