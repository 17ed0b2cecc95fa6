"""Batches that lie on a mesh, each process holding its own part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxopt_lab.training.data.batches import BatchSource
from jaxopt_lab.training.meshes import DATA_AXIS
from jaxopt_lab.training.parallel import check_batch
from jaxopt_lab.typing import Batch


def put_batch(batch: Batch, mesh: Mesh, *, whole: bool = False) -> Batch:
    """A batch cut over the data axis of a mesh.

    Args:
      batch: tree of arrays, the examples in front; with several processes the same on
        each of them.
      mesh: a mesh with an axis ``"data"``.
      whole: put all of it on every device instead.

    Returns:
      Global arrays. Each process moves the rows of its own devices only.

    Raises:
      InputError: the examples do not divide among the devices of the axis.
    """
    if not whole:
        check_batch(batch, mesh.shape[DATA_AXIS])
    there = NamedSharding(mesh, P() if whole else P(DATA_AXIS))

    def put(x: Any) -> jax.Array:
        if jax.process_count() == 1:
            return jax.device_put(x, there)
        return jax.make_array_from_callback(
            np.shape(x), there, lambda index: np.asarray(x[index])
        )

    return jax.tree.map(put, batch)


class MeshBatches:
    """The batches of a source, on a mesh.

    Args:
      source: gives whole batches, the same on every process.
      mesh: a mesh with an axis ``"data"``.

    The position is the source's own, so a run continues on another mesh.
    """

    def __init__(self, source: BatchSource, mesh: Mesh) -> None:
        self._source = source
        self._mesh = mesh

    def next(self) -> Batch:
        """The next batch; see ``BatchSource``."""
        return put_batch(self._source.next(), self._mesh)

    def get_state(self) -> dict[str, Any]:
        """The position; see ``BatchSource``."""
        return self._source.get_state()

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go to a position; see ``BatchSource``."""
        self._source.set_state(state)
