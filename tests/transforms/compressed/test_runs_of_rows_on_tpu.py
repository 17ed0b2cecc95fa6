"""The chunk loop over runs of rows, a form for TPUs, run on CPU: the same numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxopt_lab
from jaxopt_lab.core import per_leaf
from jaxopt_lab.transforms.compressed import block_top_k, chunks
from jaxopt_lab.transforms.compressed.microadam import state

# Blocks of 128 elements: two rows; a row and a third; more than there are
SHAPES = {"w": (64, 64), "odd": (16, 96), "b": (96,)}


def arrays(seed):
    draw = np.random.default_rng(seed)
    return {n: draw.normal(size=s).astype(np.float32) for n, s in SHAPES.items()}


def two_steps():
    tx = jaxopt_lab.microadam(
        1e-2, density=0.05, window=3, block_size=128, quant_block=32, chunk=512
    )
    params = arrays(0)
    first = jax.jit(tx.init)(params)

    def step(carry, grads):
        updates, state = tx.update(grads, carry[1], carry[0])
        return (jax.tree.map(jnp.add, carry[0], updates), state), None

    grads = jax.tree.map(lambda *x: np.stack(x), arrays(1), arrays(2))
    return jax.jit(lambda p, s: jax.lax.scan(step, (p, s), grads)[0])(params, first)


def forget():
    """Forget the traces, which are those of another platform."""
    per_leaf._run_once.clear_cache()
    state._kernel_step.clear_cache()


def traced_for(platform, monkeypatch):
    for module in (chunks, block_top_k):
        monkeypatch.setattr(module, "traced_for", lambda *_: platform)
    forget()
    return jax.tree.leaves(two_steps())


def test_a_step_is_that_of_whole_tensors(monkeypatch):
    cut = []
    in_runs = chunks._in_runs_of_rows

    def counted(*arguments):
        cut.append(arguments[3:])
        return in_runs(*arguments)

    monkeypatch.setattr(chunks, "_in_runs_of_rows", counted)
    whole = traced_for("gpu", monkeypatch)
    assert not cut
    runs = traced_for("tpu", monkeypatch)
    forget()
    assert set(cut) == {((64, 64), 2), ((16, 96), 2)}
    for x, y in zip(runs, whole, strict=True):
        if jnp.issubdtype(x.dtype, jnp.floating):
            np.testing.assert_allclose(x, y, rtol=2e-6, atol=1e-7)
        else:
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(
    "shape, others, unit, number",
    [
        ((4096, 4096), [(4096, 64)], 4096, 128),  # 32 rows, whole tiles
        ((1024, 1024), [(256, 410)], 4096, 16),  # 64 rows, a chunk
        (
            (3, 3, 512, 512),
            [(3, 512)],
            4096,
            3,
        ),  # less than 32 rows are better than all
        ((1024, 1024), [(4, 7)], 4096, 4),  # of another array there are no more
        ((1024, 1024), [()], 4096, 1),  # a number belongs to the whole
        ((1021, 1024), [], 4096, 1),  # blocks across every cut
        ((64, 64), [], 64, 1),  # a chunk is the whole of it
    ],
)
def test_the_number_of_runs(shape, others, unit, number, monkeypatch):
    monkeypatch.setattr(chunks, "traced_for", lambda *_: "tpu")
    given = [jax.ShapeDtypeStruct(s, jnp.float32) for s in (shape, *others)]
    assert chunks._runs_of_rows(given, shape, unit, chunks.CHUNK) == number
    monkeypatch.setattr(chunks, "traced_for", lambda *_: "gpu")
    assert chunks._runs_of_rows(given, shape, unit, chunks.CHUNK) == 1
