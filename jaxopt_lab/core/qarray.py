"""A quantized array: whole numbers, and the scale that makes values of them."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike


class QArray(NamedTuple):
    r"""An array on a grid, :math:`x \approx s (q - z)`.

    Attributes:
      qvalue: q, integers of the shape of the array.
      scale: s, step of the grid; float32, for a float64 array float64. Each axis is 1,
        that of the array, or a number of groups of equal length along that axis.
      zero_point: z, the code of 0 as whole numbers in the type of ``scale``, which may
        lie outside of the codes; ``None`` for 0.
    """

    qvalue: jax.Array
    scale: jax.Array
    zero_point: jax.Array | None

    def dequantize(self, dtype: DTypeLike | None = None) -> jax.Array:
        """The values that the codes stand for.

        Args:
          dtype: type of the result; ``None``: that of the scale.

        Returns:
          :math:`s (q - z)`.
        """
        shape = self.qvalue.shape
        steps = self.qvalue.astype(self.scale.dtype)
        if self.zero_point is not None:
            steps = steps - over_groups(self.zero_point, shape)
        value = steps * over_groups(self.scale, shape)
        return value if dtype is None else value.astype(dtype)


def over_groups(scale: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """A scale for each group, repeated over the group.

    Args:
      scale: an axis is 1, that of ``shape``, or a divisor of it, a number of groups.
      shape: of the array that it belongs to.

    Returns:
      The scale, broadcastable to ``shape``.

    >>> over_groups(jnp.array([[1.0, 2.0]]), (3, 4)).tolist()
    [[1.0, 1.0, 2.0, 2.0]]
    """
    for axis, (groups, length) in enumerate(zip(scale.shape, shape, strict=True)):
        if groups not in (1, length):
            scale = jnp.repeat(scale, length // groups, axis)
    return scale
