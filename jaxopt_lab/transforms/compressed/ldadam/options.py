"""The treatment of one leaf by LDAdam: its matrices, and the storage of its error."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import jax

from jaxopt_lab.core.codecs import Cast, Codec
from jaxopt_lab.transforms.compressed.ldadam.kernel import ProjectorOptions
from jaxopt_lab.transforms.compressed.low_rank import Layout
from jaxopt_lab.transforms.compressed.min_max import MinMax4
from jaxopt_lab.transforms.compressed.storage import LeafStorage

Error = Literal["float32", "bfloat16", "4-bit", "none"]


class StepSize(NamedTuple):
    """The size of a step of a parameter.

    Attributes:
      rate: the learning rate.
      pull: the weight decay, 0 where there is none.
    """

    rate: jax.Array
    pull: jax.Array


class LeafOptions(NamedTuple):
    """The treatment of one leaf.

    Attributes:
      layout: as which matrices it is read.
      dtype: the floating type it is computed in.
      low_rank: whether it is projected.
      rank: columns of the basis, at most.
      error: how the error is kept.
      projector: of the search for the subspace.
      straight_through: keep a rounded error as numbers.
      chunk: elements updated at a time on CPU, or ``None``.
    """

    layout: Layout
    dtype: Any
    low_rank: bool
    rank: int
    error: Error
    projector: ProjectorOptions
    straight_through: bool
    chunk: int | None

    def storage(self, shape: tuple[int, ...]) -> LeafStorage:
        """The storage of the error of the tensor, or of whole blocks of it."""
        codec: Codec | None = {
            "float32": None,
            "bfloat16": Cast("bfloat16"),
            "4-bit": MinMax4(64),
            "none": None,
        }[self.error]
        return LeafStorage(0, shape, self.dtype, codec, self.straight_through)

    @property
    def feeds_back(self) -> bool:
        """Whether there is an error."""
        return self.low_rank and self.error != "none"

    @property
    def ranged(self) -> bool:
        """Whether the error has ranges."""
        codes = self.error == "4-bit" and not self.straight_through
        return self.feeds_back and codes

    def sized(
        self, u: jax.Array, p: jax.Array | None, size: StepSize | None, dtype: Any
    ) -> jax.Array:
        """The update of a direction."""
        if size is None or p is None:
            return u.astype(dtype)
        return (-size.rate * (u + size.pull * p.astype(self.dtype))).astype(p.dtype)
