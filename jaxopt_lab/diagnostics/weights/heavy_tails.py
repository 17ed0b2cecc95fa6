"""Power-law exponents of weight spectra, corrected for the aspect ratio (FARMS)."""
# Its examples wait for pytest --full.

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.sharding import NamedSharding, PartitionSpec

from jaxopt_lab.core import errors, trees
from jaxopt_lab.core.checks import check_positive_count
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.typing import MaskOrFn, Params
from jaxopt_lab.diagnostics.weights.power_law import (
    Fit,
    SpectrumMetrics,
    nan_unless_finite,
    spectrum_metrics,
    squared_singular_values,
)

Sampling = Literal["farms", "full"]
Blocks = Literal["all", "official"]


def _starts(length: int, window: int, windows: int, stride: int | None) -> list[int]:
    free = length - window
    if stride is not None:
        return [i * stride for i in range(free // stride + 1)]
    step = max(1, free // max(1, windows - 1))
    return [i * step for i in range(min(windows, free // step + 1))]


def farms_eigenvalues(
    matrix: jax.Array,
    *,
    rows: int | None = None,
    aspect: float = 1.0,
    windows: int = 9,
    stride: int | None = None,
) -> jax.Array:
    r"""Squared singular values of many windows of one aspect ratio, pooled (FARMS).

    The spectrum of a random matrix depends on its aspect ratio alone, and a fit of
    its tail mistakes that for a heavier or lighter tail; windows of one ratio are
    comparable between layers. They have r rows and ``floor(r Q)`` columns. With a
    fixed number o of them for a dimension of length m, the step is
    ``s = max(1, floor((m - r) / (o - 1)))``, and they begin at ``i s``.

    Args:
      matrix: ``(m, n)``, in the papers' orientation, outputs by inputs.
      rows: r; lowered to the largest that fits the matrix at the ratio. Default: half
        of that.
      aspect: Q, columns per row.
      windows: o, their number for each dimension, fewer where they would coincide; not
        used with ``stride``.
      stride: a fixed step in both dimensions instead.

    Returns:
      All of them, ascending, float32 or better; all NaN where a weight is not finite.
      Memory: 8 windows at a time.

    Raises:
      InputError: no matrix, no whole or no positive number, or a ratio for which the
        matrix has no window.

    Decisions: the official code takes 100 rows whatever the matrix has. In its image
    version the windows then begin at negative indices, come out with another ratio,
    without notice; its language version lowers them, as we do.

    >>> farms_eigenvalues(jnp.ones((6, 4)), rows=2, stride=2).shape
    (12,)

    Reference: Hu, Goel, Killiakov and Yang, "Eigenspectrum Analysis of Neural Networks
    without Aspect Ratio Bias" (FARMS), ICML 2025, arXiv:2506.06280. Code compared:
    HUST-AI-HYZ/FARMS.
    """
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise InputError(f"a matrix with elements is needed; got shape {matrix.shape}")
    _check_aspect(aspect)
    check_positive_count("windows", windows)
    if stride is not None:
        check_positive_count("stride", stride)
    if rows is not None:
        check_positive_count("rows", rows)
    m, n = matrix.shape
    room = min(m, math.floor(n / aspect + 1e-9))
    height = min(room, max(1, room // 2) if rows is None else rows)
    width = math.floor(height * aspect + 1e-9)
    if height < 1 or width < 1:
        raise InputError(
            f"a {m} by {n} matrix has no window of {aspect:g} columns per row"
        )
    corners = jnp.array(
        [
            (i, j)
            for i in _starts(m, height, windows, stride)
            for j in _starts(n, width, windows, stride)
        ],
        jnp.int32,
    )

    def one(corner: jax.Array) -> jax.Array:
        window = jax.lax.dynamic_slice(matrix, (corner[0], corner[1]), (height, width))
        return squared_singular_values(window)

    values = jnp.sort(jax.lax.map(one, corners, batch_size=8).ravel())
    # No window may hold the weight.
    return nan_unless_finite(values, matrix)


def farms_blocks(
    kernel: jax.Array, *, aspect: float = 1.0, blocks: Blocks = "all"
) -> jax.Array:
    """FARMS for a convolution: blocks of rows, pooled over the kernel's positions.

    Each position of the kernel is a matrix, turned so that it has no fewer rows than
    columns. It is cut along its rows into blocks of ``c / Q`` by c (``Q > 1``) or c by
    ``c Q``, c its number of columns; blocks at the same place are pooled.

    Args:
      kernel: ``(..., I, O)``, any number of spatial axes in front, as flax has it.
      aspect: Q, columns per row.
      blocks: ``"all"`` that fit; or ``"official"``, the first ``floor(rows / c)``.

    Returns:
      ``(blocks, values)``, ascending in each block; one exponent is fitted to each.

    Raises:
      InputError: fewer than three axes or no elements, or an unknown name.

    Decisions: the two agree up to ``Q = 1``. Above it the official code steps by
    ``c / Q`` rows but counts blocks of c, so that with ``Q = 2`` half of the kernel is
    not used. It also scales by the root of a half, which changes no exponent; we do
    not.
    """
    if kernel.ndim < 3 or 0 in kernel.shape:
        raise InputError(
            "a convolution's kernel (..., inputs, outputs) is needed; got shape "
            f"{kernel.shape}"
        )
    _check_aspect(aspect)
    if blocks not in get_args(Blocks):
        raise errors.unknown("blocks", blocks, get_args(Blocks))
    matrices = kernel.reshape(-1, *kernel.shape[-2:]).mT
    if matrices.shape[1] < matrices.shape[2]:
        matrices = matrices.mT
    rows, cols = matrices.shape[1:]
    height = max(1, math.floor(cols / max(aspect, 1.0) + 1e-9))
    width = max(1, math.floor(cols * min(aspect, 1.0) + 1e-9))
    count = rows // (height if blocks == "all" else cols)
    pieces = matrices[:, : count * height, :width]
    pieces = pieces.reshape(-1, count, height, width).swapaxes(0, 1)
    values = jnp.sort(squared_singular_values(pieces).reshape(count, -1), axis=1)
    return nan_unless_finite(values, kernel)


def layer_spectrum(
    kernel: jax.Array,
    *,
    sampling: Sampling = "farms",
    fit: Fit = "median",
    aspect: float = 1.0,
    rows: int | None = None,
    windows: int = 9,
    stride: int | None = None,
    blocks: Blocks = "all",
) -> SpectrumMetrics:
    """Metrics of the spectrum of one kernel; ``alpha`` is its heavy-tail exponent.

    Args:
      kernel: ``(inputs, outputs)``, or ``(..., inputs, outputs)`` with the spatial axes
        of a convolution in front. A kernel of attention with the axis of the heads
        last must be reshaped to a matrix first.
      sampling: ``"farms"``: windows (``farms_eigenvalues``) or, for a convolution,
        blocks (``farms_blocks``, every metric a mean over them, counts added up);
        ``"full"``: the whole matrix, the positions of a convolution pooled.
      fit: see ``spectrum_metrics``.
      aspect: Q, columns per row of windows and blocks.
      rows: of a window; see ``farms_eigenvalues``, as for the next two.
      windows: their number for each dimension.
      stride: a fixed step instead.
      blocks: see ``farms_blocks``.

    Returns:
      The metrics. Only static shapes decide the program: it can be jitted.

    Raises:
      InputError: the kernel is no matrix, or an option is refused.

    >>> W = jax.random.normal(jax.random.key(0), (50, 200))
    >>> plain = layer_spectrum(W, sampling="full").alpha
    >>> bool(plain > 3), bool(layer_spectrum(W).alpha < 2.3)
    (True, True)
    """
    if sampling not in get_args(Sampling):
        raise errors.unknown("sampling", sampling, get_args(Sampling))
    if kernel.ndim < 2 or 0 in kernel.shape:
        raise InputError(
            f"a kernel (..., inputs, outputs) is needed; got shape {kernel.shape}"
        )
    if sampling == "full":
        values = nan_unless_finite(squared_singular_values(kernel), kernel)
        return spectrum_metrics(values, fit)
    if kernel.ndim == 2:
        values = farms_eigenvalues(
            kernel.T, rows=rows, aspect=aspect, windows=windows, stride=stride
        )
        return spectrum_metrics(values, fit)
    values = farms_blocks(kernel, aspect=aspect, blocks=blocks)
    each = jax.lax.map(lambda v: spectrum_metrics(v, fit), values)
    mean = jax.tree.map(lambda v: jnp.mean(v, axis=0), each)
    return mean._replace(
        tail=jnp.sum(each.tail, dtype=jnp.int32),
        count=jnp.sum(each.count, dtype=jnp.int32),
    )


def gathered(kernel: jax.Array) -> jax.Array:
    """A kernel replicated on every device, as singular values need all of it.

    Args:
      kernel: any array.

    Returns:
      The same; one that is sharded by name is copied, others are passed on.
    """
    if isinstance(kernel, Tracer) or not isinstance(kernel, jax.Array):
        return kernel
    if not isinstance(kernel.sharding, NamedSharding):
        return kernel
    return jax.device_put(kernel, NamedSharding(kernel.sharding.mesh, PartitionSpec()))


def layer_spectra(
    params: Params, *, mask: MaskOrFn | None = None, **options: Any
) -> dict[str, SpectrumMetrics]:
    """``layer_spectrum`` of every kernel of a parameter tree, by its path.

    Args:
      params: the parameters; leaves with fewer than two axes are left out.
      mask: leaves to use. Default: all.
      **options: as for ``layer_spectrum``.

    Returns:
      Path to metrics, in the order of the tree.

    >>> sorted(layer_spectra({"dense": {"kernel": jnp.eye(4), "bias": jnp.ones(4)}}))
    ['dense/kernel']
    """
    chosen = jax.tree.leaves(trees.resolve_mask(mask, params))
    pairs = zip(trees.leaves_with_path(params), chosen, strict=True)
    return {
        trees.path_name(path): layer_spectrum(gathered(jnp.asarray(leaf)), **options)
        for (path, leaf), wanted in pairs
        if wanted and jnp.ndim(leaf) >= 2 and jnp.size(leaf)
    }


def _check_aspect(aspect: float) -> None:
    number = known_number(aspect)
    if number is None or not 0 < number < math.inf:
        raise InputError(f"aspect must be a positive number; got {aspect!r}")
