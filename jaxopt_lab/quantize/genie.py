"""Genie for one matrix: rounding and step learned together on the gram matrix."""
# Its examples wait for pytest --full.

from __future__ import annotations

import functools
from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import (
    COUNT_OR_ZERO,
    NON_NEGATIVE,
    POSITIVE,
    STATIC,
    Interval,
    check_arguments,
)
from jaxopt_lab.core.qarray import QArray
from jaxopt_lab.core.typing import Scalar
from jaxopt_lab.quantize.genie_grid import GenieGrid
from jaxopt_lab.quantize.grid import Grid
from jaxopt_lab.quantize.joint_rounding import (
    SoftRounding,
    init_rounding,
    rounding_regularizer,
    rounding_schedule,
)
from jaxopt_lab.quantize.report import (
    QuantizerReport,
    calibration_error,
    check_gram,
    check_values,
)
from jaxopt_lab.quantize.round_to_nearest import GridName


def genie(
    weight: jax.Array,
    gram: jax.Array | None = None,
    codec: Grid | GridName = "genie",
    *,
    bits: Annotated[int, Interval(2, 8), STATIC] = 4,
    steps: Annotated[int, COUNT_OR_ZERO, STATIC] = 1000,
    rounding_rate: Annotated[Scalar, POSITIVE] = 1e-2,
    scale_rate: Annotated[Scalar, NON_NEGATIVE] = 1e-3,
    penalty: Annotated[Scalar, NON_NEGATIVE] = 1e-2,
) -> tuple[QArray, QuantizerReport]:
    r"""Each weight at one of its two codes, chosen with the step of its row by Adam.

    .. math::
        \frac{\mathrm{tr}((W - Q) G (W - Q)^\top)}{\mathrm{tr}(W G W^\top) / mn}
            + \lambda \sum 1 - |2 h(v) - 1|^\beta,

    with the soft weights Q and the penalty of ``joint_rounding``, the penalty from a
    fifth of the steps on. ``scale_rate=0`` is AdaRound, with a fixed step.

    Args:
      weight: W, ``(outputs, inputs)``, m by n.
      gram: G, :math:`X^\top X` of the inputs; ``None``: the identity.
      codec: ``"genie"`` or a ``GenieGrid`` by rows.
      bits: of a grid given by name.
      steps: number of steps; 0: each weight at its nearest code.
      rounding_rate: of Adam for the logits v.
      scale_rate: of Adam for the logarithms of the steps; it falls to 0 along a cosine.
      penalty: :math:`\lambda`.

    Returns:
      Codes and report. Where rounding to the nearest has the smaller error it is the
      result.

    Raises:
      InputError: no real floating matrix, another codec, a gram matrix that does not
        fit, an argument out of range or, outside of ``jit``, values that are not
        finite.

    The objective of one matrix is ours, with its normalization, rates and number of
    steps; ``reconstruct_block`` has that of the paper. Memory: four arrays of the
    weight's shape. No derivative.

    >>> w = jnp.array([[0.0, 0.41, 0.45, 0.48, 1.0]])
    >>> coded, report = genie(w, jnp.ones((5, 5)), bits=2, steps=200)
    >>> bool(report.error < 0.3 * report.nearest_error)
    True

    Source: Jeon, Lee and Kim, "Genie: Show Me the Data for Quantization",
    arXiv:2212.04780; Nagel et al., "Up or Down? Adaptive Rounding for Post-Training
    Quantization", arXiv:2004.10568. Code read: SamsungLabs/Genie.
    """
    check_arguments(genie, locals())
    grid = GenieGrid(bits) if codec == "genie" else codec
    if not isinstance(grid, GenieGrid) or grid.granularity != "row":
        raise InputError(
            f"codec of genie must be 'genie' or a GenieGrid by rows; got {codec!r}"
        )
    wide = grid.wide(weight)
    if wide.ndim != 2:
        raise InputError(f"weight of genie must be a matrix; got shape {wide.shape}")
    if gram is not None:
        check_gram(gram, wide.shape[1])
    check_values("genie", weight=wide, gram=gram)
    rates = rounding_rate, scale_rate, penalty
    coded, error, nearest = _rounded(wide, gram, rates, grid.bits, steps)
    return coded, QuantizerReport(error, nearest, grid.nbytes(coded))


@functools.partial(jax.jit, static_argnums=(3, 4))
def _rounded(
    wide: jax.Array,
    gram: jax.Array | None,
    rates: tuple[Scalar, Scalar, Scalar],
    bits: int,
    steps: int,
) -> tuple[QArray, jax.Array, jax.Array]:
    dtype = wide.dtype
    rate, scale_rate, penalty = (jnp.asarray(r, dtype) for r in rates)
    first = init_rounding(wide, bits=bits)

    def part(x: jax.Array) -> jax.Array:
        return jnp.sum(x * (x if gram is None else x @ gram.astype(dtype)))

    size = part(wide) / wide.size

    def joined(moved: tuple[jax.Array, jax.Array]) -> SoftRounding:
        return first._replace(scale=first.scale * jnp.exp(moved[0]), logits=moved[1])

    def loss(moved: tuple[jax.Array, jax.Array], number: jax.Array) -> jax.Array:
        apart = wide - joined(moved).soft(bits)
        counts, beta = rounding_schedule(number, steps=steps)
        undecided = rounding_regularizer(moved[1], beta.astype(dtype))
        fit = trees.safe_divide(part(apart), size)
        return fit + penalty * counts.astype(dtype) * undecided

    def step(carry: tuple, number: jax.Array) -> tuple[tuple, None]:
        moved, means, squares = carry
        slope = jax.grad(loss)(moved, number)
        time = number.astype(dtype)
        # Adam at its usual decays, without a change of type on the way.
        b1, b2, eps = (jnp.asarray(x, dtype) for x in (0.9, 0.999, 1e-8))
        means = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, means, slope)
        squares = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g**2, squares, slope)
        one, two = 1 - b1 ** (time + 1), 1 - b2 ** (time + 1)
        falling = scale_rate * (1 + jnp.cos(jnp.pi * time / steps)) / 2
        moved = tuple(
            p - by * (m / one) / (jnp.sqrt(v / two) + eps)
            for by, p, m, v in zip((falling, rate), moved, means, squares, strict=True)
        )
        return (moved, means, squares), None

    moved = (jnp.zeros_like(first.scale), first.logits)
    if steps:
        zeros = jax.tree.map(jnp.zeros_like, moved)
        carry = moved, zeros, zeros
        (moved, *_), _ = jax.lax.scan(step, carry, jnp.arange(steps))
    grid = GenieGrid(bits)
    found = joined(moved).hard(bits)
    plain = grid.coded(
        grid.round(wide, first.scale, first.zero), first.scale, first.zero
    )
    error, nearest = (
        calibration_error(wide, coded.dequantize(), gram) for coded in (found, plain)
    )
    # NaN counts as worse.
    better = (error < nearest) if steps else jnp.asarray(False)
    found = trees.select(better, found, plain)
    return found, jnp.where(better, error, nearest), nearest
