"""LDAdam: exact equalities, layouts, bytes, derivatives, skipped steps, errors."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.transforms.compressed.ldadam import ldadam, scale_by_ldadam

RATE = 1e-2


def normal(seed, *shape, dtype=jnp.float64):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def trajectory(tx, params, grads):
    after = []
    state, update = tx.init(params), jax.jit(tx.update)
    for g in grads:
        updates, state = update(g, state, params)
        params = optax.apply_updates(params, updates)
        after.append((params, state))
    return after


@pytest.mark.full
@pytest.mark.parametrize("start", ["svd", "power"])
def test_at_full_rank_in_a_basis_that_stays_it_is_adam_in_that_basis(start):
    """Gradients with common singular vectors keep P, up to signs, where it is.

    Power iterations only come near the singular vectors, but span the whole space:
    there the basis is that of the state.
    """
    u, _ = np.linalg.qr(np.asarray(normal(0, 5, 5)))
    v, _ = np.linalg.qr(np.asarray(normal(1, 9, 9)))
    draw, grads = np.random.default_rng(2), []
    for _ in range(8):
        # Falling, so that the order of the vectors is that of the first gradient.
        sizes = np.array([16.0, 8.0, 4.0, 2.0, 1.0]) * draw.uniform(0.9, 1.1, 5)
        grads.append(jnp.asarray(u @ np.diag(sizes) @ v[:5]))
    params = normal(3, 5, 9)
    options = {"rank": 5, "low_rank": True, "b1": 0.9, "b2": 0.999, "start": start}
    tx = ldadam(RATE, error="none", **options)
    ours = trajectory(tx, params, grads)
    with_error = trajectory(ldadam(RATE, **options), params, grads)
    for (a, _), (b, state) in zip(ours, with_error, strict=True):
        # Nothing is outside of the whole space.
        np.testing.assert_allclose(a, b, atol=1e-12)
        np.testing.assert_allclose(state.error, 0, atol=1e-12)
    if start == "svd":
        inside = trajectory(optax.adam(RATE), u.T @ params, [u.T @ g for g in grads])
        for (a, _), (b, _) in zip(ours, inside, strict=True):
            np.testing.assert_allclose(u.T @ a, b, atol=1e-12)
    for _, state in ours:
        basis = np.asarray(state.projector)
        np.testing.assert_allclose(basis @ basis.T, np.eye(5), atol=1e-12)


@pytest.mark.full
def test_the_first_step_is_adam_in_the_basis_of_the_state():
    """Whatever the basis: the moments begin in it."""
    params, g = normal(0, 6, 11), normal(1, 6, 11)
    tx = ldadam(RATE, rank=3, error="none")
    (after, state), *_ = trajectory(tx, params, [g])
    basis = state.projector
    small = basis.T @ g
    wanted = params - RATE * basis @ (small / (jnp.abs(small) + 1e-8))
    np.testing.assert_allclose(after, wanted, atol=1e-13)


def test_the_error_is_what_the_subspace_does_not_hold():
    params, g = normal(0, 6, 11), normal(1, 6, 11)
    (_, state), *_ = trajectory(ldadam(RATE, rank=3), params, [g])
    basis = state.projector
    np.testing.assert_allclose(state.error, g - basis @ (basis.T @ g), atol=1e-13)


@pytest.mark.full
def test_power_start_finds_the_subspace():
    """Of a gradient of the rank of the subspace it is the exact one."""
    g = normal(0, 12, 3) @ normal(1, 3, 20)
    found = {}
    for start in ("power", "svd"):
        tx = scale_by_ldadam(rank=3, start=start)
        _, state = jax.jit(tx.update)(g, tx.init(g))
        found[start] = state.projector @ state.projector.T
    np.testing.assert_allclose(found["power"], found["svd"], atol=1e-10)


@pytest.mark.full
@pytest.mark.parametrize("side", ["smaller", "left", "right"])
def test_a_transposed_matrix_takes_the_transposed_steps(side):
    other = {"smaller": "smaller", "left": "right", "right": "left"}[side]
    params, grads = normal(0, 7, 12), [normal(t, 7, 12) for t in range(1, 5)]
    make = functools.partial(ldadam, RATE, rank=3)
    one = trajectory(make(side=side), params, grads)
    two = trajectory(make(side=other), params.T, [g.T for g in grads])
    for (a, _), (b, _) in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b.T, atol=1e-12)


@pytest.mark.full
def test_a_stack_is_its_layers():
    params, grads = normal(0, 3, 8, 10), [normal(t, 3, 8, 10) for t in range(1, 5)]
    stack = trajectory(ldadam(RATE, rank=2, stacked=True), params, grads)
    for i in range(3):
        alone = trajectory(ldadam(RATE, rank=2), params[i], [g[i] for g in grads])
        for (a, _), (b, _) in zip(stack, alone, strict=True):
            np.testing.assert_allclose(a[i], b, atol=1e-12)


@pytest.mark.full
def test_a_kernel_is_a_matrix():
    params = normal(0, 3, 3, 4, 6)
    grads = [normal(t, 3, 3, 4, 6) for t in range(1, 4)]
    kernel = trajectory(ldadam(RATE, rank=2), params, grads)
    matrix = trajectory(
        ldadam(RATE, rank=2), params.reshape(36, 6), [g.reshape(36, 6) for g in grads]
    )
    for (a, _), (b, _) in zip(kernel, matrix, strict=True):
        np.testing.assert_allclose(a.reshape(36, 6), b, atol=1e-13)


def test_what_is_no_matrix_or_small_takes_adam():
    params = {"b": normal(0, 9), "s": normal(1), "small": normal(2, 3, 40)}
    grads = [
        {k: normal(7 * t + i, *p.shape) for i, (k, p) in enumerate(params.items())}
        for t in range(1, 6)
    ]
    numbers = {"b1": 0.9, "b2": 0.99, "eps": 1e-7}
    ours = trajectory(ldadam(RATE, rank=3, **numbers), params, grads)
    theirs = trajectory(optax.adam(RATE, **numbers), params, grads)
    for (a, _), (b, _) in zip(ours, theirs, strict=True):
        chex.assert_trees_all_close(a, b, rtol=0, atol=1e-13)


# The largest difference that a coarser error may make in the directions.
@pytest.mark.full
@pytest.mark.parametrize("error, apart", [("bfloat16", 0.05), ("4-bit", 0.8)])
def test_a_rounded_error_stays_near(error, apart):
    params = normal(0, 16, 24, dtype=jnp.float32)
    grads = [normal(t, 16, 24, dtype=jnp.float32) for t in range(1, 7)]
    exact = trajectory(ldadam(RATE, rank=4), params, grads)
    rounded = trajectory(ldadam(RATE, rank=4, error=error), params, grads)
    none = trajectory(ldadam(RATE, rank=4, error="none"), params, grads)
    gap, whole = (
        float(jnp.linalg.norm(x[-1][0] - exact[-1][0])) for x in (rounded, none)
    )
    assert 0 < gap <= apart * whole
    values = trajectory(
        ldadam(RATE, rank=4, error=error, straight_through=True), params, grads
    )
    chex.assert_trees_all_close(values[-1][0], rounded[-1][0], rtol=1e-4, atol=1e-5)


def test_bytes_of_state():
    shapes = {
        "up": jax.ShapeDtypeStruct((4096, 1024), jnp.float32),
        "down": jax.ShapeDtypeStruct((1024, 4096), jnp.float32),
        "square": jax.ShapeDtypeStruct((1024, 1024), jnp.float32),
        "kernel": jax.ShapeDtypeStruct((3, 3, 512, 512), jnp.float32),
        "bias": jax.ShapeDtypeStruct((1024,), jnp.float32),
    }

    def size(**options):
        state = jax.eval_shape(ldadam(1e-3, **options).init, shapes)
        return trees.nbytes(state) / trees.count(shapes)

    assert size(error="none") <= 0.35
    assert size(error="4-bit") <= 0.85
    assert size(error="bfloat16") <= 2.35
    assert size() <= 4.35


def loss(numbers, w0, grads_of, **options):
    tx = ldadam(
        numbers["rate"],
        rank=2,
        weight_decay=0.1,
        **{k: numbers[k] for k in ("b1", "b2", "eps", "rho")},
        **options,
    )

    def step(carry, _):
        w, state = carry
        updates, state = tx.update(grads_of(w), state, w)
        return (w + updates, state), None

    (w, _), _ = jax.lax.scan(step, (w0, tx.init(w0)), length=4)
    return jnp.sum(jnp.cos(w + 0.3))


NUMBERS = {"rate": 0.03, "b1": 0.8, "b2": 0.95, "eps": 1e-3, "rho": 0.7}


def wavy(w):
    return jnp.sin(2 * w) + jnp.cos(w) @ jnp.ones((7, 7)) / 7


@pytest.mark.full
@pytest.mark.parametrize(
    "options", [{}, {"error": "none"}, {"factorization": "cholesky"}], ids=str
)
def test_derivatives_equal_finite_differences(options):
    w0 = normal(0, 5, 7)
    numbers = jax.tree.map(jnp.asarray, NUMBERS)
    fn = functools.partial(loss, grads_of=wavy, **options)
    value, gradient = jax.jit(fn), jax.jit(jax.grad(fn, argnums=(0, 1)))
    by_numbers, by_start = gradient(numbers, w0)
    for name in NUMBERS:
        up, down = (
            value({**numbers, name: numbers[name] + d}, w0) for d in (1e-6, -1e-6)
        )
        np.testing.assert_allclose(
            by_numbers[name], (up - down) / 2e-6, rtol=1e-5, atol=1e-7
        )
    way = normal(1, 5, 7)
    up, down = (value(numbers, w0 + d * way) for d in (1e-6, -1e-6))
    np.testing.assert_allclose(jnp.sum(by_start * way), (up - down) / 2e-6, rtol=1e-5)


GRADIENTS = {
    "zero": lambda w: 0 * w,
    "rank one": lambda w: jnp.outer(jnp.sin(w[:, 0]), jnp.ones(7)),
    "one entry": lambda w: jnp.zeros_like(w).at[1, 2].set(w[1, 2]),
}


@pytest.mark.full
@pytest.mark.parametrize("start", ["power", "svd"])
@pytest.mark.parametrize("name", GRADIENTS)
def test_derivatives_are_finite_where_the_gradient_has_no_rank(name, start):
    fn = functools.partial(loss, grads_of=GRADIENTS[name], start=start)
    numbers = jax.tree.map(jnp.asarray, NUMBERS)
    for w0 in (normal(0, 5, 7), jnp.zeros((5, 7))):
        value, found = jax.jit(jax.value_and_grad(fn, argnums=(0, 1)))(numbers, w0)
        chex.assert_tree_all_finite((value, found))


@pytest.mark.full
def test_in_float32_values_carry_what_codes_cut():
    numbers = {k: jnp.float32(v) for k, v in NUMBERS.items()}
    w0, found = normal(0, 5, 7, dtype=jnp.float32), {}
    cube = lambda w: jnp.sin(2 * w)
    for through in (False, True):
        fn = functools.partial(
            loss, grads_of=cube, error="4-bit", straight_through=through
        )
        found[through] = jax.jit(jax.grad(fn, argnums=1))(numbers, w0)
        chex.assert_tree_all_finite(found[through])
    assert float(jnp.max(jnp.abs(found[False] - found[True]))) > 1e-4


@pytest.mark.full
def test_error_and_basis_advance_on_real_steps_only():
    params, grads = normal(0, 6, 8), [normal(t, 6, 8) for t in range(1, 7)]
    tx = ldadam(RATE, rank=2)
    many = optax.MultiSteps(tx, 2, accumulator_dtype=jnp.float64)
    (got, state) = trajectory(many, params, grads)[-1]
    means = [(a + b) / 2 for a, b in zip(grads[::2], grads[1::2], strict=True)]
    wanted, inner = trajectory(tx, params, means)[-1]
    np.testing.assert_allclose(got, wanted, atol=1e-12)
    chex.assert_trees_all_close(state.inner_opt_state, inner, rtol=0, atol=1e-11)
    skipping = optax.apply_if_finite(tx, 5)
    state = skipping.init(params)
    _, after = jax.jit(skipping.update)(params * jnp.nan, state, params)
    chex.assert_trees_all_equal(after.inner_state, state.inner_state)


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: ldadam(0.1, rank=0), "rank must be a whole number"),
        (lambda: ldadam(0.1, b1=1.0), r"b1 must lie in \[0, 1\)"),
        (lambda: ldadam(0.1, rho=1.5), r"rho must lie in \[0, 1\]"),
        (lambda: ldadam(0.1, error="8-bit"), "error"),  # type: ignore[arg-type]
        (lambda: ldadam(0.1, side="up"), "side"),  # type: ignore[arg-type]
        (lambda: ldadam(0.1, start="cold"), "start"),  # type: ignore[arg-type]
        (lambda: ldadam(0.1, projector="qr"), "projector"),  # type: ignore[arg-type]
        (lambda: ldadam(0.1, low_rank=True).init({"b": jnp.ones(9)}), "is no matrix"),
        (
            lambda: ldadam(0.1, low_rank={"c": True}).init({"b": jnp.ones(9)}),
            "low_rank",
        ),
        (lambda: ldadam(0.1).update({}, ldadam(0.1).init({})), "needs params"),
    ],
)
def test_errors(make, text):
    with pytest.raises(InputError, match=text):
        make()


@pytest.mark.full
@pytest.mark.parametrize("projector, start", [("svd", "power"), ("std", "svd")])
def test_a_rank_above_the_shorter_side_is_cut_to_it(projector, start):
    w = jnp.asarray(np.random.default_rng(0).normal(size=(7, 3)))
    grads = [jnp.sin(w), jnp.cos(w)]

    def run(rank):
        tx = ldadam(
            RATE,
            rank=rank,
            side="left",
            low_rank=True,
            projector=projector,
            start=start,
        )
        return tx.init(w).projector.shape, trajectory(tx, w, grads)[-1][0]

    (wide, found), (narrow, wanted) = run(5), run(3)
    assert wide == narrow == (7, 3)
    np.testing.assert_array_equal(found, wanted)
