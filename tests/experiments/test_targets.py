"""What a train step costs by the compilers for a CPU and a TPU."""

import importlib.metadata
import json
import math
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from experiments.benchmarks import targets
from experiments.benchmarks.program_traffic import traffic
from experiments.benchmarks.targets_network import DenseNetwork, ManyLeaves
from jaxopt_lab import catalog

ROOT = Path(__file__).parents[2]

# What a TPU's text has that a CPU's has not: the small memory, S(1), and slices inside
# of fusions. Sizes in bytes: a [8,128] array of float32 is 4096.
PROGRAM = """HloModule jit_step, is_scheduled=true

%part (a: f32[8,128], b: s32[], c: f32[1,128]) -> f32[8,128] {
  %a = f32[8,128]{1,0:T(8,128)} parameter(0)
  %c = f32[1,128]{1,0:T(1,128)} parameter(2)
  %b = s32[]{:T(128)} parameter(1)
  %zero = s32[]{:T(128)} constant(0)
  %old = f32[1,128]{1,0:T(1,128)} dynamic-slice(%a, %b, %zero)
  %sum = f32[1,128]{1,0:T(1,128)} add(%old, %c)
  ROOT %put = f32[8,128]{1,0:T(8,128)} dynamic-update-slice(%a, %sum, %b, %zero)
}

%body (t: (s32[], f32[8,128])) -> (s32[], f32[8,128]) {
  %t = (s32[]{:T(128)}, f32[8,128]{1,0:T(8,128)}) parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%t), index=0
  %x = f32[8,128]{1,0:T(8,128)} get-tuple-element(%t), index=1
  %twice = f32[8,128]{1,0:T(8,128)} add(%x, %x)
  ROOT %out = (s32[]{:T(128)}, f32[8,128]{1,0:T(8,128)}) tuple(%i, %twice)
}

%more (u: (s32[], f32[8,128])) -> pred[] {
  %u = (s32[]{:T(128)}, f32[8,128]{1,0:T(8,128)}) parameter(0)
  ROOT %yes = pred[]{:T(512)} constant(true)
}

ENTRY %main (p: f32[8,128], q: s32[], r: f32[1,128]) -> f32[8,128] {
  %p = f32[8,128]{1,0:T(8,128)} parameter(0)
  %q = s32[]{:T(128)S(1)} parameter(1)
  %r = f32[1,128]{1,0:T(1,128)S(1)} parameter(2)
  %put.1 = f32[8,128]{1,0:T(8,128)} fusion(%p, %q, %r), kind=kLoop, calls=%part
  %start = (f32[8,128]{1,0:S(1)}, f32[8,128]{1,0}, u32[]{:S(2)}) copy-start(%put.1)
  %done = f32[8,128]{1,0:T(8,128)S(1)} copy-done(%start)
  %both = (s32[]{:T(128)}, f32[8,128]{1,0:T(8,128)}) tuple(%q, %done)
  %loop = (s32[], f32[8,128]{1,0}) while(%both), condition=%more, body=%bodyTRIPS
  ROOT %last = f32[8,128]{1,0:T(8,128)} get-tuple-element(%loop), index=1
}
"""


def test_bytes_of_slices_of_the_small_memory_and_of_loops():
    # A row is read and written in place, then all is copied into the small memory;
    # the loop takes x twice and gives one array, at each of its turns.
    before, turn = 2 * 512 + 4096, 3 * 4096
    trips = ', backend_config={"known_trip_count":{"n":"5"}}'
    assert traffic(PROGRAM.replace("TRIPS", trips)) == (before + 5 * turn, 0)
    assert traffic(PROGRAM.replace("TRIPS", "")) == (before, turn)


def test_a_step_by_the_compiler_for_the_cpu():
    network = DenseNetwork(32, 2)
    plain = targets.measure("sgd", "cpu", network)
    assert plain.parameters == 2 * 32 * 33 and plain.devices == 1
    assert plain.each("state") == pytest.approx(4, abs=0.01)
    # Parameters read and written, and read once more for the second product.
    assert plain.each("floor") == pytest.approx(12, abs=0.02)
    assert plain.peak >= plain.state and plain.moved >= plain.floor
    assert math.isfinite(plain.flops) and plain.unknown_loops == 0
    assert len(targets.cells(plain)) == len(targets._HEADINGS)


def test_the_leaves_of_a_gpt2():
    shapes, _ = ManyLeaves(148, 768).init()
    leaves = jax.tree.leaves(shapes)
    assert len(leaves) == 148 and sum(x.size for x in leaves) == 124_439_808
    assert targets.main(["sgd", "--leaves", "150"]) == 2


def test_seconds_over_those_of_adamw():
    network = ManyLeaves(16, 8)
    base, one = (targets.measure(x, "cpu", network) for x in ("adamw", "sgd"))
    assert targets.cells(one, base)[-1] == f"{one.start / base.start:.1f}"
    assert targets.cells(one)[-1] == ""


def test_loops_count_by_their_turns():
    def step(x):
        return jax.lax.fori_loop(0, 7, lambda i, x: jnp.sin(x) * 2, x)

    one = jax.ShapeDtypeStruct((4096,), jnp.float32)
    text = jax.jit(step).lower(one).compile().as_text()
    found = traffic(str(text))
    assert found.unknown == 0 and found.known >= 7 * 2 * 4096 * 4


def test_without_libtpu_the_command_says_what_to_install(monkeypatch, capsys):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    monkeypatch.setattr(targets, "_prepare", lambda devices: None)
    assert targets.main(["sgd", "--targets", "v5e"]) == 2
    said = capsys.readouterr().err
    assert "pip install 'jax[tpu]' (the extra plan-tpu)" in said
    assert said.count("\n") == 1
    assert targets.main(["sdg"]) == 2
    assert "perhaps you meant" in capsys.readouterr().err


@pytest.mark.full
def test_the_command_for_a_tpu_that_is_not_there(tmp_path):
    pytest.importorskip("libtpu")
    file = tmp_path / "figures.json"
    words = ["adamw", "adamw_cm", "--targets", "cpu", "v5e", "--zero"]
    words += ["--width", "512", "--depth", "2", "--json", str(file)]
    subprocess.run(
        [sys.executable, "-m", "experiments.benchmarks.targets", *words],
        cwd=ROOT,
        check=True,
        timeout=600,
    )
    rows = json.loads(file.read_text())
    assert {(r["target"], r["devices"]) for r in rows} == {
        (target, devices) for target in ("cpu", "v5e") for devices in (1, 4)
    }
    for row in rows:
        assert row["peak"] > row["state"] > 0 and row["moved"] > 0


CLAIMED = [
    row.name for row in catalog.of_kind("transform").values() if row.tpu_temp_bytes
]


@pytest.mark.full
@pytest.mark.parametrize("name", CLAIMED)
def test_temporaries_by_the_compiler_for_a_tpu_are_those_of_the_row(name, monkeypatch):
    """Matrices of 64 MB: a network that a TPU keeps in its fast memory has none."""
    pytest.importorskip("libtpu")
    monkeypatch.setenv("TPU_SKIP_MDS_QUERY", "1")
    monkeypatch.setenv("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
    found = targets.measure(name, "v5e", DenseNetwork(4096, 3)).each("temp")
    documented = catalog.get(name, "transform").bytes_per_parameter("tpu_temp")
    assert documented - 1.5 <= found <= documented + 0.1, f"{found:.2f}, {documented}"
