"""MicroAdam: exact equalities, selection, bytes, derivatives, skipped steps, errors."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxopt_lab.core import trees
from jaxopt_lab.core.codecs import EncodedArray
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.transforms.compressed.block_top_k import TopBlocks, largest
from jaxopt_lab.transforms.compressed.microadam import microadam, scale_by_microadam
from jaxopt_lab.transforms.compressed.min_max import MinMax4

RATE = 1e-2


def start(dtype=jnp.float64):
    draw = np.random.default_rng(0)
    shapes = {"w": (7, 9), "b": (5,), "s": ()}
    return {k: jnp.asarray(draw.normal(size=s), dtype) for k, s in shapes.items()}


def gradients(steps, dtype=jnp.float64):
    draw = np.random.default_rng(1)
    return [
        {k: jnp.asarray(draw.normal(size=p.shape), dtype) for k, p in start().items()}
        for _ in range(steps)
    ]


def trajectory(tx, grads, dtype=jnp.float64):
    params, after = start(dtype), []
    state, update = tx.init(params), jax.jit(tx.update)
    for g in grads:
        updates, state = update(g, state, params)
        params = optax.apply_updates(params, updates)
        after.append((params, state))
    return after


def windowed_adam(grads, window, b1=0.9, b2=0.999, eps=1e-8, bias_window=False):
    """Adam whose averages forget everything but the last steps."""
    params = {k: np.asarray(p) for k, p in start().items()}
    for t in range(len(grads)):
        recent = grads[max(0, t + 1 - window) : t + 1][::-1]
        n = len(recent) if bias_window else t + 1
        for k in params:
            seen = np.stack([np.asarray(g[k]) for g in recent])
            ages = np.arange(len(recent)).reshape(-1, *[1] * params[k].ndim)
            mean = ((1 - b1) * b1**ages * seen).sum(0) / (1 - b1**n)
            square = ((1 - b2) * b2**ages * seen**2).sum(0) / (1 - b2**n)
            params[k] = params[k] - RATE * mean / (np.sqrt(square) + eps)
        yield dict(params)


@pytest.mark.full
@pytest.mark.parametrize("bias_window", [False, True])
def test_at_density_1_it_is_adam_on_a_window(bias_window):
    grads = gradients(9)
    tx = microadam(
        RATE, window=4, density=1.0, window_bias_correction=bias_window, block_size=16
    )
    wanted = windowed_adam(grads, 4, bias_window=bias_window)
    for (params, state), expected in zip(trajectory(tx, grads), wanted, strict=True):
        chex.assert_trees_all_close(params, expected, rtol=0, atol=1e-14)
        # All is picked, so the error is exactly zero.
        chex.assert_trees_all_equal(
            (state.low, state.high),
            jax.tree.map(jnp.zeros_like, (state.low, state.high)),
        )


def test_while_the_window_holds_all_it_is_optax_adam():
    grads = gradients(6)
    ours = trajectory(microadam(RATE, window=6, density=1.0), grads)
    theirs = trajectory(optax.adam(RATE), grads)
    for (a, _), (b, _) in zip(ours, theirs, strict=True):
        chex.assert_trees_all_close(a, b, rtol=0, atol=1e-13)


@pytest.mark.full
def test_the_largest_step_is_as_documented():
    """A gradient that never changes, long after the start."""
    grads = [jnp.full(4, 0.3)] * 8000
    for corrected, wanted in (
        (False, (1 - 0.9**10) / np.sqrt(1 - 0.999**10)),
        (True, 1),
    ):
        tx = scale_by_microadam(density=1.0, window_bias_correction=corrected)
        state = tx.init(grads[0])._replace(count=jnp.int32(7990))
        for g in grads[:10]:
            u, state = tx.update(g, state)
        np.testing.assert_allclose(u, wanted, rtol=1e-3)


@pytest.mark.full
def test_nothing_is_lost_between_window_and_error():
    """Picked entries and the error together are the sum, up to a step of the codes."""
    tx = scale_by_microadam(density=0.1, block_size=32, quant_block=16)
    params, grads = start(), gradients(3)
    state = tx.init(params)
    codec = MinMax4(16)
    error = jax.tree.map(jnp.zeros_like, params)

    def decoded(state, k):
        coded = EncodedArray(state.error[k], state.low[k], state.high[k])
        return codec.decode(coded, params[k].shape, jnp.float64)

    for t, g in enumerate(grads):
        total = {k: g[k] + error[k] for k in g}
        _, state = tx.update(g, state)
        for k in params:
            block = min(32, params[k].size)
            picked = np.zeros(params[k].size)
            for i, (where, what) in enumerate(
                zip(state.indices[k][:, t], state.values[k][:, t], strict=True)
            ):
                np.add.at(picked, i * block + np.asarray(where, np.int64), what)
            error[k] = decoded(state, k)
            rest = np.asarray(total[k]).reshape(-1) - picked
            width = float(jnp.max(state.high[k] - state.low[k])) / 15
            gap = np.abs(rest - np.asarray(error[k]).reshape(-1))
            assert gap.max() <= width / 2 + 1e-12


@pytest.mark.full
@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 8), st.sampled_from([16, 40, 128, 256]))
def test_two_levels_of_selection_are_exact(seed, picks, block):
    draw = np.random.default_rng(seed)
    # Few different magnitudes, so that most are tied.
    x = jnp.asarray(draw.integers(-3, 4, size=(5, block)), jnp.float32)
    got = np.asarray(largest(x, picks))
    # On an equal magnitude the lowest index first.
    wanted = np.argsort(-np.abs(np.asarray(x)), axis=1, kind="stable")[:, :picks]
    np.testing.assert_array_equal(got, wanted)


def test_what_is_no_number_is_picked():
    x = jnp.arange(256.0).reshape(2, 128).at[0, 3].set(jnp.nan).at[1, 5].set(-jnp.inf)
    got = largest(x, 2)
    assert int(got[0, 0]) == 3 and int(got[1, 0]) == 5


def test_picks_of_blocks():
    cut = TopBlocks.of((100,), 1000, 0.07)
    # As Python computes it: 100 * 0.07 is above 7.
    assert (cut.block, cut.picks, cut.last) == (100, 8, 0)
    assert TopBlocks.of((2, 700), 500, 0.01) == (1400, 500, 5, 400, 4)


@pytest.mark.full
def test_chunks_of_any_size_are_the_whole():
    grads = gradients(5, jnp.float32)
    make = functools.partial(
        microadam, RATE, window=3, density=0.1, block_size=8, quant_block=4
    )
    whole = trajectory(make(chunk=None), grads, jnp.float32)
    for chunk in (8, 24):
        parts = trajectory(make(chunk=chunk), grads, jnp.float32)
        for (a, _), (b, _) in zip(whole, parts, strict=True):
            chex.assert_trees_all_close(a, b, rtol=1e-6, atol=1e-7)


@pytest.mark.full
def test_values_take_the_same_steps_as_codes():
    grads = gradients(5, jnp.float32)
    make = functools.partial(microadam, RATE, density=0.1, block_size=16)
    for (a, _), (b, _) in zip(
        trajectory(make(), grads, jnp.float32),
        trajectory(make(straight_through=True), grads, jnp.float32),
        strict=True,
    ):
        chex.assert_trees_all_close(a, b, rtol=1e-6, atol=1e-7)


def test_bytes_of_state():
    shapes = {
        "kernel": jax.ShapeDtypeStruct((3, 3, 512, 512), jnp.float32),
        "odd": jax.ShapeDtypeStruct((257, 129), jnp.float32),
        "bias": jax.ShapeDtypeStruct((512,), jnp.float32),
    }
    state = jax.eval_shape(microadam(1e-3).init, shapes)
    assert trees.nbytes(state) / trees.count(shapes) <= 0.97


def loss(numbers, w0, straight_through=False, dtype=jnp.float64):
    tx = microadam(
        numbers["rate"],
        window=3,
        density=0.25,
        block_size=8,
        quant_block=8,
        b1=numbers["b1"],
        b2=numbers["b2"],
        eps=numbers["eps"],
        weight_decay=0.1,
        densify=numbers["densify"],
        straight_through=straight_through,
    )
    scale = jnp.linspace(0.3, 2.0, w0.size, dtype=dtype)

    def step(carry, _):
        w, state = carry
        grads = jax.grad(lambda w: jnp.sum(scale * jnp.sin(w) ** 2))(w)
        updates, state = tx.update(grads, state, w)
        return (w + updates, state), None

    (w, _), _ = jax.lax.scan(step, (w0, tx.init(w0)), length=8)
    return jnp.sum(jnp.cos(w) * scale)


NUMBERS = {"rate": 0.03, "b1": 0.8, "b2": 0.95, "eps": 1e-3, "densify": 0.1}


@pytest.mark.full
def test_derivatives_equal_finite_differences():
    w0 = jnp.asarray(np.random.default_rng(2).normal(size=12))
    numbers = jax.tree.map(jnp.asarray, NUMBERS)
    value = jax.jit(loss)
    by_numbers, by_start = jax.jit(jax.grad(loss, argnums=(0, 1)))(numbers, w0)
    for name in NUMBERS:
        h = 1e-6
        up, down = (value({**numbers, name: numbers[name] + d}, w0) for d in (h, -h))
        np.testing.assert_allclose(
            by_numbers[name], (up - down) / (2 * h), rtol=1e-5, atol=1e-7
        )
    direction = jnp.cos(jnp.arange(12.0))
    up, down = (value(numbers, w0 + d * direction) for d in (1e-6, -1e-6))
    np.testing.assert_allclose(by_start @ direction, (up - down) / 2e-6, rtol=1e-5)


@pytest.mark.full
def test_in_float32_values_carry_what_codes_cut():
    w0 = jnp.asarray(np.random.default_rng(2).normal(size=12), jnp.float32)
    numbers = {k: jnp.float32(v) for k, v in NUMBERS.items()}
    found = {}
    for through in (False, True):
        fn = functools.partial(loss, straight_through=through, dtype=jnp.float32)
        found[through] = jax.jit(jax.grad(fn, argnums=(0, 1)))(numbers, w0)
        chex.assert_tree_all_finite(found[through])
    assert float(jnp.max(jnp.abs(found[False][1] - found[True][1]))) > 1e-3


@pytest.mark.full(plain=["jacrev"])
@pytest.mark.parametrize("mode", [jax.jacfwd, jax.jacrev])
def test_derivatives_are_finite_where_everything_is_zero(mode):
    def fn(b1, b2, rate):
        tx = microadam(rate, b1=b1, b2=b2, density=0.1)
        w = jnp.zeros(20)
        state = tx.init(w)
        for _ in range(3):
            updates, state = tx.update(jnp.zeros(20).at[0].set(b1 - 0.9), state, w)
            w = w + updates
        return jnp.sum(w)

    got = jax.jit(mode(fn, argnums=(0, 1, 2)))(0.9, 0.999, 0.1)
    chex.assert_tree_all_finite(got)


@pytest.mark.full
def test_window_and_error_advance_on_real_steps_only():
    grads = gradients(6)
    tx = microadam(RATE, density=0.1, block_size=16)
    many = optax.MultiSteps(tx, 2, accumulator_dtype=jnp.float64)
    params = start()
    state, update = many.init(params), jax.jit(many.update)
    for g in grads:
        updates, state = update(g, state, params)
        params = optax.apply_updates(params, updates)
    means = [
        jax.tree.map(lambda a, b: (a + b) / 2, *pair)
        for pair in zip(grads[::2], grads[1::2], strict=True)
    ]
    wanted, inner = trajectory(tx, means)[-1]
    chex.assert_trees_all_close(params, wanted, rtol=0, atol=1e-13)
    chex.assert_trees_all_close(state.inner_opt_state, inner, rtol=0, atol=1e-13)

    skipping = optax.apply_if_finite(tx, 5)
    state = skipping.init(start())
    bad = jax.tree.map(lambda x: x * jnp.nan, grads[0])
    _, after = jax.jit(skipping.update)(bad, state, start())
    chex.assert_trees_all_equal(after.inner_state, state.inner_state)


@pytest.mark.full
def test_a_mask_of_the_decay():
    grads = gradients(2)
    mask = {"w": True, "b": False, "s": False}
    make = functools.partial(microadam, RATE, density=0.5)
    plain = trajectory(make(), grads)[0][0]
    decayed = trajectory(make(weight_decay=0.5, mask=mask), grads)[0][0]
    first = start()
    np.testing.assert_allclose(
        decayed["w"], plain["w"] - RATE * 0.5 * first["w"], atol=1e-14
    )
    chex.assert_trees_all_equal(decayed["b"], plain["b"])


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: microadam(0.1, window=0), "window must be a whole number"),
        (lambda: microadam(0.1, density=0.0), r"density must lie in \(0, 1\]"),
        (lambda: microadam(0.1, block_size=40_000), "from 1 to 32767"),
        (lambda: microadam(0.1, quant_block=0), "quant_block must be"),
        (lambda: microadam(0.1, b2=1.0), r"b2 must lie in \[0, 1\)"),
        (lambda: microadam(0.1, densify=2.0), r"densify must lie in \[0, 1\]"),
        (lambda: microadam(0.1, straight_through="bits"), "must be True or False"),
        (lambda: microadam(0.1, chunk=0), "chunk must be"),
        (lambda: microadam(0.1).update({}, microadam(0.1).init({})), "needs params"),
    ],
)
def test_errors(make, text):
    with pytest.raises(InputError, match=text):
        make()
