"""Batches sharded over a mesh; each process provides its own part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxopt_lab.core.meshes import DATA_AXIS, SEEDS_AXIS, check_batch
from jaxopt_lab.core.typing import Batch, BatchSource


def process_rows(batch_size: int, mesh: Mesh) -> range:
    """The rows of a batch that the devices of this process hold.

    Args:
      batch_size: examples in the whole batch.
      mesh: a mesh with an axis ``"data"``.

    Returns:
      The least range with all of them; with one process, all rows. Processes that
      share an axis other than ``"data"`` hold the same rows.

    Raises:
      InputError: the examples do not divide among the devices of the axis.
    """
    check_batch({"": np.empty((batch_size, 0))}, mesh.shape[DATA_AXIS])
    there = NamedSharding(mesh, P(DATA_AXIS))
    held = [
        index[0].indices(batch_size)
        for index in there.addressable_devices_indices_map((batch_size,)).values()
        if index is not None
    ]
    return range(min(i for i, *_ in held), max(j for _, j, _ in held))


def put_batch(
    batch: Batch,
    mesh: Mesh,
    *,
    whole: bool = False,
    rows: range | None = None,
    seeds: bool = False,
) -> Batch:
    """A batch sharded over the data axis of a mesh.

    Args:
      batch: tree of arrays, the examples in front; with several processes the same on
        each of them.
      mesh: a mesh with an axis ``"data"``.
      whole: replicate it on every device instead.
      rows: the rows of the whole batch that ``batch`` holds, with several processes
        those of ``process_rows``; their number must be the same on each.
        ``None``: all.
      seeds: the leaves have an axis of seeds before the examples, to be sharded over
        the axis ``"seeds"`` of the mesh where it has one.

    Returns:
      Global arrays. Each process moves the rows of its own devices only.

    Raises:
      InputError: the examples do not divide among the devices of the axis.
    """
    if not whole and rows is None:
        check_batch(batch, mesh.shape[DATA_AXIS], axis=int(seeds))
    front = (SEEDS_AXIS if SEEDS_AXIS in mesh.shape else None,) if seeds else ()
    there = NamedSharding(mesh, P() if whole else P(*front, DATA_AXIS))

    def put(x: Any) -> jax.Array:
        if jax.process_count() == 1:
            return jax.device_put(x, there)
        if rows is not None:
            return jax.make_array_from_process_local_data(there, np.asarray(x))
        return jax.make_array_from_callback(
            np.shape(x), there, lambda index: np.asarray(x[index])
        )

    return jax.tree.map(put, batch)


class MeshBatches:
    """The batches of a source, sharded over a mesh.

    Args:
      source: gives whole batches, the same on every process; or has an attribute
        ``rows`` and gives those rows of them, as ``GrainBatches`` does.
      mesh: a mesh with an axis ``"data"``.
      seeds: as in ``put_batch``.

    The position is the source's own, so a run continues on another mesh.
    """

    def __init__(self, source: BatchSource, mesh: Mesh, seeds: bool = False) -> None:
        self._source = source
        self._mesh = mesh
        self._seeds = seeds

    def next(self) -> Batch:
        """The next batch; see ``BatchSource``."""
        rows = getattr(self._source, "rows", None)
        batch = self._source.next()
        return put_batch(batch, self._mesh, rows=rows, seeds=self._seeds)

    def get_state(self) -> dict[str, Any]:
        """The position; see ``BatchSource``."""
        return self._source.get_state()

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go to a position; see ``BatchSource``."""
        self._source.set_state(state)
