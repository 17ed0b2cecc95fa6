"""The graph of imports follows names to the files that define them."""

import pathlib

import pytest
from support.import_graph import ImportGraph

FILES = {
    "jaxopt_lab/__init__.py": (
        "import lazy_loader\n"
        "__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)\n"
    ),
    "jaxopt_lab/__init__.pyi": "from .room import near as near, far\n",
    "jaxopt_lab/ground.py": "",
    "jaxopt_lab/room/__init__.py": (
        "from jaxopt_lab.room.near import near\nfrom jaxopt_lab.room.far import far\n"
    ),
    "jaxopt_lab/room/near.py": "from jaxopt_lab import ground\nground.x\n",
    "jaxopt_lab/room/far.py": "def far():\n    from jaxopt_lab.room import late\n",
    "jaxopt_lab/room/late.py": "",
    "experiments/__init__.py": "",
    "experiments/code/__init__.py": "from experiments import other\nX = other.x()\n",
    "experiments/code/part.py": "",
    "experiments/other.py": "",
    "tests/support/__init__.py": "",
    "tests/support/help.py": "from jaxopt_lab.room import far\n",
}


def reached(text):
    """What a test file with this text depends on, as a set of module names."""
    files = {**FILES, "tests/test_it.py": text}
    python = [path for path in files if path.endswith(".py")]
    graph = ImportGraph(pathlib.Path("."), lambda p: files.get(p, ""), python)
    found = graph.closure(["tests/test_it.py"])
    return {
        path.removesuffix(".py").removesuffix("/__init__").rpartition("/")[2]
        for path in found - {"tests/test_it.py"}
        if ":" not in path
    }


@pytest.mark.parametrize(
    "text, names",
    [
        ("from jaxopt_lab.room import near", {"near", "ground"}),
        ("from jaxopt_lab.room.near import near", {"near", "ground"}),
        ("import jaxopt_lab\njaxopt_lab.near()", {"near", "ground"}),
        ("import jaxopt_lab\njaxopt_lab.room.far()", {"far", "late"}),
        ("import jaxopt_lab as j\nj.far", {"far", "late"}),
        ("from jaxopt_lab import room\nroom.near(1).far", {"near", "ground"}),
        ("import jaxopt_lab.room.far", {"far", "late"}),
        ("from jaxopt_lab.room import late", {"late"}),
        ("from support import help\nhelp.x", {"help", "far", "late"}),
        ("import jaxopt_lab\njaxopt_lab.__file__", set()),
        ("import numpy, jax", set()),
        # A package held as a value may give anything.
        ("from jaxopt_lab import room\ngetattr(room, n)", None),
        ("from jaxopt_lab.room import *", None),
        # A package file with code of its own runs with any part of it.
        ("from experiments.code import part", {"part", "code", "other"}),
        # Names in strings, as those of a catalog and of commands.
        ("row('jaxopt_lab.room.near:near')", {"near", "ground"}),
        ("run('import jaxopt_lab; jaxopt_lab.room.far()')", {"far", "late"}),
        ("run('-m experiments.other')", {"other"}),
        ('"""As jaxopt_lab.room.near does."""', set()),
    ],
)
def test_dependencies(text, names):
    whole = {"room", "near", "ground", "far", "late"}
    assert reached(text) == (whole if names is None else names)


def test_stops_are_neither_entered_nor_passed():
    files = {"jaxopt_lab/a.py": "import jaxopt_lab.b", "jaxopt_lab/b.py": ""}
    graph = ImportGraph(pathlib.Path("."), files.__getitem__, files)
    stops = lambda path: path.endswith("b.py")
    assert graph.closure(["jaxopt_lab/a.py"], stops) == {"jaxopt_lab/a.py"}
