"""Dense layer that keeps a few rows of its input, by winner-take-all sampling."""

from __future__ import annotations

import math
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Call, Functional, stateful_layer
from jaxopt_lab.core.options import COUNT, SHARE, STATIC, check_arguments
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.layers.masks import over_features, without_padding
from jaxopt_lab.layers.memory_saving.dense import KernelInit, dense, first_dense
from jaxopt_lab.layers.memory_saving.residual_codes import first_order_only
from jaxopt_lab.layers.memory_saving.row_sampling import (
    Rows,
    norms_of,
    probabilities,
    rows_kept,
    sampled_rows,
)


def wta_crs_dense(
    features: Annotated[int, COUNT],
    *,
    out: Annotated[int | None, COUNT] = None,
    ratio: Annotated[float, SHARE, STATIC] = 0.3,
    min_rows: Annotated[int, COUNT] = 10,
    use_bias: bool = True,
    kernel_init: KernelInit | None = None,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Dense layer that keeps k of the n rows of its input for the backward pass.

    The gradient of the kernel is a sum over rows (examples and positions),
    :math:`\sum_j x_j g_j^\top`. Each row has a probability

    .. math:: p_j \propto |x_j| \, q_j + 10^{-8},

    0 for a row of zeros, :math:`q_j` a guess of :math:`|g_j|`. The c most probable rows
    C are kept, and :math:`m = k - c` of the others are drawn with replacement in
    proportion to p:

    .. math::
        \sum_{j \in C} x_j g_j^\top + \frac{1 - P_C}{m} \sum_{\text{draws}}
        \frac{x_j g_j^\top}{p_j}, \qquad
        c = \arg\min_{0 \le c < k} \frac{1 - P_C}{k - c},

    which has the right mean. The output and the gradients of input and bias are exact.

    Args:
      features: size of the last axis of the input.
      out: size of the last axis of the output; ``None``: as the input.
      ratio: the part of the rows that is kept, in (0, 1]; 1 is exact.
      min_rows: rows that are kept at least, if there are as many.
      use_bias: whether a bias is added.
      kernel_init: as jax's initializers; ``None``: LeCun's normal numbers, as flax.
      param_dtype: type of the parameters.

    Returns:
      ``init(key) -> ({"kernel", "bias"}, {})`` and ``apply(params, state, x, *, train,
      key=None, axis_name=None, mask=None) -> (y, state)``. ``x`` is ``(...,
      features)``, or a dict of that as ``"x"`` and ``"grad_norms"``, q, ``(...)``,
      not negative; without it q is 1. The *gradient* with respect to ``grad_norms`` is
      not a derivative: it is the new :math:`|g_j|`, to be passed with the same
      examples in the next epoch (a table outside of the step). ``mask``, of the
      leading axes of ``x``, is 0 for padding, which gives 0 and is never drawn.
      Training needs a key unless all rows are kept. Every device of ``axis_name``
      keeps rows of its own. Kept for the gradient: ``4 * ratio`` bytes a number of a
      float32 input, and 8 a kept row. First derivatives only.

    Raises:
      InputError: an argument is out of range; at the call, the input does not fit,
        there is no key to draw with, or a gradient is differentiated.

    Deviations from the released code, which is biased: before there are norms of
    gradients it draws without weights (here by :math:`|x_j|`, with them); it leaves
    out the draws where :math:`P_C > 0.999`; its p do not add up to 1.

    Source: Liu et al., "Winner-Take-All Column Row Sampling for Memory Efficient
    Adaptation of Language Model", 2023 (https://arxiv.org/abs/2305.15265). Code read:
    zirui-ray-liu/WTACRS.

    >>> layer = wta_crs_dense(2, out=1, min_rows=1, ratio=0.5)
    >>> params, state = layer.init(jax.random.key(0))
    >>> x = jnp.array([[1.0, 0.0], [100.0, 1.0], [0.0, 1.0], [2.0, 2.0]])
    >>> def loss(norms):
    ...     given = {"x": x, "grad_norms": norms}
    ...     y, _ = layer.apply(params, state, given, train=True, key=jax.random.key(1))
    ...     return jnp.sum(y * jnp.array([[1.0], [2.0], [3.0], [4.0]]))
    >>> jax.jit(jax.grad(loss))(jnp.ones(4)).tolist()
    [1.0, 2.0, 3.0, 4.0]
    """
    check_arguments(wta_crs_dense, locals())
    first = first_dense(
        "wta_crs_dense",
        features,
        features if out is None else out,
        use_bias=use_bias,
        kernel_init=kernel_init,
        param_dtype=param_dtype,
    )

    def init(key: jax.Array | None = None) -> tuple[Any, Any]:
        return first(key), {}

    def apply(
        params: Params, state: ModelState, x: Any, call: Call
    ) -> tuple[jax.Array, ModelState]:
        x, guesses = _taken_apart(x)
        valid = over_features("wta_crs_dense", x, features, call.mask)
        x = without_padding(x, valid)
        leading = x.shape[:-1]
        rows = math.prod(leading)
        kept = rows_kept(rows, ratio, min_rows)
        if not call.train or (kept == rows and guesses is None):
            y = dense(params, x)
        else:
            uniform = _uniform(call.key, kept, kept == rows)
            flat = x.reshape(rows, features)
            if guesses is None:
                guesses = jnp.ones(rows, norms_of(flat).dtype)
            y = _sampled(kept, params, flat, guesses.reshape(rows), uniform)
            y = y.reshape(*leading, -1)
        return without_padding(y, valid), state

    return stateful_layer(init, apply)


def _taken_apart(x: Any) -> tuple[jax.Array, jax.Array | None]:
    """The input, and the guesses of the norms of its gradient if there are any."""
    if not isinstance(x, dict):
        return x, None
    if set(x) != {"x", "grad_norms"}:
        raise InputError(
            "wta_crs_dense takes an array, or a dict of 'x' and 'grad_norms'; got the "
            f"entries {', '.join(map(repr, x))}"
        )
    if x["grad_norms"].shape != x["x"].shape[:-1]:
        raise InputError(
            f"grad_norms must have one number for each row, {x['x'].shape[:-1]}; got "
            f"{x['grad_norms'].shape}"
        )
    return x["x"], x["grad_norms"]


def _uniform(key: jax.Array | None, kept: int, all_rows: bool) -> jax.Array:
    if key is None and not all_rows:
        raise InputError(
            "wta_crs_dense draws rows in training; pass key= (rngs= to a module), or "
            "take ratio=1"
        )
    if key is None:
        return jnp.zeros(kept)
    return jax.random.uniform(key, (kept,))


def _plain(kept: int, params: Any, x: Any, guesses: Any, uniform: Any) -> Any:
    return dense(params, x)


_sampled = jax.custom_vjp(_plain, nondiff_argnums=(0,))


def _forward(kept: int, params: Any, x: Any, guesses: Any, uniform: Any) -> Any:
    still = jax.lax.stop_gradient(x)
    p = probabilities(norms_of(still), guesses)
    rows = sampled_rows(p, kept, uniform)
    like = jnp.zeros((0,), guesses.dtype)
    return dense(params, first_order_only(x)), (params, still[rows.index], rows, like)


def _backward(kept: int, saved: Any, g: jax.Array) -> Any:
    params, x, rows, like = saved
    chosen = _weighed(rows, g)
    kernel = {"kernel": params["kernel"]}
    (to_params,) = jax.vjp(lambda p: dense(p, x), kernel)[1](chosen)
    if "bias" in params:
        dtype = params["bias"].dtype
        wide = norms_of(g[:0]).dtype
        to_params["bias"] = jnp.sum(g.astype(wide), axis=0).astype(dtype)
    to_x = g @ params["kernel"].astype(g.dtype).T
    return to_params, to_x, norms_of(g).astype(like.dtype), None


def _weighed(rows: Rows, g: jax.Array) -> jax.Array:
    """The chosen rows of the gradient, each times its weight."""
    weight = rows.weight[:, None]
    return (g[rows.index].astype(weight.dtype) * weight).astype(g.dtype)


_sampled.defvjp(_forward, _backward)
