"""Three sizes of the same suite: ``--changed [BASE]``, the plain run, ``--full``.

A pytest plugin. The plain run leaves out what is marked ``full``; ``--changed`` takes
of the plain run the tests that depend on a file that differs from BASE; ``--full``
takes everything. A test that is named on the command line runs in any case.
``full(plain=["a"])`` leaves the case ``a`` of a parametrized test in the plain run.
``full(near="a")`` is a dear test of the subject ``a``; ``--changed`` takes it where it
reaches few subjects of that file.

A case that gets its subject by name, as those of the catalog do, says which modules it
depends on: ``@pytest.mark.reaches("jaxopt_lab.sharpness.sam")``; what its file imports
through the catalog then does not count. ``reaches(..., files=[...])`` names files that
count, but not what they import: that of the row itself.
"""

from __future__ import annotations

import collections
import functools
import pathlib

import pytest

from support import changes
from support.import_graph import ImportGraph

# A change of one of these reaches every test.
EVERYTHING = ("pyproject.toml", "tests/conftest.py")
# Of so many subjects of a file that a change reaches, the dear tests run.
FEW = 3
COLLECTED = pytest.StashKey[int]()
CATALOG = "jaxopt_lab/catalog/"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("tiers")
    group.addoption(
        "--full", action="store_true", help="run the tests marked `full` as well"
    )
    group.addoption(
        "--changed",
        nargs="?",
        const="",
        metavar="BASE",
        help="only the tests that depend on a file that differs from BASE, by default "
        "from the commit where the branch left main; write --changed=BASE before paths",
    )
    group.addoption(
        "--reached-by",
        action="append",
        default=[],
        metavar="FILE",
        help="only the tests that depend on this file, as if it had changed",
    )


def pytest_configure(config: pytest.Config) -> None:
    base = config.getoption("changed")
    if base is None:
        return
    try:
        changes.base_commit(config.rootpath, base)
    except ValueError as error:
        raise pytest.UsageError(
            f"--changed: {base or 'main'!r} is no commit here ({error}); paths stand "
            "before --changed or after --changed=BASE"
        ) from None


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    config.stash[COLLECTED] = len(items)
    kept = items
    if not config.getoption("keyword") and not any("::" in w for w in config.args):
        _refuse_unknown_cases(items)
    changed = _changed(config)
    if changed is not None:
        kept = changed.reached(kept)
    if not config.getoption("full") and "full" not in config.getoption("markexpr"):
        named = tuple(word.removeprefix("./") for word in config.args if "::" in word)
        near = few(kept) if changed is not None else frozenset()
        kept = [
            i
            for i in kept
            if not _is_full(i) or i.nodeid.startswith(named) or _near(i) & near
        ]
    if len(kept) < len(items):
        left = set(kept)
        config.hook.pytest_deselected(items=[i for i in items if i not in left])
        items[:] = kept


def _near(item: pytest.Item) -> set[tuple[str, str]]:
    marks = item.iter_markers("full")
    return {(_path(item), m.kwargs["near"]) for m in marks if "near" in m.kwargs}


def few(items: list[pytest.Item]) -> set[tuple[str, str]]:
    """File and subject of the dear tests among some, where a file has few subjects."""
    found = set().union(*map(_near, items))
    many = collections.Counter(path for path, _ in found)
    return {(path, name) for path, name in found if many[path] <= FEW}


def _is_full(item: pytest.Item) -> bool:
    case = getattr(getattr(item, "callspec", None), "id", None)
    marks = item.iter_markers("full")
    return any(case not in map(str, mark.kwargs.get("plain", ())) for mark in marks)


def _refuse_unknown_cases(items: list[pytest.Item]) -> None:
    """A misspelt case would move all cases of its test to the full run, unseen."""
    cases: dict[str, set[str]] = {}
    named: dict[str, set[str]] = {}
    for item in items:
        for mark in item.iter_markers("full"):
            test = item.nodeid.split("[")[0]
            plain = mark.kwargs.get("plain", ())
            named.setdefault(test, set()).update(map(str, plain))
            callspec = getattr(item, "callspec", None)
            cases.setdefault(test, set()).add(getattr(callspec, "id", ""))
    for test, names in named.items():
        if unknown := names - cases[test]:
            raise pytest.UsageError(
                f"{test}: full(plain=) names {sorted(unknown)}, but the cases are "
                f"{sorted(cases[test])}"
            )


def _path(item: pytest.Item) -> str:
    return item.path.relative_to(item.config.rootpath).as_posix()


def _changed(config: pytest.Config) -> Changed | None:
    root = config.rootpath
    base, files = config.getoption("changed"), config.getoption("reached_by")
    if base is not None:
        commit = changes.base_commit(root, base)
        return Changed(root, changes.changed_paths(root, commit), commit)
    if files:
        return Changed(root, frozenset(files), None)
    return None


class Changed:
    """A change, and the tests that it reaches.

    Args:
      root: folder of the repository.
      paths: files that changed, relative to it.
      commit: what they are compared with; nothing where they count as changed whole.
    """

    def __init__(self, root: pathlib.Path, paths: frozenset[str], commit: str | None):
        python = changes.python_paths(paths)
        self.graph = ImportGraph(root).with_paths(python)
        self.everything = any(path in EVERYTHING for path in paths)
        self.others = paths - python - {*EVERYTHING}
        if commit is None:
            self.nodes = python
        else:
            self.nodes = changes.changed_nodes(self.graph, commit, python)

    def reached(self, items: list[pytest.Item]) -> list[pytest.Item]:
        """The items that the change reaches, in their order."""
        if self.everything:
            return items
        return [item for item in items if self._reaches(item)]

    def _reaches(self, item: pytest.Item) -> bool:
        if item.get_closest_marker("always") is not None:
            return True
        marks = list(item.iter_markers("reaches"))
        if any(file in self.nodes for m in marks for file in m.kwargs.get("files", ())):
            return True
        path = _path(item)
        if not marks:
            return self._file_reached(path, False)
        modules = tuple(sorted({str(name) for mark in marks for name in mark.args}))
        return self._file_reached(path, True) or self._modules_reached(modules)

    @functools.cache  # noqa: B019
    def _file_reached(self, path: str, past_catalog: bool) -> bool:
        def stops(node: str) -> bool:
            return past_catalog and node.startswith(CATALOG)

        closure = self.graph.closure([path], stops)
        if closure & self.nodes:
            return True
        return any(
            self._names(test, other) for test in closure for other in self.others
        )

    @functools.cache  # noqa: B019
    def _modules_reached(self, modules: tuple[str, ...]) -> bool:
        start: set[str] = set()
        for name in modules:
            nodes = self.graph.reference(name)
            if not nodes:
                raise pytest.UsageError(f"reaches({name!r}): there is no such module")
            start |= nodes
        return bool(self.graph.closure(start) & self.nodes)

    @functools.cache  # noqa: B019
    def _names(self, node: str, other: str) -> bool:
        """Whether a file of the tests names a file that is not Python."""
        if not node.startswith("tests/"):
            return False
        name = pathlib.PurePosixPath(other)
        text = self.graph.text(node.split(":")[0])
        return any(word in text for word in {name.name, name.stem, name.parent.name})
