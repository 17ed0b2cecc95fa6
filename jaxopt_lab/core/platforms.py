"""The platform that a program is being traced for.

The one place where a kernel that has a form for CPUs and another for accelerators
learns which is wanted: the backend of the process is not that of the program when it is
compiled for devices of another kind, which need not exist.
"""

from __future__ import annotations

from typing import Any

import jax
from jax.core import Tracer


def traced_mesh(*trees: Any) -> jax.sharding.AbstractMesh | None:
    """The mesh that arrays are placed on, while a program of them is traced.

    Args:
      *trees: arrays; others are ignored.

    Returns:
      The first mesh that knows the kind of its devices, or that of the context;
      ``None`` where there is none.
    """
    meshes = [
        jax.typeof(x).sharding.mesh
        for x in jax.tree.leaves(trees)
        if isinstance(x, jax.Array)
    ]
    for mesh in (*meshes, jax.sharding.get_abstract_mesh()):
        if getattr(mesh, "abstract_device", None) is not None:
            return mesh
    return None


def traced_for(*trees: Any) -> str:
    """The platform whose form of a kernel is wanted.

    Args:
      *trees: arrays of the kernel.

    Returns:
      ``"cpu"``, ``"gpu"`` or ``"tpu"``: that of the devices of ``traced_mesh``; where
      there is none, that of the default backend.

    >>> import jax.numpy as jnp
    >>> traced_for(jnp.zeros(2)) == jax.default_backend()
    True
    """
    device = getattr(traced_mesh(*trees), "abstract_device", None)
    platform = getattr(device, "platform", None)
    return str(platform) if platform else jax.default_backend()


def for_one_cpu(*trees: Any) -> bool:
    """Whether a program is traced for a CPU, and arrays lie on one device.

    Args:
      *trees: arrays of the kernel.

    Returns:
      False outside of a program too, where operations run one by one.

    >>> import jax.numpy as jnp
    >>> for_one_cpu(jnp.zeros(2))
    False
    """
    traced = any(isinstance(x, Tracer) for x in jax.tree.leaves(trees))
    return traced and jax.device_count() == 1 and traced_for(*trees) == "cpu"
