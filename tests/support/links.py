"""Checks of every sharpness method: counts, bytes, derivatives, zero radius."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxopt_lab
from jaxopt_lab.core import trees
from jaxopt_lab.training import init_state, make_train_step
from support.parity import train_loss
from support.passes import marked, passes

EXAMPLES = 8


def problem(dtype: Any = jnp.float64) -> tuple[Any, Any, Callable[..., Any]]:
    """Parameters, batch and loss; ``unused`` is zero and has a zero gradient."""
    keys = jax.random.split(jax.random.key(3), 4)
    params = {
        "one": {
            "kernel": jax.random.normal(keys[0], (3, 5), dtype) / 2,
            "bias": jnp.full((5,), 0.1, dtype),
        },
        "two": {"kernel": jax.random.normal(keys[1], (5, 2), dtype) / 2},
        "unused": {"kernel": jnp.zeros((2, 2), dtype)},
    }
    batch = {
        "x": jax.random.normal(keys[2], (EXAMPLES, 3), dtype),
        "y": jax.random.normal(keys[3], (EXAMPLES, 2), dtype),
    }

    def loss(p: Any, b: Any) -> jax.Array:
        hidden = jnp.tanh(b["x"] @ p["one"]["kernel"] + p["one"]["bias"][None])
        return jnp.mean((hidden @ p["two"]["kernel"] - b["y"]) ** 2)

    return params, batch, loss


def trajectory(
    tx: optax.GradientTransformation, steps: int = 4, chain_state: bool = False
) -> Any:
    """Parameters (and the optimizer state) after some steps of the train step."""
    params, batch, loss = problem()
    step = jax.jit(make_train_step(train_loss(loss), tx))
    state = init_state(tx, params, jax.random.key(0))
    for _ in range(steps):
        state, _ = step(state, batch)
    return (state.params, state.opt_state) if chain_state else state.params


def base() -> optax.GradientTransformationExtraArgs:
    """A base optimizer with all that can go wrong: decay, momentum."""
    return optax.chain(optax.add_decayed_weights(0.01), optax.sgd(0.1, momentum=0.9))


def check_zero_radius_is_the_base(link: Callable[[Any], Any], atol: float = 0.0):
    """With rho = 0, given in three ways, parameters and momentum are the base's."""
    plain = trajectory(base(), chain_state=True)
    for rho in (0.0, jnp.array(0.0), lambda count: 0.0 * count):
        params, state = trajectory(optax.chain(link(rho), base()), chain_state=True)
        chex.assert_trees_all_close(params, plain[0], rtol=0, atol=atol)
        chex.assert_trees_all_close(state[1], plain[1], rtol=0, atol=max(atol, 1e-12))


def example_gradients(tx: optax.GradientTransformation) -> float:
    """Passes over the whole batch in one train step, counted in examples."""
    params, batch, loss = problem()

    def counting(p: Any, b: Any) -> jax.Array:
        return loss(p, {**b, "x": marked(b["x"])})

    step = make_train_step(train_loss(counting), tx)
    state = init_state(tx, params, jax.random.key(0))
    return passes(step, state, batch, like=batch["x"])


def state_bytes(tx: optax.GradientTransformation) -> float:
    """Bytes of state per float32 parameter, rounded down to whole ones."""
    params, _, _ = problem(jnp.float32)
    shapes = jax.eval_shape(tx.init, params)
    return trees.nbytes(shapes) // trees.count(params)


def check_derivatives(
    make: Callable[[jax.Array], optax.GradientTransformation],
    theta: Sequence[float],
    steps: int = 5,
) -> None:
    """Derivatives through some steps equal central differences to 1e-6.

    Args:
      make: the whole optimizer from its hyper-parameters.
      theta: their values; the step along a direction of the initial weights is
        differentiated besides.
      steps: number of steps.
    """
    params, batch, loss = problem()
    keys = iter(jax.random.split(jax.random.key(8), 8))
    direction = jax.tree.map(
        lambda p: jax.random.normal(next(keys), p.shape, p.dtype), params
    )
    direction["unused"] = jax.tree.map(jnp.zeros_like, params["unused"])

    @jax.jit
    def final(v: jax.Array) -> jax.Array:
        tx = optax.with_extra_args_support(make(v[:-1]))
        start = jax.tree.map(lambda p, d: p + v[-1] * d, params, direction)

        def step(carry: Any, _: Any) -> Any:
            w, state = carry
            grad_fn = jaxopt_lab.batch_grad(loss, batch)
            updates, state = tx.update(grad_fn(w), state, w, grad_fn=grad_fn)
            return (optax.apply_updates(w, updates), state), None

        carry = (start, tx.init(start))
        (w, _), _ = jax.lax.scan(step, carry, length=steps)
        return loss(w, batch)

    at, h = jnp.array([*theta, 0.0]), 1e-5
    grads = jax.jit(jax.grad(final))(at)
    for i in range(len(at)):
        up, down = final(at.at[i].add(h)), final(at.at[i].add(-h))
        numeric = (up - down) / (2 * h)
        assert abs(float(numeric)) > 1e-6, f"derivative {i} says nothing"
        np.testing.assert_allclose(grads[i], numeric, rtol=1e-6, err_msg=f"{i}")


def check_zero_gradients(
    make: Callable[[jax.Array], optax.GradientTransformation],
    theta: Sequence[float],
    zero_params: bool = False,
) -> None:
    """Check that values and derivatives are finite where every gradient is zero."""
    params, batch, loss = problem()
    if zero_params:
        params = jax.tree.map(jnp.zeros_like, params)

    @jax.jit
    def final(v: jax.Array, w: Any) -> Any:
        tx = optax.with_extra_args_support(make(v))
        state = tx.init(w)

        def flat(p: Any, b: Any) -> jax.Array:
            return 0.0 * loss(p, b)

        for _ in range(2):
            grad_fn = jaxopt_lab.batch_grad(flat, batch)
            updates, state = tx.update(grad_fn(w), state, w, grad_fn=grad_fn)
            w = optax.apply_updates(w, updates)
        return sum(jnp.sum(x) for x in jax.tree.leaves(w)), w

    args = (jnp.array(list(theta)), params)
    grads, w = jax.jit(jax.grad(final, argnums=(0, 1), has_aux=True))(*args)
    chex.assert_tree_all_finite((grads, w))
