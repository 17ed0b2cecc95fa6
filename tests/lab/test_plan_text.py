"""Programs read from their text: executions, operations, bytes on the wire."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from jaxopt_lab.lab.plan import wire, work
from jaxopt_lab.lab.plan.module_text import Array, read_module
from jaxopt_lab.lab.plan.partitioned import compile_partitioned
from jaxopt_lab.training import make_mesh

LAYERS, WIDTH, HIDDEN, BATCH = 6, 16, 64, 32


def network(params, x):
    def layer(x, p):
        return jnp.tanh(x @ p[0]) @ p[1], None

    return jnp.sum(jax.lax.scan(layer, x, params)[0])


@pytest.fixture(scope="module")
def program():
    mesh = make_mesh("data:4,model:2")

    def shaped(shape, *spec):
        there = NamedSharding(mesh, P(*spec))
        return jax.ShapeDtypeStruct(shape, jnp.bfloat16, sharding=there)

    params = (
        shaped((LAYERS, WIDTH, HIDDEN), None, None, "model"),
        shaped((LAYERS, HIDDEN, WIDTH), None, "model"),
    )
    x = shaped((BATCH, WIDTH), "data")
    found = compile_partitioned(jax.jit(jax.grad(network)).lower(params, x))
    assert found.exact
    return read_module(found.text)


def test_operations_are_those_of_a_hand_formula(program):
    products = 3 * 2  # forward, and two backward, of two matrices
    per_device = products * 2 * BATCH * WIDTH * HIDDEN * LAYERS / 8
    assert work.flops(program) == per_device


def test_bytes_on_the_wire_are_those_of_a_hand_formula(program):
    found = wire.by_axis(wire.sent(program, {"data": 4, "model": 2}))
    activations = BATCH // 4 * WIDTH * 2
    gradient = WIDTH * HIDDEN // 2 * 2
    assert found == {
        ("all-reduce", ("model",)): 2 * LAYERS * 2 * 1 / 2 * activations,
        ("all-reduce", ("data",)): 2 * LAYERS * 2 * 3 / 4 * gradient,
    }


def test_a_final_text_knows_its_trip_counts_too():
    f = lambda x: jax.lax.fori_loop(0, 7, lambda _, x: x @ x, x)
    compiled = jax.jit(f).lower(jnp.ones((4, 4), jnp.float32)).compile()
    assert work.flops(read_module(compiled.as_text())) == 7 * 2 * 4**3


def test_an_operand_may_be_one_array_of_a_tuple():
    """As newer XLA writes what a loop carries."""
    text = """ENTRY %main (p: (s32[], f32[2,3])) -> f32[2,5] {
  %p = (s32[], /*index=1*/f32[2,3]{1,0}) parameter(0)
  %w = f32[3,5]{1,0} parameter(1)
  ROOT %d = f32[2,5]{1,0} dot(%p#1, %w), lhs_contracting_dims={1}
}
"""
    assert work.flops(read_module(text)) == 2 * 2 * 3 * 5


def test_an_unknown_trip_count_is_unknown_and_not_one():
    f = lambda x: jax.lax.while_loop(lambda x: x[0, 0] < 9, lambda x: x @ x, x)
    compiled = jax.jit(f).lower(jnp.ones((4, 4), jnp.float32)).compile()
    assert np.isnan(work.flops(read_module(compiled.as_text())))


@pytest.mark.full(plain=["2-2", "4-1", "1-3"])
@pytest.mark.parametrize("groups, stride", [(1, 1), (2, 2), (4, 1), (1, 3)])
def test_convolutions_and_their_gradients_count_pixels_that_meet_taps(groups, stride):
    x = jnp.ones((2, 8, 8, 4), jnp.float32)
    kernel = jnp.ones((3, 3, 4 // groups, 8), jnp.float32)

    def f(x, kernel):
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            (stride, stride),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )

    def counted(f):
        return work.flops(read_module(jax.jit(f).lower(x, kernel).compile().as_text()))

    # With an image and a kernel of ones each result is the number of its products.
    once = 2 * float(jnp.sum(f(x, kernel)))
    squares = lambda x, kernel: jnp.sum(f(x, kernel) ** 2)
    assert counted(f) == once
    assert counted(jax.grad(squares, 0)) == 2 * once
    assert counted(jax.grad(squares, (0, 1))) == 3 * once


def collective(line, devices=8, mesh=None):
    operands = "\n".join(f"  %{n} = {t} parameter(0)" for n, t in line[1].items())
    text = f"ENTRY %main (p: f32[]) -> f32[] {{\n{operands}\n  {line[0]}\n}}\n"
    return wire.sent(read_module(text), mesh or {"data": devices})


REDUCED = "%a = f32[3,5]{1,0} all-reduce(%b), channel_id=1, "


@pytest.mark.parametrize(
    "groups, axes, size",
    [
        ("replica_groups={{0,1,2,3},{4,5,6,7}}, to_apply=%add", ("y",), 4),
        ("replica_groups=[2,4]<=[8], to_apply=%add", ("y",), 4),
        ("replica_groups=[4,2]<=[2,4]T(1,0), to_apply=%add", ("x",), 2),
        ("replica_groups=mesh['axis_0'=2,'axis_1'=4] {'axis_0'}", ("x",), 2),
        ("replica_groups=mesh['a'=2,'b'=4] {'a','b'}", ("x", "y"), 8),
        (
            "replica_groups=mesh['a'=4,'b'=2], device_ids=([2,4]T(1,0)) {'a'}",
            ("y",),
            4,
        ),
        ("replica_groups={}, to_apply=%add", ("x", "y"), 8),
        ("to_apply=%add", ("x", "y"), 8),
        ("replica_groups={{0,1},{2,3},{4,5},{6,7}}", ("?",), 2),
    ],
)
def test_every_spelling_of_the_groups(groups, axes, size):
    (one,) = collective(
        (REDUCED + groups, {"b": "f32[3,5]{1,0}"}), mesh={"x": 2, "y": 4}
    )
    assert one == wire.Sent("all-reduce", axes, Array("f32", (3, 5)), size, 1.0)


def test_groups_in_an_unknown_spelling_are_refused():
    with pytest.raises(ValueError, match="unknown spelling"):
        collective((REDUCED + "replica_groups=<all>", {"b": "f32[3,5]{1,0}"}))


@pytest.mark.parametrize(
    "line, operands, kind, bytes_sent",
    [
        (
            "%a = (f64[2]{0}, bf16[]) all-reduce(%b, %c), replica_groups={{0,1}}",
            {"b": "f64[2]{0}", "c": "bf16[]"},
            "all-reduce",
            18.0,
        ),
        (
            "%a = f32[8]{0} all-gather(%b), replica_groups={{0,1,2,3}}",
            {"b": "f32[2]{0}"},
            "all-gather",
            24.0,
        ),
        (
            "%a = (f32[2], f32[8]) all-gather-start(%b), replica_groups=[2,4]<=[8]",
            {"b": "f32[2]{0}"},
            "all-gather",
            24.0,
        ),
        (
            "%a = f32[2]{0} reduce-scatter(%b), replica_groups={{0,1,2,3}}",
            {"b": "f32[8]{0}"},
            "reduce-scatter",
            24.0,
        ),
        (
            "%a = f32[8]{0} all-to-all(%b), replica_groups={{0,1,2,3}}",
            {"b": "f32[8]{0}"},
            "all-to-all",
            24.0,
        ),
        (
            "%a = f32[8]{0} collective-permute(%b), source_target_pairs={{0,1},{1,0}}",
            {"b": "f32[8]{0}"},
            "collective-permute",
            32.0,
        ),
    ],
)
def test_bytes_of_every_kind(line, operands, kind, bytes_sent):
    found = collective((line, operands))
    assert {one.kind for one in found} == {kind}
    assert sum(one.ring_bytes for one in found) == bytes_sent


def test_what_stays_on_a_device_sends_nothing():
    line = (REDUCED + "replica_groups={{0},{1}}", {"b": "f32[3,5]{1,0}"})
    assert collective(line) == []


def test_text_that_is_no_program():
    with pytest.raises(ValueError, match="no program"):
        read_module("nothing")
