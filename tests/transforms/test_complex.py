"""Complex parameters: as optax has them, or refused in one line at `init`."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_lab
from jaxopt_lab import catalog
from jaxopt_lab.catalog.part import loaded
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.transforms.compressed import moments

FAMILIES = ("memory", "compressed")
ROWS = {n: r for n, r in catalog.of_kind("transform").items() if r.family in FAMILIES}
TAKEN = {n for n, r in ROWS.items() if r.family == "memory"} | {"adam_mini"}
K = jnp.array([[1 + 2j, -0.5], [3j, 0.2 - 1j]])
TARGET = {"k": K, "r": jnp.array([0.5, -2.0]), "turned": 1j * K}
PARAMS = jax.tree.map(jnp.zeros_like, TARGET)


def base(row):
    """The optimizer of optax that the row is at its neutral element."""
    make, neutral = loaded(row.reduces_to.equals), row.reduces_to
    known = inspect.signature(make).parameters
    shared = {k: v for k, v in row.defaults().items() if k in known}
    shared = {k: v for k, v in shared.items() if k not in neutral.options}
    tx = make(**{**shared, **neutral.given})
    return optax.chain(tx, optax.sgd(0.1)) if row.role == "link" else tx


def build(row, **options):
    tx = row.load()(**{**row.defaults(), **options})
    return optax.chain(tx, optax.sgd(0.1)) if row.role == "link" else tx


def after(tx, target, steps=3):
    params = jax.tree.map(jnp.zeros_like, target)
    state = tx.init(params)
    for _ in range(steps):
        grads = jax.tree.map(lambda p, t: 2 * (p - t), params, target)
        updates, state = tx.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    return params


@pytest.mark.full(plain=["critical_gradients", "adam_cm"])
@pytest.mark.parametrize("name", ROWS)
def test_a_complex_leaf(name):
    row = ROWS[name]
    if name not in TAKEN:
        message = r"takes real parameters; got complex128 for 'k': keep its real"
        with pytest.raises(InputError, match=message) as error:
            build(row).init(PARAMS)
        assert "\n" not in str(error.value)
        return

    @jax.jit
    def run(target):
        neutral = build(row, **row.reduces_to.options)
        return [after(tx, target) for tx in (neutral, base(row), build(row))]

    neutral, simpler, whole = run(TARGET)
    # The type of the gradient, and the values of optax at the neutral element.
    types = jax.tree.map(lambda x: x.dtype, PARAMS)
    assert jax.tree.map(lambda x: x.dtype, whole) == types
    for a, b in zip(jax.tree.leaves(neutral), jax.tree.leaves(simpler), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)
    # A common phase of all that a leaf sees is a phase of its steps.
    np.testing.assert_allclose(whole["turned"], 1j * whole["k"], rtol=0, atol=1e-12)
    assert np.all(np.abs(whole["k"]) > 0) and np.abs(whole["k"][1, 0].imag) > 0


def test_critical_momenta_reach_a_complex_minimum_in_single_precision():
    c = jnp.array([1 + 2j, -0.5 - 1j], jnp.complex64)
    tx = jaxopt_lab.adam_cm(0.02)

    def step(carry, _):
        z, state = carry
        updates, state = tx.update(2 * (z - c), state, z)
        return (optax.apply_updates(z, updates), state), None

    zero = jnp.zeros_like(c)
    (found, _), _ = jax.lax.scan(step, (zero, tx.init(zero)), length=400)
    assert found.dtype == jnp.complex64
    np.testing.assert_allclose(found, c, atol=0.2)


def test_a_narrower_buffer_of_complex_entries_is_refused():
    tx = jaxopt_lab.adam_cm(0.1, buffer_dtype=jnp.bfloat16)
    with pytest.raises(InputError, match="buffer_dtype=bfloat16 takes real parameters"):
        tx.init(PARAMS)


def test_a_coded_state_leaves_complex_moments_as_they_are():
    tx = jaxopt_lab.quantize_state(optax.adam(0.1), select=moments(1))
    z = jnp.array([1 + 2j, -0.5 - 1j])
    np.testing.assert_allclose(after(tx, z), after(optax.adam(0.1), z), rtol=1e-12)
    tx = jaxopt_lab.quantize_state(optax.adam(0.1), elementwise=True)
    with pytest.raises(InputError, match="elementwise=True.* takes real parameters"):
        tx.init(z)


@pytest.mark.parametrize("name", ROWS)
def test_numbers_and_abstract_shapes_are_taken_as_optax_takes_them(name):
    tx = build(ROWS[name])
    params = {"s": 1.0, "w": jnp.ones((8, 8))}
    abstract = {**params, "w": jax.ShapeDtypeStruct((8, 8), jnp.float64)}
    shapes = jax.eval_shape(tx.init, params)
    kinds = lambda tree: jax.tree.map(lambda x: (x.shape, x.dtype), tree)
    same = lambda a, b: jax.tree.all(jax.tree.map(lambda x, y: x == y, a, b))
    # Traced as constants: what is tested is which leaves are taken.
    made = jax.eval_shape(lambda: (tx.init(params), tx.init(abstract)))
    assert same(kinds(made), kinds((shapes, shapes)))
    updates, after = jax.eval_shape(
        lambda state: tx.update(params, state, params), shapes
    )
    assert kinds(updates) == {
        "s": ((), jnp.float64),
        "w": ((8, 8), jnp.float64),
    }
    assert same(kinds(after), kinds(shapes))
    with pytest.raises(InputError, match="must be an array or a number; got str for"):
        tx.init({"s": "text"})
