"""Device meshes from one line of text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.trees import path_name
from jaxopt_lab.core.typing import Batch

DATA_AXIS = "data"
SEEDS_AXIS = "seeds"


def make_mesh(axes: str = "", devices: Sequence[Any] | None = None) -> Mesh:
    """A mesh over the devices, as ``"data:4,model:2"`` describes it.

    Args:
      axes: names and sizes of the axes, outermost first: ``name:size``, separated by
        commas. One axis may be a bare name: it takes the devices that the others
        leave. Empty: ``"data"``, all devices on one axis.
      devices: the devices, in the order in which they fill the mesh; ``None``: those
        of all processes. With several processes devices of one process are then
        neighbours on the innermost axis.

    Returns:
      The mesh. Its axes are of type Auto: the compiler finds the shardings between
      those that are given. Devices beyond the product of the sizes stay idle.

    Raises:
      InputError: the text cannot be read, a name is given twice, there are fewer
        devices than the mesh needs, or the rest is not divisible.

    >>> dict(make_mesh("data:1").shape)
    {'data': 1}
    """
    found = jax.devices() if devices is None else list(devices)
    sizes = _parsed(axes or DATA_AXIS)
    known = math.prod(size for size in sizes.values() if size)
    for name, size in sizes.items():
        if size == 0:
            if len(found) % known or len(found) < known:
                raise InputError(
                    f"mesh={axes}: {len(found)} devices cannot be cut into groups of "
                    f"{known} for the axis {name!r}"
                )
            sizes[name] = len(found) // known
    needed = math.prod(sizes.values())
    if needed > len(found):
        raise InputError(
            f"mesh={axes} needs {needed} devices, here are {len(found)}; on a CPU "
            f"XLA_FLAGS=--xla_force_host_platform_device_count={needed} in the "
            "environment makes virtual ones"
        )
    if jax.process_count() > 1 and needed < len(found):
        raise InputError(
            f"mesh={axes} leaves {len(found) - needed} of {len(found)} devices idle; "
            "with several processes all must take part"
        )
    grid = np.array(found[:needed], dtype=object).reshape(tuple(sizes.values()))
    return Mesh(grid, tuple(sizes), axis_types=(AxisType.Auto,) * len(sizes))


def _parsed(axes: str) -> dict[str, int]:
    """Sizes by name; 0 for the one axis that takes the rest."""
    sizes: dict[str, int] = {}
    for part in axes.split(","):
        name, colon, size = part.strip().partition(":")
        if not name.isidentifier() or (colon and not (size.isdigit() and int(size))):
            raise InputError(
                f"mesh={axes}: cannot read {part.strip()!r}; write name:size, such as "
                "data:4,model:2"
            )
        if name in sizes:
            raise InputError(f"mesh={axes}: the axis {name!r} is given twice")
        sizes[name] = int(size) if colon else 0
    if sum(size == 0 for size in sizes.values()) > 1:
        raise InputError(f"mesh={axes}: only one axis can take what the others leave")
    return sizes


def check_batch(batch: Batch, parts: int, axis: int = 0) -> None:
    """Refuse a batch that does not divide among the devices.

    Args:
      batch: tree of arrays.
      parts: number of devices on the data axis; 1 accepts any batch.
      axis: axis of the examples; 1 after an axis of seeds.

    Raises:
      InputError: names the leaf, its shape and the number of parts.
    """
    if parts == 1:
        return
    for path, x in jax.tree.leaves_with_path(batch):
        shape = jnp.shape(x)
        if len(shape) <= axis or shape[axis] % parts:
            raise InputError(
                f"a batch cannot be cut into {parts} equal parts, one for each device "
                f"of the axis {DATA_AXIS!r}: {path_name(path) or 'its array'} has "
                f"shape {shape}"
            )
