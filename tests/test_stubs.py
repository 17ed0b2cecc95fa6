"""The package as an interpreter and a type checker see it: attributes, stubs."""

import ast
import pathlib
import subprocess
import sys

import pytest
from support import stubs

import jaxopt_lab

PACKAGE = pathlib.Path(jaxopt_lab.__file__).parent
ROOMS = sorted(p.parent.name for p in PACKAGE.glob("*/__init__.py"))


def test_rooms_and_trees_are_attributes_of_a_fresh_process():
    names = [f"jaxopt_lab.{room}.__name__" for room in [*ROOMS, "trees"]]
    code = f"import jaxopt_lab; print({', '.join(names)})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    rooms = [f"jaxopt_lab.{room}" for room in ROOMS]
    assert done.stdout.split() == [*rooms, "jaxopt_lab.core.trees"]


def test_rooms_stand_in_dir_and_in_the_stub_but_not_in_a_star_import():
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text())
    imported = {
        alias.name
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert {*ROOMS, "trees"} <= set(dir(jaxopt_lab)) & imported
    assert not {*ROOMS, "trees"} & set(jaxopt_lab.__all__)
    (names,) = (n.value for n in stub.body if isinstance(n, ast.Assign))
    assert sorted(ast.literal_eval(names)) == sorted(jaxopt_lab.__all__)


def test_a_name_hides_the_module_that_defines_it():
    # Loading the module first would leave it under the name of its function.
    code = (
        "import jaxopt_lab.losses.emo, jaxopt_lab.transforms.sharpness.sam; "
        "print(callable(jaxopt_lab.losses.emo), callable(jaxopt_lab.sam), "
        "callable(jaxopt_lab.transforms.sharpness.sam))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True"] * 3


def test_common_names_are_at_the_top():
    assert {"InputError", "BatchGrad", "maml"} <= set(jaxopt_lab.__all__)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("lookbehnd", "perhaps you meant 'lookbehind'"),
        ("trainnig", "perhaps you meant 'training'"),
        ("make_train_step", "perhaps you meant 'training.make_train_step'"),
        ("zzzzz", "has no attribute 'zzzzz'$"),
        ("__nothing__", "has no attribute '__nothing__'$"),
    ],
)
def test_a_wrong_attribute_names_the_nearest(name, meant):
    with pytest.raises(AttributeError, match=meant):
        getattr(jaxopt_lab, name)


@pytest.mark.parametrize("room", stubs.ROOMS)
def test_the_stub_of_a_room_shows_every_option(room):
    written = stubs.path_of(room).read_text()
    assert written == stubs.stub(room), "run `python -m support.stubs` in tests/"


def test_every_function_with_taken_options_is_in_a_stub():
    seen = [p for p in PACKAGE.rglob("*.py") if "\n@takes(" in p.read_text()]
    folders = [stubs.path_of(room).parent for room in stubs.ROOMS]
    assert all(any(f in path.parents for f in folders) for path in seen)


@pytest.mark.full
def test_a_type_checker_knows_every_public_signature(tmp_path):
    names = [n for n in jaxopt_lab.__all__ if n != "__version__"]
    lines = [f"reveal_type(jaxopt_lab.{name})" for name in [*names, "training"]]
    file = tmp_path / "names.py"
    file.write_text("import jaxopt_lab\n" + "\n".join(lines) + "\n")
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, str(file)],
        capture_output=True,
        text=True,
        cwd=PACKAGE.parent,
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("Type of") == len(lines)
    bad = [x for x in done.stdout.splitlines() if "Unknown" in x or '"(...)' in x]
    assert not bad, "\n".join(bad)
