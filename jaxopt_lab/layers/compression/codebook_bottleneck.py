"""Layer that lets a few vectors of a table through."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.options import (
    COUNT,
    NON_NEGATIVE,
    POSITIVE,
    STATIC,
    check_arguments,
)
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Params
from jaxopt_lab.layers.compression.codebook import (
    CodebookLoss,
    Similarity,
    codebook_lookup,
)
from jaxopt_lab.layers.masks import over_features, without_padding
from jaxopt_lab.layers.norm.last_axis import along, normalized

KernelInit = Callable[..., jax.Array]


def codebook_bottleneck(
    features: Annotated[int, COUNT],
    *,
    size: Annotated[int, COUNT] = 1024,
    num_codes: Annotated[int, COUNT] = 1,
    groups: Annotated[int, COUNT] = 1,
    similarity: Similarity = "inner",
    loss: CodebookLoss = "base",
    beta: Annotated[float, NON_NEGATIVE, STATIC] = 0.25,
    affine: bool = True,
    eps: Annotated[float, POSITIVE, STATIC] = 1e-5,
    kernel_init: KernelInit | None = None,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Layer normalization, then ``codebook_lookup``.

    Args:
      features: size of the last axis.
      size: codes of each table, K.
      num_codes: codes whose mean is the output, at most K.
      groups: consecutive parts of the features, each with a table of its own (one a
        head of attention); divides ``features``.
      similarity: ``"inner"`` or ``"euclidean"``.
      loss: gradients of codes and input, as ``codebook_lookup`` lists them.
      beta: weight of the input's own pull towards its codes.
      affine: whether the normalization has a scale and a bias, as the released code.
      eps: of the normalization, above 0.
      kernel_init: of the codes, as jax's initializers; ``None``: standard normal
        numbers.
      param_dtype: type of the parameters.

    Returns:
      ``init(key) -> ({"codes"[, "scale", "bias"]}, {})`` and ``apply(params, state, x,
      *, train, key=None, axis_name=None, mask=None) -> (y, state)``; ``codes`` is
      ``(K, features)``, with groups ``(groups, K, features / groups)``. ``mask``, of
      the leading axes of ``x``, is 0 for padding, which gives 0. Training and
      evaluation are the same; the mean of a loss is over the positions of this
      device. The gradient of the input is straight-through, that of the codes (with
      ``loss="base"``) the one of the value. Numbers of the chosen codes:
      ``codebook_lookup`` on the normalized input.

    Raises:
      InputError: an argument is out of range, ``groups`` does not divide ``features``,
        or ``num_codes`` are not there.

    Kept for the gradient: three arrays of the size of ``x``, and the numbers.

    Source: Tamkin, Taufeeque and Goodman, "Codebook Features", 2023
    (https://arxiv.org/abs/2310.17230). Code read: taufeeque9/codebook-features.

    >>> layer = codebook_bottleneck(4, size=2, groups=2)
    >>> params, state = layer.init(jax.random.key(0))
    >>> y, _ = layer.apply(params, state, jnp.ones((3, 4)), train=True)
    >>> params["codes"].shape, y.shape
    ((2, 2, 2), (3, 4))
    """
    check_arguments(codebook_bottleneck, locals())
    if features % groups:
        raise InputError(
            f"groups must divide the {features} features; got groups={groups}"
        )
    if num_codes > size:
        raise InputError(f"num_codes={num_codes} of size={size} codes; at most {size}")
    shape = (size, features // groups)
    draw = jax.nn.initializers.normal(1.0) if kernel_init is None else kernel_init

    def init(key: jax.Array | None = None) -> tuple[Any, Any]:
        if key is None:
            raise InputError("codebook_bottleneck: init draws codes; pass it a key")
        table = shape if groups == 1 else (groups, *shape)
        params = {"codes": draw(key, table, param_dtype)}
        if affine:
            params["scale"] = jnp.ones(features, param_dtype)
            params["bias"] = jnp.zeros(features, param_dtype)
        return params, {}

    def apply(params: Params, x: jax.Array, mask: jax.Array | None) -> jax.Array:
        valid = over_features("codebook_bottleneck", x, features, mask)
        x = without_padding(x, valid)
        wide = accumulation_dtype(x.dtype)
        h = normalized(x.astype(wide), eps, centred=True)
        if affine:
            h = h * along(params["scale"], h) + along(params["bias"], h)
        where = None
        if valid is not None:
            where = jnp.broadcast_to(valid, (*x.shape[:-1], 1))[..., 0]
        y, _ = codebook_lookup(
            params["codes"],
            h,
            num_codes=num_codes,
            similarity=similarity,
            loss=loss,
            beta=beta,
            where=where,
        )
        y = y.astype(x.dtype)
        return without_padding(y, valid)

    return stateless_layer(init, apply)


def only_code(params: Any, x: jax.Array) -> jax.Array:
    """The one code at every position, what is left of a table of ``size=1``.

    Args:
      params: ``{"codes": (1, features)}``.
      x: ``(..., features)``.

    Returns:
      As ``x``.
    """
    return jnp.zeros_like(x) + along(params["codes"][0], x)
