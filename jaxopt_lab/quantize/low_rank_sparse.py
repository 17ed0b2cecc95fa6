"""Matrices as a product of two thin ones and a few whole rows (MC-SMoE)."""
# Its examples wait for pytest --full.

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.options import SHARE, STATIC, UNIT, check_arguments
from jaxopt_lab.quantize.report import (
    QuantizerReport,
    calibration_error,
    check_gram,
    check_values,
)


class LowRankSparse(NamedTuple):
    """A matrix :math:`L R + S`, S of a few rows. Also stacked, by a leading axis.

    Attributes:
      left: L, ``(outputs, rank)``.
      right: R, ``(rank, inputs)``.
      rows: numbers of the rows of S, rising, int32, ``(kept,)``.
      values: their values, ``(kept, inputs)``.
    """

    left: jax.Array
    right: jax.Array
    rows: jax.Array
    values: jax.Array

    def dequantize(self) -> jax.Array:
        """The matrix."""
        if self.left.ndim > 2:
            return jax.vmap(LowRankSparse.dequantize)(self)
        product = jnp.matmul(self.left, self.right, precision="highest")
        return product.at[self.rows].add(self.values)

    def product(self, x: jax.Array) -> jax.Array:
        """``x @ dequantize().T`` by the parts: rank (m + n) + kept n products each.

        Args:
          x: ``(..., inputs)``.

        Returns:
          ``(..., outputs)``.
        """
        thin = (x @ self.right.T) @ self.left.T
        return thin.at[..., self.rows].add(x @ self.values.T)


def low_rank_sparse(
    weight: jax.Array,
    gram: jax.Array | None = None,
    codec: Any = None,
    *,
    ratio: Annotated[float, SHARE, STATIC] = 0.25,
    keep: Annotated[float, UNIT, STATIC] = 0.25,
) -> tuple[LowRankSparse, QuantizerReport]:
    r"""The singular vectors of the largest values, and rows of what they leave over.

    .. math::
        W \approx U_r \sqrt{\Sigma_r} \; \sqrt{\Sigma_r} V_r^\top + S, \qquad
        r = \lceil \rho \, mn / (m + n) \rceil,

    where S has the rows of :math:`W - L R` in which the outputs are furthest off, so
    that the error never exceeds that of L R alone and is the smallest for as many rows.

    Args:
      weight: W, ``(outputs, inputs)``, m by n.
      gram: :math:`X^\top X` of the inputs, which weighs the rows; ``None``: the
        identity.
      codec: not used; ``quantize_params`` hands one over.
      ratio: :math:`\rho`, entries of both factors over those of W.
      keep: share of the rows that S has, to the nearest number; 0: none.

    Returns:
      The parts, in float32 (float64 for float64), and the report, whose
      ``nearest_error`` is that of L R alone and whose bytes count four for the number
      of a row.

    Raises:
      InputError: no real floating matrix, a gram matrix that does not fit, values that
        are not finite, or an argument out of range.

    It has no row among the quantizers: there are no codes. It is the ``quantize`` of a
    ``Rule`` all the same. Where it begins to be trained, ``prune_rows`` finds the rows
    by their gradients. Cost: one singular value decomposition; no derivative.

    Source: Li et al., "Merge, Then Compress: Demystify Efficient SMoE with Hints from
    Its Routing Policy", arXiv:2310.01334, and its code, which starts from all rows.

    >>> w = jnp.array([[1.0, 1.0], [2.0, 2.0], [0.0, 3.0]])
    >>> found, report = low_rank_sparse(w, ratio=0.5, keep=0.34)
    >>> found.left.shape, found.rows.shape, bool(report.error < report.nearest_error)
    ((3, 1), (1,), True)
    """
    check_arguments(low_rank_sparse, locals())
    del codec
    weight = jnp.asarray(weight)
    if weight.ndim != 2 or not jnp.issubdtype(weight.dtype, jnp.floating):
        raise InputError(
            "weight of low_rank_sparse must be a real floating matrix; got "
            f"{weight.dtype} of shape {weight.shape}"
        )
    if gram is not None:
        check_gram(gram, weight.shape[1])
    check_values("low_rank_sparse", weight=weight, gram=gram)
    return _decomposed(weight, gram, ratio, keep)


@functools.partial(jax.jit, static_argnums=(2, 3))
def _decomposed(
    weight: jax.Array, gram: jax.Array | None, ratio: float, keep: float
) -> tuple[LowRankSparse, QuantizerReport]:
    m, n = weight.shape
    rank = min(math.ceil(ratio * m * n / (m + n)), m, n)
    count = round(keep * m)
    dtype = trees.accumulation_dtype(weight.dtype)
    wide = jax.lax.stop_gradient(weight.astype(dtype))
    u, s, v = jnp.linalg.svd(wide, full_matrices=False)
    root = jnp.sqrt(s[:rank])
    left, right = u[:, :rank] * root[None], root[:, None] * v[:rank]
    rest = wide - jnp.matmul(left, right, precision="highest")
    off = rest * (rest if gram is None else rest @ gram.astype(dtype))
    rows = jnp.sort(jax.lax.top_k(jnp.sum(off, axis=1), count)[1]).astype(jnp.int32)
    found = LowRankSparse(left, right, rows, rest[rows])
    error, alone = (
        calibration_error(wide, values, gram)
        for values in (found.dequantize(), wide - rest)
    )
    # The rounding of a sum could tell more of the same.
    error = jnp.minimum(error, alone)
    nbytes = (rank * (m + n) + count * n) * dtype.itemsize + 4 * count
    return found, QuantizerReport(error, alone, nbytes)


def compress_experts(
    experts: Mapping[str, jax.Array],
    *,
    ratio: Annotated[float, SHARE, STATIC] = 0.25,
    keep: Annotated[float, UNIT, STATIC] = 0.25,
) -> dict[str, Any]:
    """Merged experts with each kernel as a low-rank product and a few rows.

    Args:
      experts: ``"wi"``, ``(experts, inputs, hidden)``, ``"wo"``, ``(experts, hidden,
        outputs)``, of ``merge_experts``; entries of other than three axes stay.
      ratio: as of ``low_rank_sparse``.
      keep: as of ``low_rank_sparse``; rows are the outputs of a kernel.

    Returns:
      ``LowRankSparse`` of the transposed kernels, stacked by expert.

    Raises:
      InputError: as of ``low_rank_sparse``.

    >>> found = compress_experts({"wi": jnp.ones((2, 3, 4)), "bias": jnp.ones((2, 4))})
    >>> found["wi"].left.shape, found["bias"].shape
    ((2, 4, 1), (2, 4))
    """
    check_arguments(compress_experts, locals())

    def one(kernel: jax.Array) -> LowRankSparse:
        return low_rank_sparse(kernel.T, ratio=ratio, keep=keep)[0]

    made: dict[str, Any] = {}
    for name, kernel in experts.items():
        known = known_values(kernel)
        if known is not None and not np.isfinite(known).all():
            raise InputError(f"{name}: weight of low_rank_sparse must be finite")
        made[name] = jax.vmap(one)(kernel) if jnp.ndim(kernel) == 3 else kernel
    return made


def expert_kernels(compressed: Mapping[str, Any]) -> dict[str, Any]:
    """The kernels that compressed experts stand for, ``(experts, inputs, outputs)``.

    Args:
      compressed: of ``compress_experts``.

    Returns:
      Parameters of the layer ``mixture_of_experts``.

    >>> found = compress_experts({"wi": jnp.ones((2, 3, 4))}, keep=1.0)
    >>> expert_kernels(found)["wi"].shape
    (2, 3, 4)
    """
    return {
        name: jnp.swapaxes(w.dequantize(), -1, -2)
        if isinstance(w, LowRankSparse)
        else w
        for name, w in compressed.items()
    }
