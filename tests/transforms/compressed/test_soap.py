"""SOAP: the paper's formulas, exact equalities, layouts, devices, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from support import decoupled
from support import reference_baselines as reference

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.transforms.compressed.soap import scale_by_soap, soap
from jaxopt_lab.transforms.compressed.soap.kernel import eigenbasis, refreshed

STEPS = 9


def gradients(*shape, dtype=jnp.float64, steps=STEPS):
    draw = np.random.default_rng(0)
    return [jnp.asarray(draw.normal(size=shape), dtype) for _ in range(steps)]


def directions(tx, grads):
    state, update, found = tx.init(grads[0]), jax.jit(tx.update), []
    for g in grads:
        u, state = update(g, state)
        found.append(u)
    return found, state


NUMBERS = {"b1": 0.8, "b2": 0.9, "eps": 1e-6, "factor_decay": 0.7}


@pytest.mark.full(plain=["1-(5, 5)-10"])
@pytest.mark.parametrize(
    "shape, longest",
    [((5, 5), 10), ((4, 7), 5), ((7, 4), 5), ((4, 5), 4)],
    ids=str,
)
@pytest.mark.parametrize("frequency", [1, 3, 100])
def test_follows_the_paper(shape, longest, frequency):
    """A side longer than the limit has no basis.

    Of shapes that differ only the short side has one, whose factor is of full rank:
    otherwise the eigenvectors of the paper are not unique.
    """
    tx = scale_by_soap(
        **NUMBERS, precondition_frequency=frequency, max_precondition_dim=longest
    )
    grads = gradients(*shape)
    found, _ = directions(tx, grads)
    left, right = (n <= longest for n in shape)
    wanted = reference.soap(
        [np.asarray(g) for g in grads],
        frequency=frequency,
        left=left,
        right=right,
        **NUMBERS,
    )
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)


def test_the_first_step_makes_the_bases_only():
    g = gradients(4, 6)[0]
    (u,), state = directions(scale_by_soap(), [g])
    assert not np.any(u)
    assert not np.any(state.mu)
    assert not np.any(state.nu)
    for factor, basis in (
        (state.left, state.left_basis),
        (state.right, state.right_basis),
    ):
        turned = np.asarray(basis.T @ factor @ basis)
        values = np.diag(turned)
        np.testing.assert_allclose(turned, np.diag(values), atol=1e-14)
        assert np.all(np.diff(values) <= 1e-14)
        np.testing.assert_allclose(basis.T @ basis, np.eye(len(basis)), atol=1e-14)
    np.testing.assert_allclose(state.left, 0.05 * g @ g.T, rtol=1e-13)
    np.testing.assert_allclose(state.right, 0.05 * g.T @ g, rtol=1e-13)


@pytest.mark.parametrize("rank", [0, 1, 3, 6])
def test_a_factor_of_low_rank_has_a_basis_that_rounding_cannot_turn(rank):
    half = np.random.default_rng(0).normal(size=(6, rank))
    factor = half @ half.T
    basis = np.asarray(eigenbasis(jnp.asarray(factor)))
    np.testing.assert_allclose(basis.T @ basis, np.eye(6), atol=1e-13)
    turned = basis.T @ factor @ basis
    np.testing.assert_allclose(turned, np.diag(np.diag(turned)), atol=1e-13)
    noise = np.random.default_rng(1).normal(size=(6, 6))
    noise *= 1e-16 * np.trace(factor)
    other = np.asarray(eigenbasis(jnp.asarray(factor + noise + noise.T)))
    # Up to signs.
    np.testing.assert_allclose(np.abs(basis.T @ other), np.eye(6), atol=1e-12)


def test_a_refresh_comes_closer_and_keeps_what_the_factor_does_not_see():
    factor = jnp.diag(jnp.array([1.0, 16.0, 4.0, 0.0]))
    turn, _ = np.linalg.qr(
        np.eye(4) + 0.1 * np.random.default_rng(0).normal(size=(4, 4))
    )
    basis = jnp.asarray(turn)
    before = basis
    for _ in range(12):
        basis, _ = refreshed(factor, basis)
    values = np.asarray(basis.T @ factor @ basis)
    off = lambda x: np.abs(x - np.diag(np.diag(x))).max()
    assert off(values) < 1e-6 < off(np.asarray(before.T @ factor @ before))
    np.testing.assert_allclose(np.diag(values), [16, 4, 1, 0], atol=1e-6)
    same, order = refreshed(jnp.zeros((4, 4)), basis)
    np.testing.assert_allclose(np.abs(basis.T @ same), np.eye(4), atol=1e-13)
    assert list(order) == [0, 1, 2, 3]


@pytest.mark.full
def test_with_bases_of_unit_vectors_it_is_adam():
    """Diagonal gradients of falling sizes have the unit vectors for bases."""
    sizes = np.array([8.0, 4.0, 2.0, 1.0])
    draw = np.random.default_rng(0)
    grads = [jnp.diag(jnp.asarray(sizes * draw.uniform(0.9, 1.1, 4))) for _ in range(8)]
    found, state = directions(scale_by_soap(precondition_frequency=3), grads)
    np.testing.assert_allclose(np.abs(state.left_basis), np.eye(4), atol=1e-14)
    adam = optax.scale_by_adam(0.95, 0.95, 1e-8)
    wanted, _ = directions(adam, grads[1:])
    for a, b in zip(found[1:], wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-13)


def test_vectors_and_matrices_with_two_long_sides_are_adam():
    shapes = {"v": (5,), "s": (), "m": (3, 4)}
    grads = [{k: gradients(*s)[i] for k, s in shapes.items()} for i in range(STEPS)]
    tx = scale_by_soap(max_precondition_dim=2)
    found, _ = directions(tx, grads)
    wanted, _ = directions(optax.scale_by_adam(0.95, 0.95, 1e-8), grads)
    for a, b in zip(found, wanted, strict=True):
        for name in shapes:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-13)


@pytest.mark.full
def test_it_turns_with_the_gradients():
    """In other orthonormal coordinates it is the same method."""
    u, v = (np.linalg.qr(np.asarray(g))[0] for g in gradients(5, 5, steps=2))
    tx = scale_by_soap(precondition_frequency=2)
    plain, _ = directions(tx, gradients(5, 5))
    turned, _ = directions(tx, [u @ g @ v.T for g in gradients(5, 5)])
    for a, b in zip(plain, turned, strict=True):
        np.testing.assert_allclose(u @ a @ v.T, b, atol=1e-9)


@pytest.mark.full
def test_the_size_of_the_gradients_does_not_matter():
    tx = scale_by_soap(eps=0.0, precondition_frequency=2)
    small, _ = directions(tx, [1e-3 * g for g in gradients(5, 5)])
    large, _ = directions(tx, [1e3 * g for g in gradients(5, 5)])
    for a, b in zip(small, large, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)


def test_zero_gradients_have_derivatives():
    tx = scale_by_soap(precondition_frequency=1)

    def total(g):
        state = tx.init(g)
        for _ in range(3):
            u, state = tx.update(g, state)
        return jnp.sum(jnp.sin(u + 1))

    value, slope = jax.jit(jax.value_and_grad(total))(jnp.zeros((3, 4)))
    assert bool(jnp.isfinite(value))
    assert bool(jnp.all(jnp.isfinite(slope)))


@pytest.mark.full
def test_convolutions_and_stacked_layers():
    tx = scale_by_soap(precondition_frequency=2)
    grads = gradients(1, 2, 2, 4)
    ours, state = directions(tx, grads)
    assert state.left.shape == state.right.shape == (4, 4)
    flat, _ = directions(tx, [g.reshape(4, 4) for g in grads])
    for a, b in zip(ours, flat, strict=True):
        np.testing.assert_allclose(a.reshape(4, 4), b, atol=1e-12)
    grads = gradients(3, 4, 4)
    stacked = scale_by_soap(precondition_frequency=2, stacked=True)
    ours, state = directions(stacked, grads)
    assert state.left.shape == (3, 4, 4)
    for layer in range(3):
        alone, _ = directions(tx, [g[layer] for g in grads])
        for a, b in zip(ours, alone, strict=True):
            np.testing.assert_allclose(a[layer], b, atol=1e-11)


@pytest.mark.full
def test_decay_is_decoupled_and_masked_and_rates_are_scheduled():
    bare = lambda grads: directions(scale_by_soap(), grads)[0]
    decoupled.check(soap, bare, gradients(4, 4, steps=3), rtol=1e-11)


def test_bytes():
    shapes = jax.ShapeDtypeStruct((512, 256), jnp.float32)
    state = jax.eval_shape(scale_by_soap().init, shapes)
    assert (trees.nbytes(state) - 4) / (512 * 256) == 8 + 8 * (2 + 1 / 2)
    one = jax.eval_shape(scale_by_soap(max_precondition_dim=300).init, shapes)
    assert (trees.nbytes(one) - 12) / (512 * 256) == 8 + 8 / 2


@pytest.mark.full
def test_eight_devices_are_one():
    mesh = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,))
    rows, whole = NamedSharding(mesh, P("x")), NamedSharding(mesh, P())
    tx = scale_by_soap(precondition_frequency=2)
    grads = gradients(8, 8, steps=5)
    wanted, _ = directions(tx, grads)
    state = tx.init(grads[0])
    layout = state._replace(**dict.fromkeys(state._fields[1:], rows), count=whole)
    state = jax.device_put(state, layout)
    update = jax.jit(tx.update, out_shardings=(rows, layout))
    for g, theirs in zip(grads, wanted, strict=True):
        u, state = update(jax.device_put(g, rows), state)
        np.testing.assert_allclose(u, theirs, atol=1e-10)
    assert state.left_basis.addressable_shards[0].data.shape == (1, 8)


@pytest.mark.full
def test_a_narrow_type_is_kept():
    (*_, u), state = directions(scale_by_soap(), gradients(4, 6, dtype=jnp.bfloat16))
    assert u.dtype == jnp.bfloat16
    assert state.mu.dtype == state.left.dtype == jnp.float32


@pytest.mark.parametrize(
    "options, message",
    [
        ({"precondition_frequency": 0}, "precondition_frequency must be a whole"),
        ({"max_precondition_dim": 1.5}, "max_precondition_dim must be a whole"),
        ({"factor_decay": 1.0}, "factor_decay must lie"),
        ({"eps": -1.0}, "eps must be at least 0"),
    ],
)
def test_errors(options, message):
    with pytest.raises(InputError, match=message):
        scale_by_soap(**options)
