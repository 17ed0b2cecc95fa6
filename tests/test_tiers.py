"""The sizes of the suite: which tests a change reaches, groups, and limits."""

import json
import os
import pathlib
import subprocess
import sys

import pytest
from support import changes, counts, groups, tiers

TESTS = pathlib.Path(__file__).parent


class Item:
    """As much of a test as the choice reads."""

    def __init__(self, root, path, *marks):
        self.path, self.config, self.marks = root / path, self, marks
        self.rootpath = root

    def iter_markers(self, name):
        return (mark.mark for mark in self.marks if mark.mark.name == name)

    def get_closest_marker(self, name):
        return next(self.iter_markers(name), None)


FILES = {
    "jaxopt_lab/__init__.py": "",
    "jaxopt_lab/a.py": "",
    "jaxopt_lab/b.py": "",
    "jaxopt_lab/catalog/__init__.py": "",
    "jaxopt_lab/catalog/rows.py": "from jaxopt_lab import a, b\na.x, b.x",
    "jaxopt_lab/door/__init__.py": "from jaxopt_lab.a import a",
    "tests/conftest.py": "",
    "tests/table.txt": "",
    "tests/test_a.py": "from jaxopt_lab.door import a",
    "tests/test_b.py": "import jaxopt_lab.b\nread('table.txt')",
    "tests/test_rows.py": "from jaxopt_lab.catalog import rows\nrows.x",
}
MARKS = {
    "a": pytest.mark.reaches("jaxopt_lab.a"),
    "b": pytest.mark.reaches("jaxopt_lab.b"),
    "always": pytest.mark.always,
}


@pytest.fixture
def tree(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for words in (
        ("init", "-q", "-b", "main"),
        ("add", "."),
        ("-c", "user.name=x", "-c", "user.email=x@x", "commit", "-q", "-m", "x"),
    ):
        subprocess.run(("git", *words), cwd=tmp_path, check=True)
    return tmp_path


def reached(root):
    commit = changes.base_commit(root)
    change = tiers.Changed(root, changes.changed_paths(root, commit), commit)
    items = {
        "a": Item(root, "tests/test_a.py"),
        "b": Item(root, "tests/test_b.py"),
        "row a": Item(root, "tests/test_rows.py", MARKS["a"]),
        "row b": Item(root, "tests/test_rows.py", MARKS["b"]),
        "rows": Item(root, "tests/test_rows.py"),
        "always": Item(root, "tests/test_a.py", MARKS["always"]),
    }
    found = change.reached(list(items.values()))
    return {name for name, item in items.items() if item in found} - {"always"}


EVERY = {"a", "b", "row a", "row b", "rows"}


@pytest.mark.parametrize(
    "path, text, names",
    [
        ("jaxopt_lab/a.py", "x = 1", {"a", "row a", "rows"}),
        ("jaxopt_lab/b.py", "x = 1", {"b", "row b", "rows"}),
        ("jaxopt_lab/b.py", None, {"b", "row b", "rows"}),
        ("jaxopt_lab/catalog/rows.py", "x = 1", {"rows"}),
        ("jaxopt_lab/new.py", "", set()),
        ("tests/test_rows.py", "", {"row a", "row b", "rows"}),
        ("tests/conftest.py", "x = 1", EVERY),
        ("tests/table.txt", "x", {"b"}),
        # A name more in a package touches nobody; one that moved touches its users.
        ("jaxopt_lab/door/__init__.py", "from jaxopt_lab.a import a, c", set()),
        ("jaxopt_lab/door/__init__.py", "from jaxopt_lab.b import a", {"a"}),
    ],
)
def test_a_change_reaches(tree, path, text, names):
    assert reached(tree) == set()
    if text is None:
        (tree / path).unlink()
    else:
        (tree / path).write_text(text)
    assert reached(tree) == names


CASES = """
import pytest

@pytest.mark.full(plain=[{plain!r}])
@pytest.mark.parametrize("n", ["a", "b"])
def test(n): ...
"""


@pytest.mark.parametrize(
    "plain, line", [("a", "1/2 tests collected"), ("c", "but the cases are ['a', 'b']")]
)
def test_one_case_of_a_full_test_is_plain(tmp_path, plain, line):
    (tmp_path / "pyproject.toml").write_text(
        "[tool.pytest.ini_options]\nmarkers = ['full', 'always', 'reaches']\n"
    )
    (tmp_path / "test_one.py").write_text(CASES.format(plain=plain))
    words = ("-m", "pytest", "--collect-only", "-q", "-p", "support.tiers")
    done = subprocess.run(
        (sys.executable, *words),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(TESTS), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
    )
    assert line in done.stdout + done.stderr


@pytest.mark.parametrize("subjects, taken", [(3, 3), (4, 0)])
def test_dear_tests_of_few_subjects_run_with_their_change(tree, subjects, taken):
    near = [pytest.mark.full(near=f"row {i}") for i in range(subjects)]
    items = [Item(tree, "tests/test_rows.py", mark) for mark in near for _ in range(2)]
    items += [Item(tree, "tests/test_a.py"), Item(tree, "tests/test_a.py", *near[:1])]
    assert len(tiers.few(items)) == taken + 1
    assert ("tests/test_a.py", "row 0") in tiers.few(items)


def test_an_unknown_module_is_refused(tree):
    (tree / "jaxopt_lab/a.py").write_text("x = 1")
    change = tiers.Changed(tree, frozenset({"jaxopt_lab/a.py"}), None)
    item = Item(tree, "tests/test_rows.py", pytest.mark.reaches("jaxopt_lab.none"))
    with pytest.raises(pytest.UsageError, match=r"jaxopt_lab\.none"):
        change.reached([item])


def test_an_unknown_commit_is_refused(tree):
    with pytest.raises(ValueError):
        changes.base_commit(tree, "no-such-commit")


@pytest.mark.parametrize(
    "nodeid, group",
    [
        ("tests/test_a.py::test_x", "tests/test_a.py"),
        ("tests/test_a.py::test_x[a@b]", "tests/test_a.py"),
        ("tests/test_a.py::test_x[a@b]@rows", "rows"),
        ("tests/test_a.py::test_x@rows", "rows"),
    ],
)
def test_group(nodeid, group):
    assert groups.group_of(nodeid) == group


def test_limits():
    part = {"collected": 9, "selected": 5, "programs": 30, "seconds": 50.0, "peak": 2e9}
    total = counts.summed([part, {**part, "peak": 1e9}])
    assert total == {**part, "programs": 60, "seconds": 100.0}
    limits = {
        "tests collected, at least": 9,
        "programs compiled, at most": 60,
        "processor time over the reference, at most": 20,
    }
    assert counts.beyond(total, 5.0, limits) == []
    found = counts.beyond({**total, "collected": 8, "programs": 61}, 4.9, limits)
    assert found == [
        "8.0 tests collected, at least 9 allowed",
        "61.0 programs compiled, at most 60 allowed",
        "20.4 processor time over the reference, at most 20 allowed",
    ]
    assert set(json.loads(counts.LIMITS.read_text())) == set(limits)


def test_every_mark_of_a_row_names_modules_that_exist():
    graph = tiers.ImportGraph(pathlib.Path(__file__).parents[1])
    assert graph.reference("jaxopt_lab.transforms.sharpness:sam")
    assert not graph.reference("jaxopt_lab_of_others.sam")
