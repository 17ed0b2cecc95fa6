"""Gradients on a grid, as a link of a chain."""

from __future__ import annotations

import math
from typing import Annotated, Any, NamedTuple

import jax
import optax

from jaxopt_lab.core import trees
from jaxopt_lab.core.checks import require_real
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, STATIC, Interval, check_arguments
from jaxopt_lab.core.typing import Params, Updates
from jaxopt_lab.quantize.grid import Grid
from jaxopt_lab.quantize.kernel_matrix import from_matrix, to_matrix
from jaxopt_lab.quantize.linear_grid import LinearGrid


class QuantizeUpdatesState(NamedTuple):
    """State of ``quantize_updates``.

    Attributes:
      key: typed key of the next step's rounding; ``None`` if it is to the nearest.
    """

    key: jax.Array | None


def quantize_updates(
    bits: Annotated[int, Interval(2, 8), STATIC] = 8,
    *,
    spec: Grid | None = None,
    stochastic: bool = False,
    seed: int = 0,
    min_size: Annotated[int, COUNT] = 1,
) -> optax.GradientTransformationExtraArgs:
    r"""Round gradients to a grid, before the optimizer that stands behind it.

    .. math:: u = Q(g), \quad\text{or, stochastic,}\quad u = Q(g + s (\xi - \tfrac12))

    with the step s of the grid and :math:`\xi` uniform in [0, 1), so that the mean is g
    wherever the grid does not clip. Of a kernel the last axis is the outputs, all
    others together the inputs: a grid by rows has one step an output. Leaves of fewer
    than two axes stay.

    Args:
      bits: of the linear grid by outputs, with the smallest range of gradients, 1e-9.
      spec: a grid instead; it has its own bits.
      stochastic: round up or down at random, without bias.
      seed: of the first key, with ``stochastic``.
      min_size: elements from which on a leaf is rounded.

    Returns:
      The link. It hands extra arguments on.

    Raises:
      InputError: an option is out of range, ``spec`` is no grid, a leaf is complex, or
        one cannot have the grid's granularity.

    Memory: none; one key with ``stochastic``. Derivatives: a rounding has none, and the
    derivative of a step is that of the identity with the rounding's error fixed.
    Sharding: a step over a sharded axis is that of the whole array.

    >>> import jax.numpy as jnp
    >>> tx = quantize_updates(2)
    >>> g = {"kernel": jnp.array([[1.0], [0.3]]), "bias": jnp.array([0.25])}
    >>> updates, _ = tx.update(g, tx.init(g))
    >>> updates["kernel"].ravel().tolist(), updates["bias"].tolist()
    ([1.0, 0.0], [0.25])

    Source: Chitsaz, Fournier, Mordido and Chandar, arXiv:2407.11722, for the grid; as a
    link of a chain it is ours.
    """
    check_arguments(quantize_updates, locals())
    if spec is not None and not isinstance(spec, Grid):
        raise InputError(f"spec must be a grid or None; got {spec!r}")
    grid = LinearGrid(bits, min_range=1e-9) if spec is None else spec

    def init(params: Params) -> Any:
        require_real("quantize_updates", trees.arrays(params))
        return QuantizeUpdatesState(jax.random.key(seed) if stochastic else None)

    def update(
        updates: Updates,
        state: Any,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, Any]:
        del params, extra
        key, later = state.key, None
        if key is not None:
            key, later = jax.random.split(key)
        leaves, structure = jax.tree.flatten(trees.arrays(updates))
        found = []
        for i, g in enumerate(leaves):
            if g.ndim >= 2 and math.prod(g.shape) >= max(min_size, 1):
                own = None if key is None else jax.random.fold_in(key, i)
                coded = grid.encode(to_matrix(g), own).dequantize()
                g = _straight_through(from_matrix(coded, g), g)
            found.append(g)
        return structure.unflatten(found), QuantizeUpdatesState(later)

    return optax.GradientTransformationExtraArgs(init, update)


@jax.custom_jvp
def _straight_through(rounded: jax.Array, g: jax.Array) -> jax.Array:
    """The first argument, with the derivative of the second."""
    del g
    return rounded


@_straight_through.defjvp
def _straight_through_jvp(
    primals: tuple, tangents: tuple
) -> tuple[jax.Array, jax.Array]:
    return primals[0], tangents[1]
