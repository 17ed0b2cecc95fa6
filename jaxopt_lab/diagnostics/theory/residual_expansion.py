"""Expansion of a residual network in the scale of its modules."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import jet

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT_OR_ZERO, check_arguments

Module = Callable[[jax.Array], jax.Array]


class Expansion(NamedTuple):
    """A residual network by its terms.

    Attributes:
      value: root mean square of the truncated sum.
      error: root mean square of what it lacks, the network's output minus the sum;
        the root mean square of the output is within it of ``value``.
      terms: ``(order + 1, *x.shape)``, the terms without powers of the scale.
      output: output of the network.
    """

    value: jax.Array
    error: jax.Array
    terms: jax.Array
    output: jax.Array


def residual_expansion(
    blocks: Sequence[Module],
    x: jax.Array,
    *,
    scale: float = 1.0,
    order: Annotated[int, COUNT_OR_ZERO] = 3,
) -> Expansion:
    r"""The terms of a residual network of each degree in its modules.

    The network :math:`f_s = (I + s h_n) \circ \ldots \circ (I + s h_1)` as a series in
    s, :math:`f_s(x) = \sum_k s^k T_k`:

    .. math::
        T_0 = x, \quad T_1 = \sum_i h_i(x), \quad
        T_2 = \sum_{i < j} Dh_j(x)\, h_i(x), \ \ldots

    For linear modules it is finite and exact, a sum over the :math:`\binom nk` paths
    through k modules (``path_count``). The paths are not enumerated: a power series in
    s, cut behind ``order``, goes through the blocks.

    Args:
      blocks: :math:`h_1, \ldots, h_n`, each keeps the shape of its input.
      x: input.
      scale: s, for the value and its error.
      order: highest degree.

    Returns:
      An ``Expansion``. The remainder is :math:`O(s^{\text{order} + 1})`.

    Raises:
      InputError: ``x`` is not floating, or a block changes its shape.

    Modules with relu are linear in pieces: the series is that of the piece of ``x``
    (:math:`D^2 h = 0`), and equals the network only while no unit changes its sign
    between 0 and s. Cost: order squared times the blocks (Taylor mode; where a
    primitive has no rule for it, nested forward mode, 2 to the power of order times);
    ``order + 1`` copies of ``x``.

    Source: "On residual network depth", 2025, from the abstract; the formulas are
    ours.

    >>> double = lambda x: 2 * x
    >>> found = residual_expansion([double, double], jnp.ones(1), order=2)
    >>> found.terms.ravel().tolist(), float(found.error)
    ([1.0, 4.0, 4.0], 0.0)
    """
    check_arguments(residual_expansion, {"order": order})
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise InputError(
            f"residual_expansion takes real floating inputs; got {x.dtype}"
        )
    series, output = [x] + [jnp.zeros_like(x)] * order, x
    factor = jnp.asarray(scale, x.dtype)
    for i, block in enumerate(blocks):
        shape = jax.eval_shape(block, x).shape
        if shape != x.shape:
            raise InputError(f"block {i} changes the shape {x.shape} to {shape}")
        output = output + factor * block(output)
        if order:
            through = _through(block, series[:-1])
            pairs = zip(series[1:], through, strict=True)
            series = [series[0], *(c + t for c, t in pairs)]
    terms = jnp.stack(series)
    total = expansion_sum(terms, factor)
    return Expansion(_rms(total), _rms(output - total), terms, output)


def expansion_sum(terms: jax.Array, scale: jax.Array | float) -> jax.Array:
    r"""The sum of the terms at a scale, :math:`\sum_k s^k T_k`.

    Args:
      terms: ``(order + 1, ...)``.
      scale: s.

    Returns:
      The sum, by Horner's rule.

    >>> float(expansion_sum(jnp.array([1.0, 4.0, 4.0]), 0.5))
    4.0
    """
    total = jnp.zeros_like(terms[0])
    for k in range(terms.shape[0] - 1, -1, -1):
        total = total * jnp.asarray(scale, total.dtype) + terms[k]
    return total


def path_count(depth: int, order: int) -> int:
    """The number of paths through ``order`` of ``depth`` modules.

    Args:
      depth: number of modules.
      order: number of them that a path goes through.

    Returns:
      The binomial coefficient; 2 to the power of the depth over all orders.

    >>> [path_count(4, k) for k in range(5)]
    [1, 4, 6, 4, 1]
    """
    return math.comb(depth, order)


def _rms(x: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.mean(x * x))


def _through(block: Module, series: list[jax.Array]) -> list[jax.Array]:
    """The power series of a function of a power series, of the same length."""
    first, *further = series
    if not further:
        return [block(first)]
    try:
        # jet takes and gives derivatives, k! times the coefficients.
        derivatives = [math.factorial(k) * c for k, c in enumerate(further, start=1)]
        y, ys = jet.jet(block, (first,), (derivatives,))
        return [y, *(d / math.factorial(k) for k, d in enumerate(ys, start=1))]
    except NotImplementedError:
        return _nested(block, series)


def _nested(block: Module, series: list[jax.Array]) -> list[jax.Array]:
    """The same by derivatives of derivatives at 0."""
    terms = jnp.stack(series)
    zero, one = jnp.zeros((), terms.dtype), jnp.ones((), terms.dtype)
    along = lambda s: block(expansion_sum(terms, s))
    found = []
    for k in range(len(series)):
        found.append(along(zero) / math.factorial(k))
        along = lambda s, inner=along: jax.jvp(inner, (s,), (one,))[1]
    return found
