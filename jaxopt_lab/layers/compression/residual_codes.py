"""Residual vector quantization: each table codes what those before it left."""
# Its examples wait for pytest --full.

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, NON_NEGATIVE, POSITIVE, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.layers.compression.codebook import code_scores, straight_through


class ResidualCodes(NamedTuple):
    """A quantized array.

    Attributes:
      out: shape and type of the input.
      codes: int32 ``(..., stages)``, with groups ``(..., groups, stages)``.
      loss: scalar, float32, float64 for float64.
    """

    out: jax.Array
    codes: jax.Array
    loss: jax.Array


def residual_vector_quantize(
    x: jax.Array,
    codebooks: jax.Array,
    *,
    commitment: Annotated[float, NON_NEGATIVE] = 0.25,
    through_codes: bool = False,
    where: jax.Array | None = None,
) -> ResidualCodes:
    r"""The sum of the nearest codes of one table after another.

    .. math:: e_i = \arg\min_{c \in C_i} |r_i - c|, \qquad r_1 = x, \quad
        r_{i+1} = r_i - e_i, \qquad y = \sum_i e_i,

    with a straight-through gradient: that of x is that of y. The loss, to be added to
    that of the task, is the mean over positions of

    .. math:: \sum_i |\mathrm{sg}(r_i) - e_i|^2 + \beta |r_i - \mathrm{sg}(e_i)|^2,

    in which no table sees the residuals behind it.

    Args:
      x: ``(..., d)``, real floating.
      codebooks: ``(stages, K, d)``; or ``(groups, stages, K, d / groups)``: tables of
        its own for each of consecutive parts of the features. ``codebooks[:n]`` is a
        code of fewer bits.
      commitment: :math:`\beta`.
      through_codes: whether the gradient of y reaches the tables as well.
      where: true where a position counts in the loss, of the leading axes; ``None``:
        all.

    Returns:
      y, the codes and the loss. With 0 in every table no stage enlarges a residual,
      and more stages are never worse; without, a stage can. Coding y again gives the
      same codes for one stage, and may give others for several.

    Raises:
      InputError: the features do not fit, or an argument is out of range.

    Distances are float32 (float64 for float64): ``positions * groups * K`` numbers at
    a time. Kept for the gradient of y: nothing; with ``through_codes`` the codes.

    Source: Zeghidour et al., "SoundStream", 2021 (https://arxiv.org/abs/2107.03312);
    Yang et al., "HiFi-Codec", 2023 (https://arxiv.org/abs/2305.02765), for groups.

    >>> books = jnp.array([[[0.0], [4.0]], [[0.0], [1.0]]])
    >>> y, codes, loss = residual_vector_quantize(jnp.array([[4.8], [0.1]]), books)
    >>> y.tolist(), codes.tolist()
    ([[5.0], [0.0]], [[1, 1], [0, 0]])
    """
    check_arguments(residual_vector_quantize, locals())
    tables = _tables(codebooks, x)
    groups, stages, _, width = tables.shape
    leading = x.shape[:-1]
    if where is not None and jnp.shape(where) != leading:
        raise InputError(f"where must have the shape {leading}; got {jnp.shape(where)}")
    wide = accumulation_dtype(x.dtype)
    residual = x.reshape(*leading, groups, width).astype(wide)
    beta = jnp.asarray(commitment, wide)
    chosen, codes = jnp.zeros_like(residual), []
    squares = jnp.zeros(leading, wide)
    for i in range(stages):
        still = jax.lax.stop_gradient(residual)
        table = tables[:, i]
        scores = code_scores(jax.lax.stop_gradient(table), still, "euclidean")
        codes.append(jnp.argmax(scores, axis=-1).astype(jnp.int32))
        code = _taken(table, codes[-1]).astype(wide)
        fixed = jax.lax.stop_gradient(code)
        own = jnp.square(still - code) + beta * jnp.square(residual - fixed)
        squares = squares + jnp.sum(own, axis=(-2, -1))
        chosen = chosen + (code if through_codes else fixed)
        residual = residual - fixed
    y = chosen.reshape(x.shape).astype(x.dtype)
    every = jnp.stack(codes, axis=-1)
    return ResidualCodes(
        straight_through(y, x),
        every if codebooks.ndim == 4 else every[..., 0, :],
        _mean(squares, where),
    )


def decode_residual_codes(codes: jax.Array, codebooks: jax.Array) -> jax.Array:
    """The vectors that codes stand for.

    Args:
      codes: integers ``(..., stages)``, with groups ``(..., groups, stages)``; of
        fewer stages than the tables: the first ones.
      codebooks: of ``residual_vector_quantize``.

    Returns:
      ``(..., d)``, of the type of the tables.

    Raises:
      InputError: shapes do not fit.

    >>> books = jnp.array([[[0.0], [4.0]], [[0.0], [1.0]]])
    >>> decode_residual_codes(jnp.array([[1, 1], [1, 0]]), books).tolist()
    [[5.0], [4.0]]
    """
    tables = codebooks if codebooks.ndim == 4 else codebooks[None]
    ids = codes if codebooks.ndim == 4 else codes[..., None, :]
    groups, stages, _, width = tables.shape
    if ids.ndim < 2 or ids.shape[-2] != groups or not 0 < ids.shape[-1] <= stages:
        raise InputError(
            f"codes {codes.shape} do not fit codebooks {codebooks.shape}; accepted: "
            "(..., stages), with groups (..., groups, stages)"
        )
    found = sum(_taken(tables[:, i], ids[..., i]) for i in range(ids.shape[-1]))
    return jnp.asarray(found).reshape(*ids.shape[:-2], groups * width)


def bit_rate(
    frames: Annotated[float, POSITIVE],
    *,
    stages: Annotated[int, COUNT],
    size: Annotated[int, COUNT],
    groups: Annotated[int, COUNT] = 1,
) -> float:
    """Bits a second of residual codes.

    Args:
      frames: positions a second.
      stages: number of stages.
      size: codes of a table.
      groups: number of groups.

    Returns:
      ``frames * groups * stages * log2(size)``.

    >>> bit_rate(50.0, stages=2, size=16)
    400.0
    """
    check_arguments(bit_rate, locals())
    return frames * groups * stages * math.log2(size)


def _tables(codebooks: jax.Array, x: jax.Array) -> jax.Array:
    if codebooks.ndim not in (3, 4):
        raise InputError(
            "codebooks must be (stages, K, d) or (groups, stages, K, d / groups); got "
            f"{codebooks.shape}"
        )
    tables = codebooks if codebooks.ndim == 4 else codebooks[None]
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise InputError(f"residual_vector_quantize takes real floats; got {x.dtype}")
    groups, _, _, width = tables.shape
    if x.ndim < 1 or x.shape[-1] != groups * width:
        raise InputError(
            f"the last axis of x must be {groups} * {width} for codebooks "
            f"{codebooks.shape}; got {x.shape}"
        )
    return tables


def _taken(table: jax.Array, ids: jax.Array) -> jax.Array:
    """``(..., groups, width)`` of a table ``(groups, K, width)``."""
    groups = jnp.arange(table.shape[0]).reshape((1,) * (ids.ndim - 1) + (-1,))
    return table[groups, ids]


def _mean(squares: jax.Array, where: ArrayLike | None) -> jax.Array:
    if where is None:
        return jnp.mean(squares) if squares.size else jnp.zeros((), squares.dtype)
    counts = jnp.asarray(where).astype(bool)
    total = jnp.maximum(jnp.sum(counts.astype(squares.dtype)), 1)
    return jnp.sum(jnp.where(counts, squares, 0)) / total
