"""The same step compiled for TPUs that are not there, by the package libtpu."""

from __future__ import annotations

import importlib.metadata
from typing import Any, NamedTuple

from jax.sharding import Mesh

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab.plan import estimate
from jaxopt_lab.lab.plan.layout import Layout
from jaxopt_lab.lab.plan.planned_model import PlannedModel


class Memory(NamedTuple):
    """Memory of one device by the compiler for a TPU.

    Attributes:
      peak: bytes in use at most.
      arguments: bytes of the step's arguments.
      temporaries: bytes of all temporaries together.
      version: that of libtpu.
    """

    peak: int
    arguments: int
    temporaries: int
    version: str


def topology(target: str) -> Any:
    """A TPU topology by its name.

    Args:
      target: kind and topology, such as ``"v5p:4x4x4"``.

    Returns:
      jax's description; its ``devices`` can be compiled for, not run on.

    Raises:
      InputError: libtpu is not installed, or does not know the topology.
    """
    from jax.experimental import topologies

    if _version() is None:
        raise InputError(
            f"target={target} needs the package libtpu: pip install 'jax[tpu]' (the "
            "extra plan-tpu)"
        )
    try:
        return topologies.get_topology_desc(target, "tpu")
    except Exception as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"target={target}: libtpu does not know it ({said})"
        ) from error


def mesh_like(mesh: Mesh, target: str) -> Mesh:
    """A mesh of the same axes over the devices of a TPU topology.

    Args:
      mesh: the axes and their sizes.
      target: as for ``topology``.

    Returns:
      The mesh; its devices can be compiled for, not run on.

    Raises:
      InputError: as ``topology``, or it has another number of devices than the mesh.
    """
    from jax.experimental import topologies

    found = topology(target)
    if len(found.devices) != mesh.size:
        raise InputError(
            f"target={target} has {len(found.devices)} devices, the mesh {mesh.size}"
        )
    sizes = tuple(mesh.shape.values())
    return topologies.make_mesh(found, sizes, tuple(mesh.shape))


def _version() -> str | None:
    try:
        return importlib.metadata.version("libtpu")
    except importlib.metadata.PackageNotFoundError:
        return None


def memory(model: PlannedModel, method: str, layout: Layout) -> Memory:
    """Compile one step for the layout's devices; takes minutes.

    Args:
      model: the model.
      method: a name in the catalog.
      layout: a layout on a mesh from ``mesh_like``.

    Returns:
      The compiler's own figures.
    """
    traced = estimate.trace(model, method, layout)
    found = traced.lower().compile().memory_analysis()
    return Memory(
        found.peak_memory_in_bytes,
        found.argument_size_in_bytes,
        found.temp_size_in_bytes,
        _version() or "",
    )
