"""The rows of the catalog: complete, loadable, of a kind, free to import."""

import dataclasses
import subprocess
import sys

import chex
import jax
import jax.numpy as jnp
import pytest

from jaxopt_lab import catalog
from jaxopt_lab.catalog import KINDS, Neutral, Part, schema, tables
from jaxopt_lab.core.errors import InputError

SAM = catalog.get("sam", "transform")


def changed(**fields):
    return dataclasses.replace(SAM, name="mine", **fields)


@pytest.mark.parametrize("row", catalog.CATALOG.values(), ids=lambda row: row.name)
def test_the_row_is_sound(row):
    assert row.faults() == []
    assert row.summary and not row.summary.endswith(".")
    assert row.checked({}) == row.defaults()
    assert not row.own or row.load().__doc__ if row.kind == "transform" else True


@pytest.mark.parametrize(
    "row, words",
    [
        (changed(build="no.such.module:x"), "no.such.module:x does not exist"),
        (changed(build="jaxopt_lab:smm"), "jaxopt_lab:smm does not exist"),
        (changed(build="jaxopt_lab.sam"), "must be written module:attribute"),
        (changed(reduces_to=None), "reduces_to must be a Neutral; there is none"),
        (
            changed(reduces_to=Neutral({"rh": 0.0}, "optax:identity")),
            "reduces_to sets rh, which is no argument",
        ),
        (changed(options=("rhoo",)), "unknown argument of sam 'rhoo'"),
        (changed(options=("perturb",)), "unknown argument of sam 'perturb'"),
        (changed(example="tests:none"), "tests:none does not exist"),
    ],
)
def test_a_fault_is_one_line_that_names_the_row(row, words):
    (line,) = row.faults()
    assert line.startswith("mine: ") and words in line and "\n" not in line


def test_an_option_without_default_is_refused():
    row = dataclasses.replace(
        catalog.get("adam_cm"), name="mine", options=("learning_rate",), overrides={}
    )
    assert row.faults() == ["mine: option learning_rate has no default"]


def test_unknown_kinds_and_names_are_refused():
    with pytest.raises(InputError, match="unknown kind 'layr'; perhaps you meant 'la"):
        catalog.of_kind("layr")
    with pytest.raises(InputError, match="unknown method 'smm'; perhaps you meant"):
        catalog.get("smm", "transform")
    with pytest.raises(InputError, match="unknown layer 'sam'"):
        catalog.get("sam", "layer")
    with pytest.raises(InputError, match="unknown part 'smm'"):
        catalog.get("smm")


def test_names_are_unique_over_kinds_and_kinds_are_known():
    with pytest.raises(InputError, match="^sam: a transform and a transform have"):
        catalog.by_name([SAM, SAM])

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Gadget(Part):
        kind = "gadget"

    gadget = Gadget(name="g", summary="", build="math:sqrt", reduces_to=SAM.reduces_to)
    with pytest.raises(InputError, match="^g: unknown kind 'gadget'; accepted: tran"):
        catalog.by_name([gadget])


def test_kinds_have_a_title_and_a_table():
    assert list(KINDS) == [
        "transform",
        "layer",
        "loss",
        "metric",
        "diagnostic",
        "quantizer",
        "controller",
        "recipe",
        "decoder",
        "search",
        "data transform",
        "estimator",
        "initializer",
    ]
    for kind, row in KINDS.items():
        assert issubclass(row, schema.Part) and row.kind == kind
        lines = tables.markdown_table(kind).splitlines()
        assert len(lines) == 2 + len(catalog.of_kind(kind))
        assert len({line.count(" | ") for line in lines}) == 1
        assert kind in tables.kinds_table()
        tables.listing(kind)


def test_a_row_of_another_kind_is_listed_with_its_facts():
    row = schema.Loss(
        name="l1",
        summary="absolute error",
        build="math:fabs",
        reduces_to=Neutral({}, "math:fabs"),
        lower_bound=0.0,
        invariance="a sign",
    )
    assert tables._entry(row) == (
        "l1: absolute error\n    unchanged by: a sign; at least: 0"
    )
    assert row.make(-2.0) == 2.0 and row.inputs() == {}


def test_the_import_loads_neither_jax_nor_optax():
    code = (
        "import sys, jaxopt_lab.catalog.tables; "
        "print(*[m for m in ('jax', 'optax', 'numpy', 'flax', 'tyro') "
        "if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_options_are_checked():
    with pytest.raises(InputError, match=r"rho=-1 is out of range; accepted: \[0, inf"):
        SAM.make(rho=-1)
    with pytest.raises(InputError, match="unknown option of sam 'roh'"):
        SAM.make(roh=1)
    row = changed(fixed=frozenset({"rho"}), overrides={"rho": 0.2})
    if not isinstance(row.options, dict):
        assert row.numeric == () and row.defaults()["rho"] == 0.2


@pytest.mark.full
def test_sm3_takes_a_schedule_and_a_scalar():
    params = {"w": jnp.ones((2, 3)), "s": 2.0}
    grads = {"w": jnp.full((2, 3), 0.5), "s": 3.0}
    tx = catalog.CATALOG["sm3"].load()(lambda count: 0.1 * (count + 1))
    plain = catalog.CATALOG["sm3"].load()(0.1)
    state, other = tx.init(params), plain.init(params)
    for t in range(2):
        updates, state = tx.update(grads, state, params)
        wanted, other = plain.update(grads, other, params)
        assert updates["s"].shape == ()
        chex.assert_trees_all_close(
            updates, jax.tree.map(lambda u, t=t: (t + 1) * u, wanted), rtol=1e-12
        )
