"""Replaying recorded trajectories whose gradients are recorded too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from support import vectors


def recorded_gradients(case: vectors.Case, dtype: Any = jnp.float64) -> list[Any]:
    """The gradient of every step, in one floating type."""
    return [
        {
            name: jnp.asarray(case.arrays[f"grads/{t}/{name}"], dtype)
            for name in case.init
        }
        for t in range(case.meta["steps"])
    ]


def replay(
    case: vectors.Case,
    tx: optax.GradientTransformation,
    dtype: Any = jnp.float64,
    visit: Callable[[int, Any], None] | None = None,
) -> tuple[list[Any], Any]:
    """Parameters after every step, and the last state.

    ``visit(t, state)`` sees every state.
    """
    params = vectors.cast(case.init, dtype)
    state, after = tx.init(params), []

    @jax.jit
    def step(params: Any, state: Any, grads: Any) -> Any:
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    for t, grads in enumerate(recorded_gradients(case, dtype)):
        params, state = step(params, state, grads)
        after.append(params)
        if visit is not None:
            visit(t, state)
    return after, state


def worst(case: vectors.Case, after: list[Any]) -> float:
    """Largest error of the parameters over all steps."""
    pairs = zip(after, case.params, strict=True)
    return max(vectors.max_error(got, wanted) for got, wanted in pairs)


def check_float32(
    case: vectors.Case, tx: optax.GradientTransformation, steps: int | None = None
) -> None:
    """Types kept and values near those recorded, as their notes advise."""
    after, _ = replay(case, tx, jnp.float32)
    for got, wanted in list(zip(after, case.params, strict=True))[:steps]:
        for name, value in got.items():
            assert value.dtype == jnp.float32
            np.testing.assert_allclose(value, wanted[name], rtol=2e-4, atol=2e-6)
