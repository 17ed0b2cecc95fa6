"""A quantized array: whole numbers, and the scale that makes values of them."""

from __future__ import annotations

from typing import NamedTuple

import jax
from jax.typing import DTypeLike


class QArray(NamedTuple):
    r"""An array on a grid, :math:`x \approx s (q - z)`.

    Attributes:
      qvalue: q, integers of the shape of the array.
      scale: s, step of the grid, broadcastable to the array; float32, for a float64
        array float64.
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
        steps = self.qvalue.astype(self.scale.dtype)
        if self.zero_point is not None:
            steps = steps - self.zero_point
        value = steps * self.scale
        return value if dtype is None else value.astype(dtype)
