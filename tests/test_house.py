"""The rules of the house: what imports what, and what an import costs."""

import ast
import functools
import pathlib
import subprocess
import sys

import pytest

import jaxopt_lab

pytestmark = pytest.mark.always
PACKAGE = pathlib.Path(jaxopt_lab.__file__).parent
HEAVY = {
    "flax",
    "orbax",
    "tensorflow_datasets",
    "grain",
    "chex",
    "matplotlib",
    "rich",
    "tyro",
    "sklearn",
    "tensorboardX",
    "lineax",
    "optuna",
}
# What each room may import besides itself and ``core``; arrows run downwards only.
BELOW = {
    "core": set(),
    "transforms": set(),
    "layers": set(),
    "losses": set(),
    "metrics": set(),
    "curvature": set(),
    "diagnostics": {"curvature"},
    "quantize": set(),
    "controllers": set(),
    "training": set(),
    "data": set(),
    "recipes": {"losses", "layers", "metrics", "data", "training"},
    "runtime": {"training"},
    "inference": set(),
    "search": set(),
    "bilevel": set(),
    "plotting": set(),
    "catalog": "any room but lab",
    "lab": "any room",
}
ROOMS = {p.name for p in PACKAGE.iterdir() if (p / "__init__.py").exists()}


# One process imports them in this order: what one loads shows with those behind it.
ONE = "import optax, jaxopt_lab; jaxopt_lab.sam"
LIGHT = (
    "import optax",
    ONE,
    "jaxopt_lab.emo",
    "from jaxopt_lab import *",
    "import jaxopt_lab.catalog",
    "import jaxopt_lab.training",
    "import jaxopt_lab.bilevel",
    "import jaxopt_lab.plotting",
)


@functools.cache
def loaded_by(*statements):
    """The modules that are loaded after each statement in one process."""
    shown = "print(*sys.modules)"
    code = "\n".join(["import sys", *(f"{s}; {shown}" for s in statements)])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    lines = done.stdout.split("\n")
    return {s: set(line.split()) for s, line in zip(statements, lines, strict=False)}


@pytest.mark.parametrize("statement", LIGHT)
def test_import_loads_nothing_heavy(statement):
    # optax loads some of them itself where they are installed: not our doing.
    loaded = loaded_by(*LIGHT)
    assert not (loaded[statement] - loaded["import optax"]) & HEAVY


def new_modules(statement):
    """Modules of ours and of others that a statement loads in addition to optax's."""
    loaded = loaded_by(*LIGHT)
    new = loaded[statement] - loaded["import optax"]
    ours = {m for m in new if m.split(".")[0] == "jaxopt_lab"}
    return ours, new - ours


def test_one_method_loads_what_it_is_made_of():
    ours, others = new_modules(ONE)
    assert others == {"lazy_loader"}
    methods = modules_of("transforms.sharpness", ONE)
    assert methods == {"link", "perturbation", "sam"}
    # Each costs a fifth of a millisecond, a thousandth of what optax takes.
    assert len(ours) <= 35


def modules_of(room, statement):
    """Names of the new modules of a room."""
    found = {
        m for m in new_modules(statement)[0] if m.startswith(f"jaxopt_lab.{room}.")
    }
    return {m.removeprefix(f"jaxopt_lab.{room}.") for m in found}


def test_one_loss_loads_no_other():
    losses = {"emo", "cross_entropy", "targets"}
    assert modules_of("losses", "jaxopt_lab.emo") == losses


def test_all_methods_load_neither_their_neighbours_nor_more_of_jax():
    everything = "from jaxopt_lab import *"
    # No jax.extend above all: it loads Pallas.
    others = {"lazy_loader", "jax.experimental.custom_partitioning"}
    assert new_modules(everything)[1] <= others
    assert len(modules_of("losses", everything)) <= 5
    assert len(modules_of("metrics", everything)) <= 4


def test_what_a_statement_loads_is_seen():
    before, after = loaded_by("import json", "import rich").values()
    assert "rich" in after and "rich" not in before


def test_a_name_is_loaded_on_first_use():
    code = "import sys, jaxopt_lab; a = 'jax' in sys.modules; jaxopt_lab.sam; print(a)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False"]


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_method"):
        getattr(jaxopt_lab, "no_such_method")  # noqa: B009


def imports(path):
    """The rooms of the package that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "jaxopt_lab":
                found |= {alias.name for alias in node.names}
            elif node.module.startswith("jaxopt_lab."):
                found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("jaxopt_lab."):
                    found.add(alias.name.split(".")[1])
    return found


def allowed(path):
    """The rooms that a file of the package may import."""
    room = path.relative_to(PACKAGE).parts[0]
    below = BELOW.get(room, set())
    if below == "any room":
        return ROOMS
    if below == "any room but lab":
        return ROOMS - {"lab"}
    return {"core", room, *below}


def test_every_room_has_its_place():
    assert set(BELOW) >= ROOMS


@pytest.mark.parametrize(
    "path",
    sorted(PACKAGE.rglob("*.py")),
    ids=lambda p: str(p.relative_to(PACKAGE)),
)
def test_arrows_run_downwards(path):
    forbidden = imports(path) - allowed(path) - {"__version__"}
    assert not forbidden, f"{path} must not import {forbidden}"


def test_modules_are_small():
    """At most 400 lines, half of them at most 150."""
    lengths = {p: p.read_text().count("\n") for p in PACKAGE.rglob("*.py")}
    assert [str(p) for p, length in lengths.items() if length > 400] == []
    assert sorted(lengths.values())[len(lengths) // 2] <= 150


def test_public_names_are_sorted_and_documented():
    names = [n for n in jaxopt_lab.__all__ if not n.startswith("__")]
    assert names == sorted(names)
    assert all(getattr(jaxopt_lab, name).__doc__ for name in names)
