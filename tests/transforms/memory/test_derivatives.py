"""Derivatives through runs: finite, and equal to finite differences."""

import chex
import jax
import jax.numpy as jnp
import pytest
from support import links

import jaxopt_lab

# Learning rate first; the leaf without a gradient keeps its second moment at zero, so
# that a plain root would make NaN of the derivative by b2.
MAKERS = {
    "adam_cm": (
        lambda v: jaxopt_lab.adam_cm(
            v[0], capacity=2, priority_decay=0.9, b1=v[1], b2=v[2], eps=v[3], kappa=v[4]
        ),
        [0.02, 0.8, 0.9, 0.01, 0.7],
    ),
    "adamw_cm, clean": (
        lambda v: jaxopt_lab.adamw_cm(
            v[0],
            capacity=2,
            priority_decay=0.9,
            b1=v[1],
            b2=v[2],
            weight_decay=v[3],
            amsgrad=True,
            clean_first_step=True,
        ),
        [0.02, 0.8, 0.9, 0.1],
    ),
    "adam_cg": (
        lambda v: jaxopt_lab.adam_cg(
            v[0],
            capacity=2,
            priority_decay=0.9,
            b1=v[1],
            b2=v[2],
            kappa=v[3],
            weight_decay=v[4],
        ),
        [0.02, 0.8, 0.9, 0.7, 0.1],
    ),
    "adam_cm, per leaf, fresh sums": (
        lambda v: jaxopt_lab.adam_cm(
            v[0],
            capacity=2,
            priority_decay=0.9,
            priority="per_leaf",
            b1=v[1],
            b2=v[2],
            recompute_sum=True,
        ),
        [0.02, 0.8, 0.9],
    ),
    "sgd_cg": (
        lambda v: jaxopt_lab.sgd_cg(
            v[0],
            capacity=2,
            priority_decay=0.9,
            aggregate="median",
            kappa=v[1],
            momentum=v[2],
            dampening=v[3],
            weight_decay=v[4],
        ),
        [0.05, 0.7, 0.5, 0.2, 0.1],
    ),
    "rmsprop_cg": (
        lambda v: jaxopt_lab.rmsprop_cg(
            v[0],
            capacity=2,
            priority_decay=0.9,
            decay_rate=v[1],
            eps=v[2],
            centered=True,
            momentum=v[3],
        ),
        [0.02, 0.6, 0.01, 0.5],
    ),
    "sgd_cm": (
        lambda v: jaxopt_lab.sgd_cm(
            v[0], capacity=2, priority_decay=0.9, momentum=v[1], kappa=v[2]
        ),
        [0.05, 0.5, 0.7],
    ),
    "rmsprop_cm": (
        lambda v: jaxopt_lab.rmsprop_cm(
            v[0],
            capacity=2,
            priority_decay=0.9,
            momentum=v[1],
            decay_rate=v[2],
            kappa=v[3],
        ),
        [0.02, 0.5, 0.7, 0.7],
    ),
}


@pytest.mark.full
@pytest.mark.parametrize("name", MAKERS)
def test_derivatives_equal_finite_differences(name):
    links.check_derivatives(*MAKERS[name])


@pytest.mark.full
@pytest.mark.parametrize("name", MAKERS)
def test_derivatives_are_finite_at_zero_gradients(name):
    links.check_zero_gradients(*MAKERS[name])


@pytest.mark.full
def test_derivatives_are_finite_without_eps_and_at_zero_decays():
    make = lambda v: jaxopt_lab.adam_cm(v[0], capacity=2, b1=v[1], b2=v[2], eps=v[3])
    links.check_zero_gradients(make, [0.1, 0.0, 0.0, 0.0])


@pytest.mark.full
def test_the_derivative_passes_a_refreshed_sum():
    # The 64th step replaces the running sum by a fresh one.
    def final(rate):
        tx = jaxopt_lab.adam_cm(rate, capacity=3, priority_decay=0.9)
        w = jnp.array([1.0, -0.5])

        def step(carry, t):
            w, state = carry
            g = jnp.sin(3 * w + t)
            updates, state = tx.update(g, state, w)
            return (w + updates, state), None

        (w, _), _ = jax.lax.scan(step, (w, tx.init(w)), jnp.arange(70.0))
        return jnp.sum(w)

    at, h = 1e-4, 1e-9
    exact, numeric = jax.jit(
        lambda r: (jax.grad(final)(r), (final(r + h) - final(r - h)) / (2 * h))
    )(at)
    chex.assert_trees_all_close(exact, numeric, rtol=1e-5)
    forward = jax.jit(lambda r: jax.jvp(final, (r,), (1.0,))[1])(at)
    chex.assert_trees_all_close(exact, forward, rtol=1e-9)


def test_the_derivative_reaches_a_narrow_buffer():
    def final(scale):
        link = jaxopt_lab.critical_gradients(
            capacity=1, priority_decay=1.0, buffer_dtype=jnp.bfloat16
        )
        w = jnp.zeros(2)
        _, state = link.update(scale * jnp.array([1.0, 2.0]), link.init(w))
        a, _ = link.update(jnp.array([0.1, 0.1]), state)
        return jnp.sum(a)

    assert float(jax.jit(jax.grad(final))(1.0)) == 3.0


@pytest.mark.full
def test_a_second_derivative_passes_a_refreshed_sum():
    """In reverse through a scan, which forgets custom rules after the first."""

    def final(rate):
        tx = jaxopt_lab.adam_cm(rate, capacity=2, priority_decay=0.9, eps=1e-3)
        w = jnp.array([1.0, -0.5])

        def step(carry, t):
            w, state = carry
            updates, state = tx.update(jnp.sin(3 * w + t), state, w)
            return (w + updates, state), None

        (w, _), _ = jax.lax.scan(step, (w, tx.init(w)), jnp.arange(66.0))
        return jnp.sum(w**2)

    slope = jax.grad(final)
    twice = jax.jit(lambda r: (jax.grad(slope)(r), jax.jvp(slope, (r,), (1.0,))[1]))
    reverse, forward = twice(1e-4)
    chex.assert_trees_all_close(reverse, forward, rtol=1e-9)
    h = 1e-8
    numeric = jax.jit(lambda r: (slope(r + h) - slope(r - h)) / (2 * h))(1e-4)
    chex.assert_trees_all_close(reverse, numeric, rtol=1e-6)


def test_a_derivative_leaves_the_refreshed_sum_as_it_is():
    def sums(scale):
        entry = {"w": scale * jnp.array([1.1, -0.7, 0.0])}
        buffer = jaxopt_lab.transforms.memory.empty(entry, 3)

        def step(buffer, t):
            new = {"w": entry["w"] * jnp.sin(t)}
            return jaxopt_lab.transforms.memory.admit(buffer, new, jnp.cos(t)), None

        return jax.lax.scan(step, buffer, jnp.arange(66.0))[0].total["w"]

    plain = jax.jit(sums)(1.3)
    primal, tangent = jax.jit(lambda s: jax.jvp(sums, (s,), (1.0,)))(1.3)
    chex.assert_trees_all_equal(primal, plain)
    chex.assert_trees_all_close(tangent, plain / 1.3, rtol=1e-12)
