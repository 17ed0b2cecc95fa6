"""Public names say what they take and give; the site shows all of them."""

import importlib
import inspect
import pathlib
import re
import sys

import pytest

from jaxopt_lab import catalog
from jaxopt_lab.catalog import part

pytestmark = pytest.mark.always
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "docs" / "extensions"))
names = importlib.import_module("public_names")


def value_of(name):
    return value_of_text(name.exported)


def value_of_text(exported):
    package, _, own = exported.rpartition(".")
    return getattr(importlib.import_module(package), own)


def incomplete(name):
    """What the docstring of a public name lacks."""
    value = value_of(name)
    doc = inspect.getdoc(value) or ""
    if name.kind == "class":
        protocol = getattr(value, "_is_protocol", False)
        told = protocol or "Attributes:" in doc or "Args:" in doc
        return [] if told else ["Attributes:"]
    signature = inspect.signature(value)
    parameters = signature.parameters
    sections = [("Args:",)] * bool(parameters)
    if signature.return_annotation not in (None, "None"):
        sections.append(("Returns:", "Yields:"))
    lacking = [words[0] for words in sections if not any(w in doc for w in words)]
    return lacking + [p for p in parameters if "Args:" in doc and p not in doc]


@pytest.mark.parametrize("room", names.ROOMS)
def test_docstrings_are_complete(room):
    found = names.public_names(room)
    assert found
    lacking = {name.exported: incomplete(name) for name in found}
    assert not {name: what for name, what in lacking.items() if what}


def test_every_part_of_the_catalog_has_its_page():
    pages = {name.exported for room in names.ROOMS for name in names.public_names(room)}
    own = {id(value_of_text(exported)) for exported in pages}
    rows = [row for kind in catalog.KINDS for row in catalog.of_kind(kind).values()]
    builds = {row.name: row.build for row in rows if "jaxopt_lab" in str(row.build)}
    assert len(builds) > 100
    lacking = [
        name
        for name, build in builds.items()
        if "catalog.adapters" not in build and id(part.loaded(build)) not in own
    ]
    assert not lacking


def test_parts_have_an_example_errors_a_cost_and_a_source():
    rows = [row for kind in catalog.KINDS for row in catalog.of_kind(kind).values()]
    own = [r for r in rows if "jaxopt_lab" in str(r.build)]
    docs = {
        row.name: inspect.getdoc(part.loaded(row.build)) or ""
        for row in own
        if "catalog.adapters" not in row.build
    }
    assert len(docs) > 150
    # An alias and a neighbour refer to another part; greedy decoding is a definition.
    cost = re.compile(
        r"[Bb]ytes?|[Mm]emory|[Cc]osts?\b|O\(|passes|quadratic|evaluations|products"
        r"|flops|[Kk]ept for\s+the\s+gradient|(is|are)\s+kept|Time:|[Oo]ne pass|State:"
    )
    source = re.compile(r"Sources?|[Rr]eferences?|OURS|[Aa]s ``|``\w+``\.|https?://")
    lacking = {
        name: [
            what
            for what, there in (
                (">>>", ">>>" in doc),
                ("Raises", re.search("Raises|[Ee]rrors", doc)),
                ("Cost", cost.search(doc)),
                ("Source", source.search(doc) or name == "greedy"),
            )
            if not there
        ]
        for name, doc in docs.items()
    }
    assert not {name: what for name, what in lacking.items() if what}


def test_every_room_has_its_page():
    package = pathlib.Path(importlib.import_module(names.PACKAGE).__file__).parent
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}
    assert rooms == {room.partition(".")[0] for room in names.ROOMS}
