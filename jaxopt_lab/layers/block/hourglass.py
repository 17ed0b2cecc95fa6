"""Hourglass blocks: residuals between wide skips, through narrow bottlenecks."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.options import (
    COUNT,
    COUNT_OR_ZERO,
    POSITIVE,
    STATIC,
    check_arguments,
)
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Params
from jaxopt_lab.layers.feature_map.random_features import WORD, host_normal
from jaxopt_lab.layers.masks import over_features, without_padding
from jaxopt_lab.layers.norm.last_axis import normalized

Activation = Literal["gelu", "relu", "silu", "tanh"]
Lift = Literal["normal", "orthogonal", "identity", "trained"]
LECUN = jax.nn.initializers.lecun_normal()


def hourglass_block(
    down: jax.Array,
    up: jax.Array,
    z: jax.Array,
    *,
    activation: Activation = "gelu",
    norm: Literal["layer", "rms"] = "layer",
    eps: Annotated[float, POSITIVE, STATIC] = 1e-5,
) -> jax.Array:
    r"""One residual block through a bottleneck.

    .. math:: z + \sigma(n(z) W_1) W_2

    Args:
      down: :math:`W_1`, ``(skip, bottleneck)``.
      up: :math:`W_2`, ``(bottleneck, skip)``; the Jacobian of the block less the
        identity has at most the rank of the bottleneck.
      z: ``(..., skip)``.
      activation: :math:`\sigma`.
      norm: n, to mean 0 and variance 1 or to mean square 1, without parameters, in
        float32 for narrower types.
      eps: added under its root.

    Returns:
      As ``z``.

    Raises:
      InputError: an argument is unknown or out of range.

    >>> up = jnp.zeros((1, 3))
    >>> hourglass_block(jnp.ones((3, 1)), up, jnp.array([[1.0, 2.0, 4.0]])).tolist()
    [[1.0, 2.0, 4.0]]
    """
    options = {"activation": activation, "norm": norm, "eps": eps}
    check_arguments(hourglass_block, options)
    wide = z.astype(accumulation_dtype(z.dtype))
    n = normalized(wide, eps, centred=norm == "layer").astype(z.dtype)
    act = jnp.tanh if activation == "tanh" else getattr(jax.nn, activation)
    return z + act(n @ down.astype(z.dtype)) @ up.astype(z.dtype)


def hourglass(
    features: Annotated[int, COUNT],
    *,
    skip: Annotated[int | None, COUNT] = None,
    bottleneck: Annotated[int, COUNT] = 16,
    out: Annotated[int | None, COUNT] = None,
    depth: Annotated[int, COUNT_OR_ZERO] = 4,
    lift: Lift = "normal",
    activation: Activation = "gelu",
    norm: Literal["layer", "rms"] = "layer",
    zero: bool = True,
    eps: Annotated[float, POSITIVE, STATIC] = 1e-5,
    seed: Annotated[int, WORD] = 0,
    layer: Annotated[int, WORD] = 0,
    kernel_init: Callable[..., jax.Array] = LECUN,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Perceptron of residual blocks whose skips are wider than their inner layers.

    .. math:: z_0 = x W_{\text{in}}, \qquad
        z_{i+1} = z_i + \sigma(n(z_i) W_{1,i}) W_{2,i}, \qquad y = z_K W_{\text{out}}

    The lift :math:`W_{\text{in}}` is constant, made from ``seed``, unless trained: no
    parameter, and nothing in a checkpoint. With ``lift="identity"`` and the skip of the
    features it is the conventional perceptron, bottlenecks then mostly wider.

    Args:
      features: size of the last axis of the input.
      skip: size of the residual stream; ``None``: four times ``features``.
      bottleneck: inner size of a block.
      out: size of the output; ``None``: as the input.
      depth: K, the number of blocks.
      lift: ``"normal"``, numbers of variance one over the features, which keeps the
        mean square on average; ``"orthogonal"``, orthonormal rows, which keep all inner
        products; ``"identity"``, the features and zeros behind them; ``"trained"``.
      activation: of ``hourglass_block``.
      norm: of ``hourglass_block``.
      zero: :math:`W_2` begins at 0, the blocks as identities; False: as ``kernel_init``
        says, over the root of the depth.
      eps: of ``hourglass_block``.
      seed: of the constant lift, a whole number of 32 bits.
      layer: a number that tells the layers of one seed apart.
      kernel_init: initializer of the kernels.
      param_dtype: type of the parameters.

    Returns:
      ``init(key) -> (params, {})`` with ``down`` ``(K, skip, bottleneck)``, ``up``
      ``(K, bottleneck, skip)``, ``out`` ``(skip, out)`` and, trained, ``lift``; and
      ``apply(params, state, x, *, train, key=None, axis_name=None, mask=None) -> (y,
      state)`` for ``x`` of ``(..., features)``. ``mask``, of the leading axes of ``x``,
      is 0 for padding, which gives 0. Training and evaluation are the same.

    Raises:
      InputError: an argument is out of range, or ``skip`` is below ``features`` where
        the lift is orthogonal or the identity; at the call, the input does not fit.

    The blocks are one loop. A block sees the direction of z alone, not its scale. The
    paper's distribution of the lift is unknown: the variance is ours. Compare networks
    at equal trained and at equal total numbers of parameters, ``hourglass_size``.

    Source: Chen et al., "Rethinking the shape convention of an MLP", 2025
    (https://arxiv.org/abs/2510.01796), from the abstract; the block is ours.

    >>> layer = hourglass(2, lift="identity", kernel_init=jax.nn.initializers.ones)
    >>> start = layer.init(jax.random.key(0))
    >>> layer.apply(*start, jnp.array([[1.0, 2.0]]), train=True)[0].tolist()
    [[3.0, 3.0]]
    """
    given = {n: v for n, v in locals().items() if n != "kernel_init"}
    check_arguments(hourglass, given)
    width, outputs = skip or 4 * features, out or features
    if lift in ("orthogonal", "identity") and width < features:
        raise InputError(
            f"skip must be at least the features, {features}, for lift={lift!r}; got "
            f"{width}"
        )

    def init(key: jax.Array) -> tuple[dict[str, jax.Array], Any]:
        keys = [jax.random.fold_in(key, i) for i in range(2 + 2 * depth)]
        draw = lambda i, shape: kernel_init(keys[i], shape, param_dtype)
        down = [draw(2 + 2 * i, (width, bottleneck)) for i in range(depth)]
        up = jnp.zeros((depth, bottleneck, width), param_dtype)
        if not zero and depth:
            each = [draw(3 + 2 * i, (bottleneck, width)) for i in range(depth)]
            up = (jnp.stack(each) / depth**0.5).astype(param_dtype)
        empty = jnp.zeros((0, width, bottleneck), param_dtype)
        params = {"down": jnp.stack(down) if depth else empty, "up": up}
        params["out"] = draw(0, (width, outputs))
        if lift == "trained":
            params["lift"] = draw(1, (features, width))
        return params, {}

    def apply(params: Params, x: jax.Array, mask: jax.Array | None) -> jax.Array:
        valid = over_features("hourglass", x, features, mask)
        x = without_padding(x, valid)
        if lift == "trained":
            z = x @ params["lift"].astype(x.dtype)
        else:
            made = constant_lift(features, width, kind=lift, seed=seed, layer=layer)
            z = x @ jnp.asarray(made, x.dtype)

        def block(z: jax.Array, kernels: tuple[jax.Array, jax.Array]) -> Any:
            options: Any = {"activation": activation, "norm": norm, "eps": eps}
            return hourglass_block(*kernels, z, **options), None

        z, _ = jax.lax.scan(block, z, (params["down"], params["up"]))
        y = z @ params["out"].astype(x.dtype)
        return without_padding(y, valid)

    return stateless_layer(init, apply)


def constant_lift(
    features: Annotated[int, COUNT],
    skip: Annotated[int, COUNT],
    *,
    kind: Literal["normal", "orthogonal", "identity"] = "normal",
    seed: Annotated[int, WORD] = 0,
    layer: Annotated[int, WORD] = 0,
) -> np.ndarray:
    """The lift of ``hourglass`` that is not trained, made on the host.

    Args:
      features: rows.
      skip: columns.
      kind: of ``hourglass``.
      seed: of ``gaussian_projection``, whose bits are ours: the same on any device.
      layer: a number that tells the layers of one seed apart.

    Returns:
      ``(features, skip)``, float64.

    Raises:
      InputError: an argument is out of range.

    >>> constant_lift(2, 3, kind="identity").tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    check_arguments(constant_lift, locals())
    if kind == "identity":
        return np.eye(features, skip)
    normal = host_normal(seed, (features, skip), layer)
    if kind == "normal":
        return normal / np.sqrt(features)
    basis = np.linalg.qr(normal.T)[0].T
    # Of one sign, whatever the library of the factorization.
    return basis * np.sign(np.sum(basis * normal, axis=1, keepdims=True))


def conventional(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """A conventional residual perceptron: the layer with the skip of its input.

    Args:
      params: of ``hourglass``.
      x: ``(..., features)``.

    Returns:
      ``(..., out)``.
    """
    for down, up in zip(params["down"], params["up"], strict=True):
        mean = jnp.mean(x, axis=-1, keepdims=True)
        variance = jnp.var(x, axis=-1, keepdims=True)
        x = x + jax.nn.gelu((x - mean) / jnp.sqrt(variance + 1e-5) @ down) @ up
    return x @ params["out"]
