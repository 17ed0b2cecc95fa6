"""APOLLO: the paper's formulas, exact equalities, layouts, devices, errors."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from support import reference_baselines as reference

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.transforms.compressed.apollo import apollo, scale_by_apollo
from jaxopt_lab.transforms.compressed.apollo.kernel import projection

MINI = {"rank": 1, "granularity": "tensor", "scale": 128**0.5}
STEPS = 9


def normal(seed, *shape, dtype=jnp.float64):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def gradients(*shape, dtype=jnp.float64):
    # Growing, so that the limiter acts in some steps and not in others.
    sizes = [1.0, 1.0, 3.0, 0.2, 5.0, 5.0, 1e-3, 1.0, 1.0]
    return [s * normal(i, *shape, dtype=dtype) for i, s in enumerate(sizes)]


def directions(tx, grads, params=None):
    state, update, found = tx.init(grads[0]), jax.jit(tx.update), []
    for g in grads:
        u, state = update(g, state, params)
        found.append(u)
    return found, state


# The normal numbers of two programs differ where the compiler does not optimize.
@pytest.mark.full
@pytest.mark.parametrize("shape", [(4, 7), (7, 4), (5, 5)], ids=str)
@pytest.mark.parametrize("tensor", [False, True])
@pytest.mark.parametrize("growth", [1.01, float("inf")])
def test_follows_the_paper(shape, tensor, growth):
    numbers = {"scale": 1.7, "growth": growth, "b1": 0.8, "b2": 0.95, "eps": 1e-6}
    rank = 1 if tensor else 3
    tx = scale_by_apollo(
        rank=rank,
        gap=4,
        granularity="tensor" if tensor else "channel",
        seed=5,
        **numbers,
    )
    grads = gradients(*shape)
    found, state = directions(tx, grads)
    wide = shape[0] <= shape[1]
    drawn = [
        np.asarray(
            projection(jax.random.key(5), t // 4, 0, (rank, min(shape)), jnp.float64)
        )
        for t in range(STEPS)
    ]
    seen = [np.asarray(g if wide else g.T) for g in grads]
    wanted = reference.apollo(seen, drawn, tensor=tensor, **numbers)
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(
            ours, theirs if wide else theirs.T, rtol=1e-10, atol=1e-13
        )
    last = np.linalg.norm(wanted[-1]) / 1.7
    np.testing.assert_allclose(state.norm, last, rtol=1e-10)


@pytest.mark.full
def test_projections_last_a_gap_and_are_independent():
    key = jax.random.key(0)
    draw = functools.partial(projection, key, shape=(200, 300), dtype=jnp.float64)
    one = np.asarray(draw(0, 0))
    # The norm of a projected vector is its own on average.
    np.testing.assert_allclose(np.mean(one * one), 1 / 200, rtol=0.05)
    for other in (draw(1, 0), draw(0, 1)):
        assert abs(np.mean(one * np.asarray(other)) * 200) < 0.02
    shapes = {"a": jnp.ones((4, 6)), "b": jnp.ones((4, 6)), "v": jnp.ones(3)}
    g = {"a": normal(0, 4, 6), "b": normal(0, 4, 6), "v": normal(1, 3)}
    tx = scale_by_apollo(rank=2)
    u, _ = tx.update(g, tx.init(shapes))
    assert float(jnp.max(jnp.abs(u["a"] - u["b"]))) > 1e-3


@pytest.mark.full(plain=["channel"])
@pytest.mark.parametrize("granularity", ["channel", "tensor"])
def test_the_size_of_the_gradients_does_not_matter(granularity):
    tx = scale_by_apollo(rank=2, granularity=granularity, eps=0.0)
    grads = [normal(i, 5, 8) for i in range(4)]
    small, _ = directions(tx, [1e-3 * g for g in grads])
    large, _ = directions(tx, [1e3 * g for g in grads])
    for a, b in zip(small, large, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)


def test_a_direction_grows_by_at_most_gamma():
    found, _ = directions(scale_by_apollo(rank=3, growth=1.25), gradients(6, 8))
    norms = [float(jnp.linalg.norm(u)) for u in found]
    ratios = [b / a for a, b in itertools.pairwise(norms)]
    assert max(ratios) <= 1.25 * (1 + 1e-12)
    assert any(abs(r - 1.25) < 1e-9 for r in ratios)


@pytest.mark.full
def test_zero_gradients_move_nothing_and_limit_nothing():
    tx = scale_by_apollo(rank=2)
    g, zero = normal(0, 4, 6), jnp.zeros((4, 6))
    found, state = directions(tx, [zero, g])
    assert not np.any(found[0])
    free, _ = directions(scale_by_apollo(rank=2, growth=float("inf")), [zero, g])
    np.testing.assert_array_equal(found[1], free[1])
    assert float(state.norm) > 0

    def total(g):
        u, state = tx.update(g, tx.init(g))
        u, _ = tx.update(g, state)
        return jnp.sum(jnp.sin(u + 1))

    assert bool(jnp.all(jnp.isfinite(jax.jit(jax.grad(total))(zero))))


def test_other_leaves_are_adam():
    grads = [{"v": normal(i, 5), "m": normal(i, 3, 4)} for i in range(4)]
    tx = scale_by_apollo(rank=2, scale=3.0, low_rank={"v": False, "m": False})
    found, _ = directions(tx, grads)
    wanted, _ = directions(optax.scale_by_adam(), grads)
    for a, b in zip(found, wanted, strict=True):
        for name in ("v", "m"):
            np.testing.assert_allclose(a[name], b[name], rtol=1e-13)


def test_a_rank_above_the_side_is_cut_to_it():
    grads = gradients(3, 5)
    cut, state = directions(scale_by_apollo(rank=64), grads)
    assert state.mu.shape == (3, 5)
    for a, b in zip(cut, directions(scale_by_apollo(rank=3), grads)[0], strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_convolution_is_the_matrix_of_its_outputs():
    grads = [normal(i, 2, 3, 2, 20) for i in range(4)]
    ours, state = directions(scale_by_apollo(rank=3), grads)
    assert state.mu.shape == (3, 20)
    flat, _ = directions(scale_by_apollo(rank=3), [g.reshape(12, 20) for g in grads])
    for a, b in zip(ours, flat, strict=True):
        np.testing.assert_allclose(a.reshape(12, 20), b, rtol=1e-13)


@pytest.mark.full
def test_stacked_layers_have_projections_and_norms_of_their_own():
    grads = gradients(3, 4, 6)
    found, state = directions(scale_by_apollo(rank=2, stacked=True, seed=1), grads)
    assert state.mu.shape == (3, 2, 6)
    assert state.norm.shape == (3,)
    draw = projection(jax.random.key(1), 0, 0, (3, 2, 4), jnp.float64)
    numbers = {"scale": 1.0, "growth": 1.01, "b1": 0.9, "b2": 0.999, "eps": 1e-8}
    for layer in range(3):
        wanted = reference.apollo(
            [np.asarray(g[layer]) for g in grads],
            [np.asarray(draw[layer])] * STEPS,
            tensor=False,
            **numbers,
        )
        for ours, theirs in zip(found, wanted, strict=True):
            np.testing.assert_allclose(ours[layer], theirs, rtol=1e-10, atol=1e-13)


@pytest.mark.full
def test_decay_is_decoupled_and_masked_and_rates_are_scheduled():
    params = {"a": normal(0, 4, 6), "b": normal(1, 4, 6)}
    grads = [jax.tree.map(lambda p, i=i: p + i, params) for i in range(3)]
    rate = lambda count: 0.1 / (1 + count)
    tx = apollo(rate, rank=2, weight_decay=0.3, mask={"a": True, "b": False})
    state, update = tx.init(params), jax.jit(tx.update)
    bare, _ = directions(scale_by_apollo(rank=2), grads)
    for t, g in enumerate(grads):
        u, state = update(g, state, params)
        for name, decay in (("a", 0.3), ("b", 0.0)):
            wanted = -(0.1 / (1 + t)) * (bare[t][name] + decay * params[name])
            np.testing.assert_allclose(u[name], wanted, rtol=1e-12)


def test_bytes():
    shapes = jax.ShapeDtypeStruct((1024, 512), jnp.float32)
    for options, wanted in (({"rank": 16}, 8 * 16 / 512), (MINI, 8 / 512)):
        state = jax.eval_shape(scale_by_apollo(**options).init, shapes)
        per = (trees.nbytes(state.mu) + trees.nbytes(state.nu)) / (1024 * 512)
        assert per == wanted


@pytest.mark.full
def test_eight_devices_are_one():
    mesh = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,))
    columns = NamedSharding(mesh, P(None, "x"))
    tx = scale_by_apollo(rank=3, gap=2)
    grads = gradients(8, 16)
    wanted, _ = directions(tx, grads)
    state = tx.init(grads[0])
    whole = NamedSharding(mesh, P())
    layout = state._replace(count=whole, key=whole, norm=whole, mu=columns, nu=columns)
    state = jax.device_put(state, layout)
    update = jax.jit(tx.update, out_shardings=(columns, layout))
    for g, theirs in zip(grads, wanted, strict=True):
        u, state = update(jax.device_put(g, columns), state)
        np.testing.assert_allclose(u, theirs, rtol=1e-12, atol=1e-14)
    assert state.mu.addressable_shards[0].data.shape == (3, 2)


@pytest.mark.full
def test_float32_is_kept_and_close():
    wide, _ = directions(scale_by_apollo(rank=2), gradients(4, 6))
    narrow, state = directions(
        scale_by_apollo(rank=2), gradients(4, 6, dtype=jnp.float32)
    )
    assert state.mu.dtype == state.norm.dtype == narrow[0].dtype == jnp.float32
    for a, b in zip(narrow, wide, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"rank": 0}, "rank must be a whole number"),
        ({"gap": 0}, "gap must be a whole number"),
        ({"growth": 0.0}, "growth must be above 0"),
        ({"b2": 1.0}, "b2 must lie"),
        ({"granularity": "row"}, "granularity"),
    ],
)
def test_errors(options, message):
    with pytest.raises(InputError, match=message):
        scale_by_apollo(**options)


def test_a_chosen_vector_is_refused():
    with pytest.raises(InputError, match="which is no matrix"):
        scale_by_apollo(low_rank=True).init({"v": jnp.ones(3)})
