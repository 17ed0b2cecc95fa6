"""Data-sheet figures of accelerators, and what is assumed of their links."""

from __future__ import annotations

from typing import NamedTuple


class Chip(NamedTuple):
    """One device.

    Attributes:
      name: its name.
      flops: bfloat16 operations a second, dense.
      memory: bytes.
      bandwidth: bytes of memory a second.
      near: devices that a fast network joins (a node); 0: all of them.
      near_link: bytes a second that a device sends in it, along one mesh axis.
      far_link: the same between nodes.
      source: where the figures stand.
    """

    name: str
    flops: float
    memory: float
    bandwidth: float
    near: int
    near_link: float
    far_link: float
    source: str

    def link(self, inner: int, size: int) -> float:
        """Bytes a second along an axis.

        Args:
          inner: product of the sizes of the axes inside of it.
          size: its own size.

        Returns:
          The fast rate if the axis and all inside of it fit into a node.
        """
        near = self.near == 0 or inner * size <= self.near
        return self.near_link if near else self.far_link


# An axis of a TPU torus has two links of a chip, one in each direction.
CHIPS = {
    chip.name: chip
    for chip in (
        Chip("v5e", 197e12, 16e9, 819e9, 0, 100e9, 100e9, "Cloud TPU v5e data sheet"),
        Chip("v5p", 459e12, 95e9, 2765e9, 0, 200e9, 200e9, "Cloud TPU v5p data sheet"),
        Chip("H100", 989e12, 80e9, 3350e9, 8, 450e9, 50e9, "H100 SXM data sheet"),
        Chip("H200", 989e12, 141e9, 4800e9, 8, 450e9, 50e9, "H200 SXM data sheet"),
    )
}
