"""Messages of every method, counted in the module after the partitioner."""

import re

import jax
import pytest
from support import cases

from experiments.benchmarks import communication
from jaxopt_lab import catalog
from jaxopt_lab.core.errors import InputError

CATALOG = catalog.of_kind("transform")

WAYS = {way.name: way for way in communication.WAYS}
ONE = 7.0
"""Bytes a parameter of one all-reduce of a float32 gradient: 2 * 7 / 8 * 4."""

# Products, decompositions and statistics of the whole matrix, divided by the compiler.
MORE = {
    "muon": 10.0,
    "ldadam": 9.1,
    **dict.fromkeys(("sm3", "adam_mini", "quantize_updates"), 7.02),
    **dict.fromkeys(("adamp", "sgdp", "project_radial"), 7.03),
    "agvm": 14.001,
}


@pytest.fixture(autouse=True)
def as_in_the_command():
    # The suite runs in float64.
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        yield


def gradients(row):
    """At how many places a step asks the whole batch for its gradient."""
    # The shards of msam are parts of a device's part. agvm sends one half more.
    return {"msam": 1, "agvm": 2}.get(row.name, row.gradients)


@pytest.mark.full
@pytest.mark.parametrize("row", cases.plain(CATALOG.values(), {"sam"}))
def test_each_gradient_is_sent_once(row):
    found = communication.measure(row.name, WAYS["per device"]).sent
    assert found == {"all-reduce": pytest.approx(ONE * gradients(row), rel=1e-3)}


@pytest.mark.full
@pytest.mark.parametrize(
    "way", cases.plain(["per device", "shard_map"], {"per device"})
)
def test_local_perturbations_send_one_gradient(way):
    found = communication.measure("sam sync=local", WAYS[way]).sent
    assert found == {"all-reduce": pytest.approx(ONE)}


@pytest.mark.parametrize("row", cases.plain(CATALOG.values(), {"adamw"}))
def test_a_divided_state_needs_no_all_to_all(row):
    way = WAYS["ZeRO jit"]._replace(options={"per_device": True})
    found = communication.measure(row.name, way)
    assert found.sent.keys() <= {"all-reduce", "all-gather"}
    most = MORE.get(row.name, ONE * gradients(row) + 1e-3)
    assert found.sent["all-reduce"] <= most
    if row.name != "sgd":
        # Scalars, keys and what is shorter than the number of devices stay whole.
        assert found.share == pytest.approx(1 / communication.DEVICES, rel=0.01)


@pytest.mark.parametrize(
    "row", cases.plain((r for r in CATALOG.values() if r.elementwise), {"adamw"})
)
def test_explicit_zero_sends_as_much_as_plain(row):
    found = communication.measure(row.name, WAYS["ZeRO shard_map"]).sent
    half = pytest.approx(ONE / 2)
    if row.name == "sgd":  # nothing to divide
        assert found == {"all-reduce": pytest.approx(ONE)}
    else:
        assert found == {"reduce-scatter": half, "all-gather": half}


@pytest.mark.parametrize("name", ["soap", "lamb"])
def test_explicit_zero_refuses_what_is_not_elementwise(name):
    with pytest.raises(InputError, match="a sharded state"):
        communication.measure(name, WAYS["ZeRO shard_map"])


def test_the_command_names_what_it_does_not_know(capsys):
    with pytest.raises(SystemExit):
        communication.main(["admw"])
    assert re.search("unknown method 'admw'.*'adamw'", capsys.readouterr().err)
