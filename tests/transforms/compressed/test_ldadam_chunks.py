"""LDAdam in pieces of some columns: the same steps, and temporaries of a piece."""

import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import replay, vectors
from support.ldadam_cases import optimizer

from jaxopt_lab.training.fused_apply import FusedApplyRecorder
from jaxopt_lab.transforms.compressed.ldadam import ldadam
from jaxopt_lab.transforms.compressed.ldadam.chunks import ColumnChunks
from jaxopt_lab.transforms.compressed.low_rank import Layout


def normal(seed, *shape, dtype=jnp.float64):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


# Both sides, a convolution, with and without error: all that pieces know of.
@pytest.mark.full
@pytest.mark.parametrize(
    "name", ["default_rank4", "no_error_feedback", "rank1_proj_right", "conv_as_matrix"]
)
def test_vectors(name):
    case = vectors.load("ldadam", name)
    tx = optimizer(case, chunk=24)
    after, _ = replay.replay(case, tx)
    assert replay.worst(case, after) <= 1e-10


def trajectory(tx, params, grads, fused=False):
    def step(params, state, g):
        recorder = FusedApplyRecorder() if fused else None
        updates, state = tx.update(g, state, params, fused_apply=recorder)
        if recorder is None:
            return optax.apply_updates(params, updates), state
        return recorder.apply(params, updates), state

    state, run = tx.init(params), jax.jit(step)
    for g in grads:
        params, state = run(params, state, g)
    return params, state


@pytest.mark.parametrize(
    ("rows", "step"),
    [(12, 0), (111, 8), (20, 10), (36, 9), (44, 11), (28, 7)],
    ids=str,
)
def test_a_step_of_the_loop_is_near_the_asked_one(rows, step):
    # Eight rows are asked for; numbers from 4 to 12 that leave no rest are as good.
    layout = Layout((rows, 4), False, False)
    assert ColumnChunks.of(layout, 1, 32).step == step


SHAPES = {
    "left": (8, 1024),
    "kernel": (4, 32, 16),
    "rest": (8, 7 * 64),
    "stack": (2, 8, 1024),
}


@pytest.mark.full
@pytest.mark.parametrize("error", ["none", "float32", "bfloat16", "4-bit"])
def test_pieces_change_no_step(error):
    """Also where a part is left over, in stacks, and through the fused apply."""
    # Codes cut like numbers, so one of both takes what is left over, and stacks.
    shapes = {
        name: shape
        for name, shape in SHAPES.items()
        if error in ("float32", "4-bit") or name in ("left", "kernel")
    }
    make = lambda chunk: ldadam(
        lambda t: 0.01 / (1.0 + t),
        rank=3,
        weight_decay=0.1,
        error=error,
        stacked={name: name == "stack" for name in shapes},
        chunk=chunk,
    )
    draw = lambda seed: {
        name: normal(10 * seed + i, *shape)
        for i, (name, shape) in enumerate(shapes.items())
    }
    params, grads = draw(0), [draw(t) for t in range(1, 4)]
    whole = trajectory(make(None), params, grads)
    for fused in (False, True):
        pieces = trajectory(make(1024), params, grads, fused)
        chex.assert_trees_all_close(whole[0], pieces[0], rtol=0, atol=1e-11)
        for name in ("mu", "nu"):
            parts = [getattr(x[1], name) for x in (whole, pieces)]
            chex.assert_trees_all_close(
                *(jax.tree.map(jnp.abs, x) for x in parts), rtol=0, atol=1e-10
            )


@pytest.mark.full
def test_the_derivative_is_that_of_the_whole():
    params, g = normal(0, 8, 1024), normal(1, 8, 1024)

    def last(g, chunk):
        tx = ldadam(0.1, rank=3, chunk=chunk)
        state, w = tx.init(params), params
        for _ in range(2):
            updates, state = tx.update(g * w, state, w)
            w = w + updates
        return jnp.sum(jnp.cos(w))

    found = [jax.jit(jax.grad(lambda g, c=c: last(g, c)))(g) for c in (None, 1024)]
    np.testing.assert_allclose(*found, atol=1e-9)


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("block", [1, 64])
def test_pieces_cut_no_block(left, block):
    shape = (64, 4096) if left else (4096, 64)
    layout = Layout(shape, stacked=False, left=left)
    cut = ColumnChunks.of(layout, block, 8192)
    assert cut.step
    each = 64 * cut.unit * (cut.step if left else 1)
    assert each % block == 0 and cut.unit * (1 if left else 64) % block == 0


@pytest.mark.parametrize("devices", [1, 4])
def test_pieces_divide_the_columns_where_a_number_near_the_wanted_one_does(
    devices, monkeypatch
):
    monkeypatch.setattr(jax, "device_count", lambda: devices)
    rows, inexact = 16, 0
    for columns in (*range(25, 200, 7), 1024, 1440):
        layout = Layout((columns, rows), stacked=False, left=False)
        for chunk in range(2, 60):
            cut = ColumnChunks.of(layout, 1, chunk * rows)
            groups = devices if columns % devices == 0 else 1
            each, wanted = columns // groups, max(1, chunk // groups)
            if 2 * wanted > each:
                assert not cut.step
                continue
            apart = lambda n, wanted=wanted: abs(n - wanted)
            even = [n for n in range(1, each + 1) if each % n == 0]
            even = [n for n in even if wanted <= 2 * n <= 3 * wanted]
            assert (cut.groups, cut.step) == (
                groups,
                min(even, key=apart, default=wanted),
            )
            inexact += cut.step != wanted
    assert inexact > 50


# Bytes a parameter: pieces of 16384 elements, of which some ten are alive, and the
# updates, where they are wanted. Columns are cut one run at a time here, which XLA
# would read by a plain slice, and then copy what is overwritten.
@pytest.mark.full
@pytest.mark.parametrize(
    ("error", "fused"),
    [("none", True), ("bfloat16", True), ("4-bit", True), ("bfloat16", False)],
)
def test_temporaries_are_pieces(error, fused, monkeypatch):
    # The suite's eight virtual devices would cut the pieces into eight runs each.
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    shapes = {
        "left": jax.ShapeDtypeStruct((512, 2048), jnp.float32),
        "right": jax.ShapeDtypeStruct((2048, 512), jnp.float32),
    }
    tx = ldadam(1e-3, error=error, chunk=16_384)
    state = jax.eval_shape(tx.init, shapes)

    def step(params, state, g):
        recorder = FusedApplyRecorder() if fused else None
        updates, state = tx.update(g, state, params, fused_apply=recorder)
        if recorder is None:
            return optax.apply_updates(params, updates), state
        return recorder.apply(params, updates), state

    fn = jax.jit(step, donate_argnums=(0, 1))
    memory = fn.lower(shapes, state, shapes).compile().memory_analysis()
    per = memory.temp_size_in_bytes / 2**21
    print(f"{error}: {per:.3f}")
    assert per <= (0.5 if fused else 4.5)


@pytest.mark.full
def test_products_need_no_repacking(monkeypatch):
    """Every large product contracts the last axis with the first."""
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    shapes = {
        "left": jax.ShapeDtypeStruct((128, 1024), jnp.float32),
        "right": jax.ShapeDtypeStruct((1024, 128), jnp.float32),
    }
    tx = ldadam(1e-3, rank=8, chunk=16_384)
    state = jax.eval_shape(tx.init, shapes)
    text = jax.jit(tx.update).lower(shapes, state, shapes).compile().as_text()
    products = [line for line in text.splitlines() if " dot(" in line]
    form = "lhs_contracting_dims={1}, rhs_contracting_dims={0}"
    others = [line for line in products if form not in line]
    # Of two bases, once a step.
    assert all(re.search(r"f32\[8,8\]", line) for line in others)
    assert len(products) - len(others) >= 12
