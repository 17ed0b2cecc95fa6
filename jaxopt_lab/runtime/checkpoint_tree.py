"""Conversion between a state and the flat, named arrays of a checkpoint.

Orbax stores nested containers in its own form, refuses arrays without elements and
does not support every narrow dtype. So a checkpoint holds a flat dictionary, and the
template, not the file, determines the containers and dtypes of the restored state.
"""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import PyTree

_NOTHING = "nothing"


class LeafInfo(NamedTuple):
    """Shape and dtype of one leaf in a checkpoint.

    Attributes:
      shape: its shape.
      dtype: name of its type; ``"key<fry>"`` and the like for typed keys.
    """

    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"


def is_key(leaf: Any) -> bool:
    """Whether a leaf is an array of typed PRNG keys.

    Args:
      leaf: anything with a ``dtype``.

    Returns:
      True for ``jax.random.key`` arrays and abstract ones.
    """
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def named_leaves(tree: PyTree) -> dict[str, Any]:
    """The leaves of a state by their paths.

    Args:
      tree: arrays, typed keys or ``jax.ShapeDtypeStruct``; ``None`` and empty
        containers have no leaves.

    Returns:
      ``{path: leaf}`` in the order of the tree.

    Raises:
      InputError: a leaf is no array.
    """
    leaves: dict[str, Any] = {}
    for path, leaf in jax.tree.leaves_with_path(tree):
        name = trees.path_name(path) or "(root)"
        if not (hasattr(leaf, "dtype") and hasattr(leaf, "shape")):
            raise InputError(
                f"a checkpoint holds arrays only; {name} is the "
                f"{type(leaf).__name__} {leaf!r}: make it an array, or put it into data"
            )
        # A dictionary key may contain a slash, so two paths may read the same.
        twin, n = name, 2
        while name in leaves:
            name, n = f"{twin} ({n})", n + 1
        leaves[name] = leaf
    return leaves


def describe(tree: PyTree) -> dict[str, LeafInfo]:
    """Shapes and types of a state or of a template, by path.

    Args:
      tree: as for ``named_leaves``.

    Returns:
      ``{path: LeafInfo}``.

    >>> {k: str(v) for k, v in describe({"w": np.zeros((2, 3), np.int8)}).items()}
    {'w': 'int8[2,3]'}
    """
    return {
        name: LeafInfo(tuple(leaf.shape), str(leaf.dtype))
        for name, leaf in named_leaves(tree).items()
    }


def mismatches(
    expected: dict[str, LeafInfo], saved: dict[str, LeafInfo], limit: int = 8
) -> str:
    """The differences of a template and a checkpoint, in one line.

    Args:
      expected: ``describe`` of the template.
      saved: ``describe`` of the state that was saved.
      limit: number of paths that are written out.

    Returns:
      The differing paths with their leaves on both sides; empty where nothing
      differs.

    >>> mismatches({"a": LeafInfo((2,), "int8")}, {"b": LeafInfo((), "bool")})
    'a: not in the checkpoint (expected int8[2]); b: only in the checkpoint (bool[])'
    """
    lines = []
    for name, info in expected.items():
        if name not in saved:
            lines.append(f"{name}: not in the checkpoint (expected {info})")
        elif saved[name] != info:
            lines.append(f"{name}: expected {info}, the checkpoint has {saved[name]}")
    for name, info in saved.items():
        if name not in expected:
            lines.append(f"{name}: only in the checkpoint ({info})")
    return trees.summary(lines, limit)


def storage_dtype(dtype: Any) -> Any:
    """The type in which a leaf is written.

    Args:
      dtype: type of the leaf.

    Returns:
      ``dtype`` where the file format has it; else a wider one that holds all of its
      values (int8 or uint8 for the narrow integers, float32 for the small floats).
    """
    name = str(dtype)
    if name in ("int2", "uint2", "uint4"):
        return jnp.dtype(jnp.uint8 if name.startswith("u") else jnp.int8)
    if name in ("float8_e4m3", "float8_e3m4", "float4_e2m1fn"):
        return jnp.dtype(jnp.float32)
    return dtype


def to_store(tree: PyTree) -> dict[str, Any]:
    """The arrays of a state, ready to be written.

    Args:
      tree: the state.

    Returns:
      ``{key: array}``; leaves without elements are left out, since their shape
      determines them.
    """
    store = {}
    for key, leaf in _keyed(tree):
        if key is None:
            continue
        if isinstance(leaf, jax.Array):
            wide = storage_dtype(leaf.dtype)
            store[key] = leaf if wide == leaf.dtype else leaf.astype(wide)
        else:
            # The caller may change a numpy array in place while it is written.
            store[key] = np.array(leaf, dtype=storage_dtype(leaf.dtype))
    # Orbax refuses a checkpoint without arrays.
    return store or {_NOTHING: np.zeros(1, np.int8)}


def from_store(template: PyTree, store: dict[str, Any]) -> PyTree:
    """The template's tree filled with restored arrays.

    Args:
      template: arrays or ``jax.ShapeDtypeStruct``.
      store: result of orbax for ``restore_args(template)``.

    Returns:
      A tree of the template's containers and types, on the template's devices.
    """
    leaves = [
        _rebuild(leaf, None if key is None else store[key])
        for key, leaf in _keyed(template)
    ]
    return jax.tree.structure(template).unflatten(leaves)


def restore_args(template: PyTree) -> dict[str, Any]:
    """Restore arguments of orbax for each array.

    Args:
      template: arrays or ``jax.ShapeDtypeStruct``.

    Returns:
      ``{key: orbax.checkpoint.RestoreArgs}``.
    """
    import orbax.checkpoint as ocp

    args = {}
    for key, leaf in _keyed(template):
        if key is None:
            continue
        sharding = _target(leaf)
        if sharding is None and is_key(leaf):
            sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        args[key] = (
            ocp.RestoreArgs(restore_type=np.ndarray)
            if sharding is None
            else ocp.ArrayRestoreArgs(sharding=sharding)
        )
    return args or {_NOTHING: ocp.RestoreArgs(restore_type=np.ndarray)}


def _keyed(tree: PyTree) -> list[tuple[str | None, Any]]:
    # Numbered, so that no path is a folder of another one; named, so that a leaf can
    # be found in the files. No key: nothing to write.
    keyed = []
    for i, (name, leaf) in enumerate(named_leaves(tree).items()):
        readable = re.sub(r"[^A-Za-z0-9_]+", ".", name)[-80:]
        keyed.append((f"{i:05d}.{readable}" if math.prod(leaf.shape) else None, leaf))
    return keyed


def _target(leaf: Any) -> jax.sharding.Sharding | None:
    # An uncommitted array combines with arrays on any devices; restored onto a fixed
    # device, it could not be combined with a batch that is sharded over many.
    if isinstance(leaf, jax.Array):
        return leaf.sharding if leaf.committed else None
    return getattr(leaf, "sharding", None)


def _rebuild(leaf: Any, value: Any) -> Any:
    if isinstance(leaf, np.generic):
        return np.asarray(value)[()].astype(leaf.dtype)
    if isinstance(leaf, np.ndarray):
        array = np.zeros(leaf.shape, leaf.dtype) if value is None else value
        return np.array(array, dtype=leaf.dtype)
    target = _target(leaf)
    if value is None:
        array = jnp.zeros(leaf.shape, leaf.dtype)
    elif is_key(leaf):
        array = value if target is not None else _uncommitted_key(value)
    elif getattr(leaf, "weak_type", False):
        array = _weak(np.asarray(value))
    else:
        array = jnp.array(value) if target is None else value
    if array.dtype != leaf.dtype:
        array = array.astype(leaf.dtype)
    if target is not None and array.sharding != target:
        array = jax.device_put(array, target)
    return array


def _uncommitted_key(key: jax.Array) -> jax.Array:
    data = jnp.array(np.asarray(jax.random.key_data(key)))
    return jax.random.wrap_key_data(data, impl=jax.random.key_impl(key))


def _weak(value: np.ndarray) -> jax.Array:
    # Only Python numbers give weakly typed arrays; a strong type here would promote
    # mixed arithmetic to a wider dtype than before the restart.
    scalars = [jnp.asarray(v) for v in value.ravel().tolist()]
    return jnp.stack(scalars).reshape(value.shape)
