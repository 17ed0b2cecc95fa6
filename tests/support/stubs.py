"""Stubs of the rooms whose optimizers take the options of another function.

``takes`` builds their signatures at run time, where type checkers do not look.
``python -m support.stubs``, in ``tests``, writes ``__init__.pyi`` beside the
``__init__.py`` of each such room; ``test_stubs.py`` compares.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

ROOMS = (
    "jaxopt_lab.inference",
    "jaxopt_lab.layers.memory_saving",
    "jaxopt_lab.transforms.compressed",
    "jaxopt_lab.transforms.memory",
    "jaxopt_lab.transforms.scale_invariant",
)


def stub(room: str) -> str:
    """The text of a room's stub: its imports, and signatures in place of some.

    Args:
      room: dotted name of a package whose ``__init__.py`` lists its names.

    Returns:
      Python, formatted as the rest of the repository is.
    """
    module = importlib.import_module(room)
    taken = {n: getattr(module, n) for n in module.__all__ if _takes(module, n)}
    imports, needed = [], set()
    for node in ast.parse(pathlib.Path(module.__file__ or "").read_text()).body:
        if isinstance(node, ast.ImportFrom):
            node.names = [a for a in node.names if a.name not in taken]
            if node.names:
                imports.append(ast.unparse(node))
    functions = []
    for name, function in taken.items():
        text, names = _signature(name, function)
        functions.append(text)
        needed |= names
    origins = {_origin(taken.values(), name) for name in needed}
    lines = ["# Written by `python -m support.stubs` in tests/, from the signatures."]
    lines += sorted(line for line in origins if line) + imports
    lines += [f"__all__ = {sorted(module.__all__)!r}", *functions]
    return _formatted("\n".join(lines) + "\n", path_of(room))


def _takes(module: Any, name: str) -> bool:
    return hasattr(getattr(module, name), "__option_source__")


def _signature(name: str, function: Callable[..., Any]) -> tuple[str, set[str]]:
    """``def name(...)`` with bare annotations, and the names that these use."""
    names: set[str] = set()

    def bare(annotation: Any) -> str:
        tree = ast.parse(str(annotation), mode="eval").body
        if isinstance(tree, ast.Subscript) and ast.unparse(tree.value) == "Annotated":
            assert isinstance(tree.slice, ast.Tuple)
            tree = tree.slice.elts[0]
        names.update(n.id for n in ast.walk(tree) if isinstance(n, ast.Name))
        return ast.unparse(tree)

    parts, starred = [], False
    signature = inspect.signature(function)
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            parts.append("*")
            starred = True
        part = f"{parameter.name}: {bare(parameter.annotation)}"
        if parameter.default is not parameter.empty:
            plain = isinstance(parameter.default, bool | int | float | str | None)
            part += f" = {parameter.default!r}" if plain else " = ..."
        parts.append(part)
    result = bare(signature.return_annotation)
    return f"def {name}({', '.join(parts)}) -> {result}: ...", names


def _origin(functions: Any, name: str) -> str:
    """The import of a name that an annotation uses, from a module that has it."""
    if name in vars(__import__("builtins")):
        return ""
    for function in functions:
        source = function
        while source is not None:
            source = inspect.unwrap(source)
            module = sys.modules[source.__module__]
            for node in ast.parse(inspect.getsource(module)).body:
                if isinstance(node, ast.Import):
                    if name in {a.asname or a.name for a in node.names}:
                        return f"import {name}"
                elif isinstance(node, ast.ImportFrom) and name in {
                    a.asname or a.name for a in node.names
                }:
                    return f"from {node.module} import {name}"
            if hasattr(module, name):
                return f"from {module.__name__} import {name}"
            source = getattr(function, "__option_source__", None)
            function = source
    raise LookupError(f"no source of an option has a name {name}")


def _formatted(text: str, path: pathlib.Path) -> str:
    for command in (["check", "--select=I,RUF022", "--fix", "-q"], ["format", "-q"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, f"--stdin-filename={path}", "-"],
            input=text,
            capture_output=True,
            text=True,
            check=True,
        )
        text = done.stdout
    return text


def path_of(room: str) -> pathlib.Path:
    """Where the stub of a room stands."""
    return pathlib.Path(importlib.import_module(room).__file__ or "").with_suffix(
        ".pyi"
    )


if __name__ == "__main__":
    for each in ROOMS:
        path_of(each).write_text(stub(each))
