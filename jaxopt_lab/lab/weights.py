"""Weights by name, in memory and in files."""

from __future__ import annotations

import importlib
import zipfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core import trees
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
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"{what} needs the package {module.partition('.')[0]} ({error}); install "
            "it with: pip install 'jaxopt_lab[export]'"
        ) from None
