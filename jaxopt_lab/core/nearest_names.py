"""The public names nearest to one that does not exist, read without any import."""

from __future__ import annotations

import ast
import difflib
import pathlib
from collections.abc import Iterable


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
