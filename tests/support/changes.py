"""Which nodes of the import graph differ between a commit and the working tree."""

from __future__ import annotations

import pathlib
import subprocess

from support.import_graph import PACKAGES, TESTS, ImportGraph


def git(root: pathlib.Path, *words: str) -> str:
    """Output of a git command; an error of git is raised with its text."""
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(done.stderr.strip() or f"git {' '.join(words)} failed")
    return done.stdout


def base_commit(root: pathlib.Path, base: str | None = None) -> str:
    """The commit to compare with: ``base``, or where the branch left ``main``."""
    if base:
        commit = f"{base}^{{commit}}"
        return git(root, "rev-parse", "--verify", "--quiet", commit).strip()
    for main in ("main", "origin/main"):
        try:
            return git(root, "merge-base", "HEAD", main).strip()
        except ValueError:
            continue
    return git(root, "rev-parse", "HEAD").strip()


def changed_paths(root: pathlib.Path, commit: str) -> frozenset[str]:
    """Files that differ from a commit, new files included, renamed ones twice."""
    tracked = git(root, "diff", "--name-only", "--no-renames", "-z", commit)
    new = git(root, "ls-files", "--others", "--exclude-standard", "-z")
    return frozenset(path for path in (tracked + new).split("\0") if path)


def changed_nodes(
    graph: ImportGraph, commit: str, paths: frozenset[str]
) -> frozenset[str]:
    """Nodes of the changed Python files; of a door only the names that moved."""

    def before(path: str) -> str:
        try:
            return git(graph.root, "show", f"{commit}:{path}")
        except ValueError:
            return ""

    old = ImportGraph(graph.root, before, graph.paths)
    found = set()
    for path in paths:
        door_path = path.replace("__init__.pyi", "__init__.py")
        if door_path not in graph.paths:
            continue
        found.add(door_path)
        now, then = graph.door(door_path), old.door(door_path)
        if now is not None and then is not None:
            names = {*now, *then}
            found |= {f"{door_path}:{n}" for n in names if now.get(n) != then.get(n)}
    return frozenset(found)


def python_paths(paths: frozenset[str]) -> frozenset[str]:
    """The paths that stand in the graph, whether or not the file still exists."""
    folders = tuple(f"{folder}/" for folder in (*PACKAGES, TESTS))
    return frozenset(
        path
        for path in paths
        if path.startswith(folders) and path.endswith((".py", ".pyi"))
    )
