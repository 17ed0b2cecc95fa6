"""Codes are constants: the derivative of a step is that with the old state fixed."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxopt_lab

DRAW = np.random.default_rng(4)
PARAMS, GRADS = (jnp.asarray(DRAW.normal(size=(8, 16))) for _ in range(2))
WEIGHTS = jnp.cos(jnp.arange(128.0)).reshape(8, 16)
NUMBERS = {"rate": 0.03, "b1": 0.8, "b2": 0.95, "eps": 1e-3, "decay": 0.1}
METHODS = ["adamw8bit", "adamw4bit", "adamw_fp8", "adamw_linear", "microadam"]


def method(name, numbers, **options):
    kind = {"density": 0.2, "block_size": 16} if name == "microadam" else {}
    if name != "microadam":
        kind = {"min_size": 1, "block": 16} if name in METHODS[:2] else {"min_size": 1}
    return getattr(jaxopt_lab, name)(
        numbers["rate"],
        b1=numbers["b1"],
        b2=numbers["b2"],
        eps=numbers["eps"],
        weight_decay=numbers["decay"],
        **kind,
        **options,
    )


def far(name, dtype=jnp.float64, **options):
    """A state after two steps."""
    tx = method(name, NUMBERS, **options)
    params = PARAMS.astype(dtype)
    state = tx.init(params)
    for t in range(2):
        _, state = jax.jit(tx.update)(
            jnp.roll(GRADS, t + 1).astype(dtype), state, params
        )
    return state


def value(name, state, numbers, params, grads):
    updates, _ = method(name, numbers).update(grads, state, params)
    return jnp.sum(WEIGHTS.astype(params.dtype) * (params + updates))


@pytest.mark.full(plain=["adamw_linear"])
@pytest.mark.parametrize("name", METHODS)
def test_of_one_step_equals_finite_differences(name):
    state = far(name)
    numbers = jax.tree.map(jnp.asarray, NUMBERS)
    fn = jax.jit(lambda *x: value(name, state, *x))
    slopes = jax.jit(jax.grad(lambda *x: value(name, state, *x), (0, 1, 2)))(
        numbers, PARAMS, GRADS
    )
    # Of every number by itself, and of tensors along one direction.
    h = 1e-6
    for key in NUMBERS:
        up, down = (
            fn({**numbers, key: numbers[key] + d}, PARAMS, GRADS) for d in (h, -h)
        )
        np.testing.assert_allclose(
            slopes[0][key], (up - down) / (2 * h), rtol=2e-5, atol=1e-7
        )
    direction = jnp.sin(jnp.arange(128.0)).reshape(8, 16)
    for i in (1, 2):
        at = [numbers, PARAMS, GRADS]
        up, down = (fn(*at[:i], at[i] + d * direction, *at[i + 1 :]) for d in (h, -h))
        np.testing.assert_allclose(
            jnp.vdot(slopes[i], direction), (up - down) / (2 * h), rtol=2e-5, atol=1e-7
        )


@pytest.mark.full
@pytest.mark.parametrize("name", METHODS[:2])
def test_no_tangent_leaves_a_step_by_its_codes(name):
    """Forward mode: integers have no tangent, and ranges are constants as well."""
    tx = method(name, NUMBERS)
    state = far(name)
    _, moved = jax.jvp(
        lambda g: tx.update(g, state, PARAMS)[1], (GRADS,), (jnp.ones_like(GRADS),)
    )
    for x in jax.tree.leaves(moved):
        if x.dtype == jax.dtypes.float0:
            continue
        np.testing.assert_array_equal(np.asarray(x), 0)


@pytest.mark.full(plain=["adamw_linear-True"])
@pytest.mark.parametrize("through", [False, True])
@pytest.mark.parametrize("name", METHODS)
def test_of_one_step_is_finite_in_float32(name, through):
    tx = method(name, NUMBERS, straight_through=through)
    state = far(name, jnp.float32, straight_through=through)
    params = PARAMS.astype(jnp.float32)
    for grads in (GRADS.astype(jnp.float32), jnp.zeros_like(params)):
        slope = jax.grad(lambda g: jnp.sum(tx.update(g, state, params)[0]))(grads)
        chex.assert_tree_all_finite(slope)
