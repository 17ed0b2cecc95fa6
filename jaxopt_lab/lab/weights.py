"""Weights by name, in memory and in files."""

from __future__ import annotations

import importlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core import extras, trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.files import reason
from jaxopt_lab.core.typing import ModelState, Params


def named(params: Params, model_state: ModelState) -> dict[str, np.ndarray]:
    """The arrays of a model by name.

    Args:
      params: its parameters.
      model_state: its state; typed keys are left out.

    Returns:
      ``"params/hidden/kernel"``, ``"model_state/..."``.

    >>> named({"w": jnp.ones(2)}, {})["params/w"].tolist()
    [1.0, 1.0]
    """
    found = {}
    for part, tree in (("params", params), ("model_state", model_state)):
        for path, leaf in trees.leaves_with_path(tree):
            if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
                found[f"{part}/{trees.path_name(path)}"] = np.asarray(leaf)
    return found


_ELSEWHERE = {
    "kernel": "weight",
    "embedding": "weight",
    "scale": "weight",
    "mean": "running_mean",
    "var": "running_var",
}
"""Last parts of names of flax, and what PyTorch calls them."""


def found_in(
    arrays: Mapping[str, np.ndarray], part: str, path: str
) -> np.ndarray | None:
    """An array of a model among arrays that may have the names of others.

    Args:
      arrays: by name, those of ``named`` or a plain file of weights, whose names may
        have dots, no ``"params/"``, and the ends that PyTorch gives them: ``weight``
        for a kernel, whose outputs come first there, an embedding or a scale,
        ``running_mean`` and ``running_var`` for batch statistics.
      part: ``"params"`` or ``"model_state"``.
      path: ``"hidden/0/kernel"``.

    Returns:
      The array, the axes in the order of flax; ``None``: there is none.

    Raises:
      InputError: the inputs of a dense kernel are a flattened image.

    >>> arrays = {"hidden.0.weight": np.zeros((5, 2))}
    >>> found_in(arrays, "params", "hidden/0/kernel").shape
    (2, 5)
    """
    for name in (f"{part}/{path}", path, path.replace("/", ".")):
        if name in arrays:
            return arrays[name]
    *before, last = path.split("/")
    found = arrays.get(".".join([*before, _ELSEWHERE.get(last, last)]))
    if found is None or last != "kernel" or found.ndim < 2:
        return found
    channels = max((a.shape[0] for a in arrays.values() if a.ndim > 2), default=0)
    if found.ndim == 2 and 0 < channels < found.shape[1]:
        raise InputError(
            f"the {found.shape[1]} inputs of {path} are channels and pixels, which "
            "PyTorch has in another order; head=REGEX draws it at random"
        )
    # (out, in, *window) as (*window, in, out).
    return found.transpose([*range(2, found.ndim), 1, 0])


def read(path: Path) -> dict[str, np.ndarray]:
    """The arrays in a file that ``export`` has written.

    Args:
      path: ``.npz`` or ``.safetensors``.

    Returns:
      Arrays by name.

    Raises:
      InputError: it cannot be read, or a package is missing.
    """
    if path.suffix == ".safetensors":
        load = needed("safetensors.numpy", str(path)).load_file
        try:
            return load(path)
        except Exception as error:
            raise InputError(f"cannot read {path}: {error}") from None
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, AttributeError, zipfile.BadZipFile) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise InputError(
            f"cannot read {path}: {why}; accepted: .npz or .safetensors"
        ) from None


def needed(module: str, what: str) -> Any:
    """A package of the extra ``export``, imported.

    Args:
      module: its module.
      what: what needs it.

    Returns:
      The module.

    Raises:
      InputError: it is not installed.
    """
    extras.need(module.partition(".")[0], what, "export")
    return importlib.import_module(module)
