"""The README says what is true."""

import pathlib
import re
import subprocess

import jax.numpy as jnp
import pytest

from jaxopt_lab import catalog

pytestmark = pytest.mark.always
ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def between(start, end):
    return README.split(f"<!-- {start} -->\n")[1].split(f"<!-- {end} -->")[0]


def test_the_catalog_table_is_current():
    table = catalog.markdown_table()
    assert between("catalog", "end of catalog").strip() == table, (
        f"the table in README.md is old; the new one is\n{table}"
    )


def test_the_examples_run():
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    first = blocks[0]
    (second,) = (code for code in blocks if "def final_loss" in code)
    names = {}
    exec(first, names)
    assert jnp.all(names["w"] > 0)
    names = {}
    exec(second, names)
    slope = (names["final_loss"](0.0101) - names["final_loss"](0.0099)) / 2e-4
    assert jnp.allclose(names["jax"].grad(names["final_loss"])(0.01), slope, rtol=1e-2)


def test_the_commands_are_two_and_ci_reads_them():
    lines = [x for x in between("commands", "end").splitlines() if "```" not in x]
    assert len(lines) == 2
    train, tests = lines
    assert train.endswith("-m experiments.train method=sam task=digits")
    assert tests == ".venv/bin/python -m pytest -q"
    assert "README.md" in (ROOT / ".ci" / "run").read_text()


def test_linked_files_exist():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_commands_name_modules_that_exist():
    modules = set(re.findall(r"python -m (experiments[.\w]+)", README))
    assert "experiments.train" in modules
    for module in modules:
        place = ROOT / module.replace(".", "/")
        files = (place.with_suffix(".py"), place / "__main__.py")
        assert any(file.exists() for file in files), module


def test_no_file_names_a_place_of_one_machine():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    files = [ROOT / name for name in listed.stdout.split()]
    texts = [
        f for f in files if f.suffix in {".py", ".md", ".toml", ""} and f.is_file()
    ]
    assert texts or listed.returncode != 0
    for file in texts:
        found = re.search(r"(?<![\w.])/(home|root|Users)/", file.read_text())
        assert found is None, f"{file}: {found}"
