"""README and docs say what is true."""

import importlib
import inspect
import pathlib
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

import jaxopt_lab
from jaxopt_lab import catalog
from jaxopt_lab.catalog import tables
from jaxopt_lab.core.errors import InputError

pytestmark = pytest.mark.always
ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs" / "extensions"))
catalog_tables = importlib.import_module("catalog_tables")
public_names = importlib.import_module("public_names")
WITH_OPTIONS = {"targets"}  # benchmarks whose command has options on the page
README = (ROOT / "README.md").read_text()
PAGES = {
    page.name: page
    for page in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *sorted((ROOT / "docs").glob("*.md")),
    )
}


def between(start, end, page=README):
    return page.split(f"<!-- {start} -->\n")[1].split(f"<!-- {end} -->")[0]


def test_the_tables_of_the_catalog_are_current():
    page = between("catalog", "end of catalog", PAGES["catalog.md"].read_text())
    new = catalog_tables.linked(tables.page())
    assert page.strip() == new, f"docs/catalog.md is old; new:\n{new}"
    kinds = between("kinds", "end of kinds").strip()
    assert kinds == tables.kinds_table(), (
        f"README.md is old; new:\n{tables.kinds_table()}"
    )


def test_the_maps_of_the_kinds_have_all_parts_and_their_costs():
    texts = {name: page.read_text() for name, page in PAGES.items()}
    remedy = "run: python docs/extensions/catalog_tables.py"
    assert catalog_tables.rewritten(texts) == texts, remedy


def test_a_changed_cost_and_a_missing_part_are_seen():
    head = "<!-- map: search -->\n| a | b | space |\n| --- | --- | --- |\n"
    old = {"page": f"{head}| `nsga2` | scores | none |\n<!-- end of map -->"}
    new = catalog_tables.rewritten(old)["page"]
    assert "| none |" not in new
    assert [line for line in new.splitlines() if line.startswith("| `random_search` |")]


def test_the_first_choices_have_the_costs_of_the_catalog():
    table = between("choice", "end of choice", PAGES["choose.md"].read_text())
    rows = [line.strip("|").split(" | ") for line in table.splitlines()[2:]]
    assert len(rows) > 5
    for _, name, gradients, state, _, _ in rows:
        row = catalog.get(name.strip("` "))
        assert gradients == (row.gradients_formula or str(row.gradients)), name
        assert state == (row.state_text or row.state_bytes), name


def test_verdicts_stand_beside_their_parts():
    said = {"scale_invariance": "claims.md", "edge_of_stability": "claims.md"}
    maps = PAGES["transforms.md"].read_text() + PAGES["diagnostics.md"].read_text()
    for name, page in said.items():
        found = re.findall(rf"\[{name}\]\({page}#{name}\): ([^|;]*)", maps)
        summary = re.search(
            rf"^\| \[{name}\][^\n]*? \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|",
            PAGES[page].read_text(),
            re.MULTILINE,
        )
        assert found and summary
        words = ("shown", "contradicted", "undecided")
        counts = zip(summary.groups()[1:], words, strict=True)
        text = ", ".join(f"{n} {word}" for n, word in counts if n != "0")
        assert {cell.strip() for cell in found} == {text}


def test_the_pages_of_choices_name_rows_of_the_catalog():
    names = {
        row.name for kind in catalog.KINDS for row in catalog.of_kind(kind).values()
    }
    cells = re.findall(r"^\| [^|]* \| (.*?) \|", PAGES["choose.md"].read_text(), re.M)
    told = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert len(told) > 25
    assert set(told) <= names | {"BatchNorm"}


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 150


def blocks(name):
    return re.findall(r"```python\n(.*?)```", PAGES[name].read_text(), re.DOTALL)


@pytest.mark.full(plain=["README.md", "loops.md"])
@pytest.mark.parametrize("name", [name for name in PAGES if blocks(name)])
def test_the_examples_run(name):
    names = {}
    for code in blocks(name):  # a block may use the names of those before it
        # As in a notebook: no promise of strict ranks.
        with jax.numpy_rank_promotion("allow"):
            exec(code, names)
        f = names.get("final_loss")
        if f is not None and len(inspect.signature(f).parameters) == 1:
            slope = (f(0.0101) - f(0.0099)) / 2e-4
            assert jnp.allclose(names["jax"].grad(f)(0.01), slope, rtol=1e-2)
        if "numeric" in names:
            assert jnp.allclose(names["slope"], names["numeric"], rtol=1e-2)
        if name == "README.md":
            assert jnp.all(names["w"] > 0)
        if name == "CONTRIBUTING.md":
            layer = names["scale"](2, start=0.5)
            y, state = layer.apply(*layer.init(), jnp.ones((3, 2)), train=True)
            assert state == {} and jnp.all(y == 0.5)
            with pytest.raises(InputError, match="start"):
                names["scale"](2, start=2.0)


def test_the_commands_are_two_and_ci_reads_them():
    lines = [x for x in between("commands", "end").splitlines() if "```" not in x]
    assert len(lines) == 2
    train, tests = lines
    assert train.endswith("-m experiments.train method=sam task=digits")
    assert tests == ".venv/bin/python -m pytest -q"
    assert "README.md" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("name", PAGES)
def test_linked_files_exist(name):
    made = {f"api/{room}-room.md" for room in public_names.ROOMS}  # by the site
    made.add("api/index.md")
    for target in re.findall(r"\]\(([^)#:]+)\)", PAGES[name].read_text()):
        assert (PAGES[name].parent / target).exists() or target in made, target


def test_contributing_has_a_part_of_each_kind():
    text = PAGES["CONTRIBUTING.md"].read_text()
    line = re.compile(r"^\| ([a-z ]+) \| `(.*)/(\w+\.py)` \| `(catalog/.*)` \|", re.M)
    rows = line.findall(text)
    assert [kind for kind, *_ in rows] == list(catalog.KINDS)
    for _, room, file, row in rows:
        assert (ROOT / "jaxopt_lab" / room / file).exists()
        assert (ROOT / "tests" / room / f"test_{file}").exists()
        assert (ROOT / "jaxopt_lab" / row).exists()


def test_the_glossary_is_short():
    glossary = PAGES["CONTRIBUTING.md"].read_text().split("## Glossary")[1]
    rows = [x for x in glossary.split("## ")[0].splitlines() if x.startswith("|")]
    assert len(rows) <= 2 + 10


def test_commands_name_modules_that_exist():
    text = "".join(page.read_text() for page in PAGES.values())
    modules = set(re.findall(r"python -m (experiments[.\w]+)", text))
    assert "experiments.train" in modules
    for module in modules:
        place = ROOT / module.replace(".", "/")
        files = (place.with_suffix(".py"), place / "__main__.py")
        assert any(file.exists() for file in files), module


def test_the_version_is_the_same_everywhere():
    cited = re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.M)
    changed = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    version = jaxopt_lab.__version__.partition(".dev")[0]
    assert cited and changed
    assert version == changed[1]
    # Under development the last release is the one to cite.
    assert version == cited[1] or ".dev" in jaxopt_lab.__version__


def test_the_page_of_benchmarks_has_all_of_them():
    text = PAGES["benchmarks.md"].read_text()
    files = (ROOT / "experiments" / "benchmarks").glob("*.py")
    runs = {f.stem for f in files if "__main__" in f.read_text()}
    assert len(runs) > 20
    assert (
        not {name for name in runs if f"benchmarks.{name}`" not in text} - WITH_OPTIONS
    )


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
