"""The public names of the package: loaded on first use, the nearest told."""

from __future__ import annotations

import ast
import difflib
import importlib
import os
import pathlib
from collections.abc import Callable, Iterable
from typing import Any

import lazy_loader


def attach_stub(
    package: str, file: str
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """``lazy_loader.attach_stub`` with modules and a question for a wrong name.

    Args:
      package: ``__name__`` of the package.
      file: its ``__file__``; ``__init__.pyi`` stands beside it.

    Returns:
      ``__getattr__``, ``__dir__`` and ``__all__``; the last without modules, which a
      star import should not bring in.
    """
    load, listed, _ = lazy_loader.attach_stub(package, file)
    folder = os.path.dirname(file)
    modules = {*os.listdir(folder), "trees"}

    def attribute(name: str) -> Any:
        if name == "trees":
            return importlib.import_module(f"{package}.core.trees")
        if name in listed():
            return load(name)
        text = f"module {package!r} has no attribute {name!r}"
        if not name.startswith("_"):
            text += hint(name, listed(), folder)
        raise AttributeError(text)

    return attribute, listed, [name for name in listed() if name not in modules]


def hint(name: str, names: Iterable[str], folder: str) -> str:
    """A question that ends the message about a wrong attribute of a package.

    Args:
      name: the name that was asked for.
      names: public names of the package.
      folder: folder of the package, whose rooms export names of their own.

    Returns:
      ``"; perhaps you meant ...?"``, or nothing where no name is near. A name that a
      room exports comes first.

    >>> hint("smm", ["sam", "training"], "")
    "; perhaps you meant 'sam'?"
    """
    rooms = [
        f"{path.parent.name}.{name}"
        for path in sorted(pathlib.Path(folder or "/nowhere").glob("*/__init__.py*"))
        if name in _exported(path)
    ]
    near = rooms or difflib.get_close_matches(name, sorted(names), n=3, cutoff=0.5)
    if not near:
        return ""
    return f"; perhaps you meant {' or '.join(map(repr, near))}?"


def _exported(path: pathlib.Path) -> list[str]:
    """The literal ``__all__`` of a file."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.Assign([ast.Name("__all__")], ast.List() as names):
                return ast.literal_eval(names)
    return []
