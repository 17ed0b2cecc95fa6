"""Windows of an array of its own size, moved by a few positions over its edges."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values


def shifted_window(
    x: jax.Array, shift: jax.Array, axes: Sequence[int], reach: int = 1
) -> jax.Array:
    """A window of the size of ``x`` from its reflection over the edges.

    Args:
      x: any array.
      shift: where the window begins in the array with ``reach`` reflected positions at
        each edge: whole numbers from 0 to twice ``reach``, one for each axis; ``reach``
        itself is ``x``. Traced or not.
      axes: the axes that are reflected.
      reach: positions, less than every axis has.

    Returns:
      As ``x``.

    Raises:
      InputError: an axis is too short, or a known shift is out of range.

    >>> x = jnp.array([1.0, 2.0, 3.0])
    >>> [shifted_window(x, jnp.array([s]), [0]).tolist() for s in (0, 1, 2)]
    [[2.0, 1.0, 2.0], [1.0, 2.0, 3.0], [2.0, 3.0, 2.0]]
    """
    widths = [(0, 0)] * x.ndim
    for axis in axes:
        if x.shape[axis] <= reach:
            raise InputError(
                f"a reflection of {reach} needs more than {reach} positions; got "
                f"shape {x.shape}"
            )
        widths[axis] = (reach, reach)
    shift = jnp.asarray(shift)
    known = known_values(shift)
    if shift.shape != (len(axes),) or (
        known is not None and not ((known >= 0) & (known <= 2 * reach)).all()
    ):
        raise InputError(
            f"shift must be {len(axes)} whole numbers from 0 to {2 * reach}; got "
            f"{shift.shape if known is None else known.tolist()}"
        )
    start: list[jax.Array | int] = [0] * x.ndim
    for number, axis in enumerate(axes):
        start[axis] = shift[number].astype(jnp.int32)
    zero = jnp.zeros((), jnp.int32)
    places = [zero if isinstance(s, int) else s for s in start]
    return jax.lax.dynamic_slice(jnp.pad(x, widths, mode="reflect"), places, x.shape)
