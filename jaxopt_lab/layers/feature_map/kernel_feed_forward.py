"""Dense layer and activation in one, on random features of the input (SNNK)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.options import COUNT, POSITIVE, STATIC, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Params
from jaxopt_lab.layers.feature_map.random_features import (
    FINITE,
    WORD,
    Kernel,
    gaussian_projection,
    kernel_features,
)
from jaxopt_lab.layers.masks import over_features, without_padding

LECUN = jax.nn.initializers.lecun_normal()


def kernel_feed_forward(
    features: Annotated[int, COUNT],
    *,
    out: Annotated[int | None, COUNT] = None,
    num_features: Annotated[int, COUNT] = 64,
    kernel: Kernel = "relu",
    threshold: Annotated[float, FINITE, STATIC] = 0.0,
    radius: Annotated[float | None, POSITIVE] = None,
    seed: Annotated[int, WORD] = 0,
    layer: Annotated[int, WORD] = 0,
    kernel_init: Callable[..., jax.Array] = LECUN,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Product of constant random features of the input with a trained matrix.

    .. math:: y = \Psi\, \Phi(x) \approx f(W x), \qquad \Phi: R^d \to R^m

    in place of a dense layer W and its activation f: ``out x m`` parameters instead of
    ``out x d``. :math:`\Psi` begins as the features of a first W and is trained
    itself; W is not kept. ``bundle`` and ``solve_bundled`` join such layers.

    Args:
      features: size of the last axis of the input, d.
      out: size of the last axis of the output; ``None``: as the input.
      num_features: m.
      kernel: function that the products estimate, of ``kernel_features``: ``"relu"``,
        ``"cosine"`` or ``"linear"``.
      threshold: of relu's features.
      radius: norm that inputs and first weights are scaled to; ``None``: they are not.
        Keep it near 1 with ``"cosine"``, whose features grow as
        :math:`e^{|x|^2 / 2}`.
      seed: of the projection, a whole number of 32 bits.
      layer: a number that tells the layers of one seed apart.
      kernel_init: initializer of the first W, ``(d, out)``.
      param_dtype: type of the parameters.

    Returns:
      ``init(key) -> ({"weights": (out, m)}, {})`` and ``apply(params, state, x, *,
      train, key=None, axis_name=None, mask=None) -> (y, state)``. ``mask``, of the
      leading axes of ``x``, is 0 for padding, which gives 0. Training and evaluation
      are the same.

    Raises:
      InputError: an argument is out of range; at the call, the input does not fit.

    Nothing but the input is kept for the gradient: the backward pass makes the
    features once more. Sums are float32 for narrower types. The reference draws
    the features of a sequence without the half of :math:`|x|^2 / 2`; here they are
    those of the formula.

    Source: Sehanobish et al., "Scalable Neural Network Kernels", 2023
    (https://arxiv.org/abs/2310.13225).

    >>> layer = kernel_feed_forward(4, out=2, num_features=8)
    >>> start = layer.init(jax.random.key(0))
    >>> layer.apply(*start, jnp.ones((1, 4)), train=True)[0].shape
    (1, 2)
    """
    given = {n: v for n, v in locals().items() if n != "kernel_init"}
    check_arguments(kernel_feed_forward, given)
    outputs = features if out is None else out

    def mapped(v: jax.Array, of: Any) -> jax.Array:
        drawn = gaussian_projection(
            seed, num_features, features, layer=layer, dtype=v.dtype
        )
        options: Any = {"kernel": kernel, "threshold": threshold, "radius": radius}
        return kernel_features(v, drawn, of=of, **options)

    @jax.checkpoint
    def product(weights: jax.Array, x: jax.Array) -> jax.Array:
        wide = x.astype(accumulation_dtype(x.dtype))
        y = mapped(wide, "inputs") @ weights.astype(wide.dtype).T
        return y.astype(x.dtype)

    def init(key: jax.Array) -> tuple[dict[str, jax.Array], Any]:
        # The features of weights are drawn in the type of the sums, and rounded once.
        wide = accumulation_dtype(jnp.dtype(param_dtype))
        first = kernel_init(key, (features, outputs), wide).T
        return {"weights": mapped(first, "weights").astype(param_dtype)}, {}

    def apply(params: Params, x: jax.Array, mask: jax.Array | None) -> jax.Array:
        valid = over_features("kernel_feed_forward", x, features, mask)
        y = product(params["weights"], without_padding(x, valid))
        return without_padding(y, valid)

    return stateless_layer(init, apply)


def bundled_linear(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    r"""One matrix :math:`\Psi G / \sqrt m`, what is left of linear features of seed 0.

    Args:
      params: of ``kernel_feed_forward``.
      x: ``(..., features)``.

    Returns:
      ``(..., out)``.
    """
    psi = params["weights"]
    count = psi.shape[1]
    drawn = gaussian_projection(0, count, x.shape[-1], dtype=x.dtype)
    return x @ (psi.astype(x.dtype) @ drawn).T / jnp.sqrt(jnp.asarray(count, x.dtype))
