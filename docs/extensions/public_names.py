"""The public names of the package, by room: what rooms export and who defines it."""

from __future__ import annotations

import importlib
import inspect
from typing import NamedTuple

ROOMS = (
    "transforms.sharpness",
    "transforms.memory",
    "transforms.compressed",
    "transforms.scale_invariant",
    "transforms.batching",
    "layers",
    "losses",
    "metrics",
    "quantize",
    "controllers",
    "recipes",
    "inference",
    "search",
    "data",
    "curvature",
    "diagnostics",
    "diagnostics.denoising",
    "diagnostics.hardware",
    "bilevel",
    "bilevel.metalearning",
    "training",
    "runtime",
    "plotting",
    "catalog",
    "lab",
    "lab.tuning",
    "core.codecs",
    "core.trees",
)
PACKAGE = "jaxopt_lab"


class Name(NamedTuple):
    """A public name: where it is exported, where it is defined, its first line."""

    exported: str
    module: str
    kind: str
    line: str


def public_names(room: str) -> list[Name]:
    """The functions and classes that a room exports, by name.

    Args:
      room: below ``jaxopt_lab``.

    Returns:
      The names; modules and constants are left out.
    """
    package = importlib.import_module(f"{PACKAGE}.{room}")
    listed = getattr(package, "__all__", None) or dir(package)
    found = []
    for name in sorted(listed, key=str.lower):
        value = getattr(package, name)
        if name.startswith("_") or inspect.ismodule(value) or not callable(value):
            continue
        module = getattr(inspect.unwrap(value), "__module__", "") or ""
        if not module.startswith(f"{PACKAGE}."):
            continue
        if not hasattr(package, "__path__") and module != package.__name__:
            continue  # a module exports what it defines
        defined = module if _has(module, name) else package.__name__
        kind = "class" if inspect.isclass(value) else "function"
        line = (inspect.getdoc(value) or "").split("\n\n")[0].replace("\n", " ")
        found.append(Name(f"{package.__name__}.{name}", defined, kind, line))
    return found


def _has(module: str, name: str) -> bool:
    return hasattr(importlib.import_module(module), name)
