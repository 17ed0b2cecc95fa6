"""What a file depends on, read from the texts of the files and not by importing them.

The graph follows names, not files: ``from jaxopt_lab.sharpness import sam`` depends on
the file that defines ``sam`` and not on its neighbours in that package. A package file
with nothing but imports is a *door*; its nodes are its names, ``path:name``, and a door
as a whole is the node ``path``.
"""

from __future__ import annotations

import ast
import functools
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator

PACKAGES = ("jaxopt_lab", "experiments")
TESTS = "tests"
_DOTTED = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*"
_REFERENCE = re.compile(rf"({_DOTTED})(?::({_DOTTED}))?")


class ImportGraph:
    """Dependencies between the Python files below a folder.

    Args:
      root: the folder of the packages and of the tests.
      read: text of a path relative to it; empty for a file that is not there.
      paths: relative paths of the Python files; those below ``root`` where absent.
    """

    def __init__(
        self,
        root: pathlib.Path,
        read: Callable[[str], str] | None = None,
        paths: Iterable[str] | None = None,
    ):
        self.root = root
        self._read = read or (lambda path: _text(root / path))
        self.paths = frozenset(_python_files(root) if paths is None else paths)
        self._files: dict[str, str] = {}
        for path in sorted(self.paths):
            self._files[module_name(path)] = path

    def with_paths(self, paths: Iterable[str]) -> ImportGraph:
        """The same graph with further files, such as those that were removed."""
        return ImportGraph(self.root, self._read, self.paths | set(paths))

    def text(self, path: str) -> str:
        """Text of a file."""
        return self._read(path)

    def closure(
        self, start: Iterable[str], stops: Callable[[str], bool] = lambda path: False
    ) -> frozenset[str]:
        """All nodes that ``start`` depends on, itself included.

        Args:
          start: nodes to begin with.
          stops: nodes that are neither entered nor passed.
        """
        found: set[str] = set()
        waiting = list(start)
        while waiting:
            node = waiting.pop()
            if node in found or stops(node.split(":")[0]):
                continue
            found.add(node)
            waiting += self.edges(node)
        return frozenset(found)

    def edges(self, node: str) -> frozenset[str]:
        """Nodes that a node depends on directly."""
        path, _, name = node.partition(":")
        if name:
            return self._through_door(path, name)
        if path not in self.paths:
            return frozenset()
        if self.door(path) is not None:
            return frozenset(f"{path}:{name}" for name in self.door(path) or ())
        return self._imports(path)

    def reference(self, text: str) -> frozenset[str]:
        """Nodes behind ``module``, ``module.name`` or ``module:name``."""
        match = _REFERENCE.fullmatch(text)
        if not match:
            return frozenset()
        module, rest = self._longest(match[1].split("."))
        door = self.door(self._files.get(module, ""))
        if rest and door is not None and rest[0] not in door:
            return frozenset()
        return self._behind(module, rest + (match[2] or "").split(".") * bool(match[2]))

    def _longest(self, parts: list[str]) -> tuple[str, list[str]]:
        """The longest module that a dotted name begins with, and what is left."""
        end = len(parts)
        while end > 1 and ".".join(parts[:end]) not in self._files:
            end -= 1
        return ".".join(parts[:end]), parts[end:]

    def _behind(self, module: str, names: list[str]) -> frozenset[str]:
        """Nodes behind the attributes ``a.b`` of a module; the module where none."""
        path = self._files.get(module)
        if path is None:
            return frozenset()
        door = self.door(path)
        if door is None or not names:
            return frozenset({path}) | self._parents(module)
        if names[0] in ("__file__", "__name__", "__doc__"):
            return self._parents(module)
        # An import in the package file hides a module of the same name.
        if names[0] in door:
            return frozenset({f"{path}:{names[0]}"}) | self._parents(module)
        if f"{module}.{names[0]}" in self._files:
            return self._behind(f"{module}.{names[0]}", names[1:])
        return frozenset({path}) | self._parents(module)

    def _parents(self, module: str) -> frozenset[str]:
        """Package files with code of their own, which an import of a module runs."""
        found = set()
        parts = module.split(".")[:-1]
        for end in range(1, len(parts) + 1):
            path = self._files.get(".".join(parts[:end]))
            if path is not None and self.door(path) is None:
                found.add(path)
        return frozenset(found)

    def _through_door(self, path: str, name: str) -> frozenset[str]:
        target = (self.door(path) or {}).get(name)
        return self._behind(*target) if target else frozenset()

    @functools.cache  # noqa: B019
    def door(self, path: str) -> dict[str, tuple[str, list[str]]] | None:
        """Module and names behind each name of a door; none for other files."""
        if not path.endswith("/__init__.py"):
            return None
        tree = ast.parse(self._read(path))
        if not all(_only_passes_on(node) for node in tree.body):
            return None
        if "attach_stub" in ast.dump(tree):
            stub = self._read(path.removesuffix("py") + "pyi")
            tree = ast.parse(stub)
        found = {}
        for node in tree.body:
            if isinstance(node, ast.ImportFrom):
                module = self._absolute(path, node)
                for alias in node.names:
                    if module == module_name(path) and self._file_of(module, alias):
                        continue  # a module below it, which is found by itself
                    found[alias.asname or alias.name] = (module, [alias.name])
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.asname:
                        found[alias.asname] = (alias.name, [])
        return found

    def _file_of(self, package: str, alias: ast.alias) -> str | None:
        return self._files.get(f"{package}.{alias.name}")

    def _absolute(self, path: str, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        name = module_name(path)
        package = name if path.endswith("__init__.py") else name.rpartition(".")[0]
        for _ in range(node.level - 1):
            package = package.rpartition(".")[0]
        return f"{package}.{node.module}" if node.module else package

    @functools.cache  # noqa: B019
    def _imports(self, path: str) -> frozenset[str]:
        tree = ast.parse(self._read(path))
        found: set[str] = set()
        modules: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                module = self._absolute(path, node)
                for alias in node.names:
                    if self._is_module(module, alias.name):
                        modules[alias.asname or alias.name] = f"{module}.{alias.name}"
                        found |= self._run(f"{module}.{alias.name}")
                    else:
                        names = [] if alias.name == "*" else [alias.name]
                        found |= self._behind(module, names)
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    first = alias.name.split(".")[0]
                    modules[alias.asname or first] = (
                        alias.name if alias.asname else first
                    )
                    found |= self._run(alias.name)
        found |= self._uses(tree, modules)
        for text in _strings(tree, everywhere=path.startswith(f"{TESTS}/")):
            found |= self.reference(text)
        return frozenset(found - {path})

    def _is_module(self, package: str, name: str) -> bool:
        """Whether a name imported from a package is a module below it."""
        if f"{package}.{name}" not in self._files:
            return False
        return name not in (self.door(self._files.get(package, "")) or ())

    def _run(self, module: str) -> frozenset[str]:
        """Nodes that the import of a module runs, whatever is taken from it."""
        path = self._files.get(module)
        if path is None or self.door(path) is not None:
            return self._parents(module)
        return frozenset({path}) | self._parents(module)

    def _uses(self, tree: ast.AST, modules: dict[str, str]) -> set[str]:
        """What is taken from modules that a file holds under a name."""
        found: set[str] = set()
        inner: set[int] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and id(node) not in inner:
                names: list[str] = []
                step: ast.expr = node
                while isinstance(step, ast.Attribute):
                    inner.add(id(step))
                    names.insert(0, step.attr)
                    step = step.value
                if isinstance(step, ast.Name) and step.id in modules:
                    inner.add(id(step))
                    found |= self._behind(modules[step.id], names)
            elif (
                isinstance(node, ast.Name)
                and id(node) not in inner
                and node.id in modules
            ):
                found |= self._behind(modules[node.id], [])
        return found


def module_name(path: str) -> str:
    """Dotted name under which a file is imported; files below tests lose that part."""
    name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return name.removeprefix(f"{TESTS}.")


def _text(path: pathlib.Path) -> str:
    return path.read_text() if path.exists() else ""


def _python_files(root: pathlib.Path) -> Iterator[str]:
    for folder in (*PACKAGES, TESTS):
        for path in (root / folder).rglob("*.py"):
            yield path.relative_to(root).as_posix()


def _only_passes_on(node: ast.stmt) -> bool:
    """Whether a statement of a package file is an import or belongs to one."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return True
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.Assign):
        words = ("__all__", "lazy_loader", "attach_stub")
        return any(word in ast.dump(node) for word in words)
    return False


def _strings(tree: ast.AST, everywhere: bool) -> Iterator[str]:
    """References in strings: whole strings, or all of a test's, docstrings excepted."""
    skipped = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        if id(node) in skipped:
            continue
        if _REFERENCE.fullmatch(node.value):
            if "." in node.value:
                yield node.value
        elif everywhere:
            for match in _REFERENCE.finditer(node.value):
                if "." in match[0]:
                    yield match[0]
