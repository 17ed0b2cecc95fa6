"""Replaying recorded trajectories through the train step."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_lab.core import trees
from jaxopt_lab.training import init_state, make_train_step
from support import vectors

# The recorded runs scale by T what PyTorch calls a weight.
WEIGHTS = trees.matching("weight")


def train_loss(loss_fn: Any) -> Any:
    """``loss_fn(params, batch)`` in the form of the train step."""
    return lambda params, state, batch, key: (loss_fn(params, batch), (state, {}))


def rho_of(case: vectors.Case) -> Any:
    """The radius of a case, a schedule where it has one."""
    if "rho_schedule" in case.meta:
        return vectors.schedule(case.meta["rho_schedule"])
    return case.meta["hyper"]["rho"]


def error_in_float64(case: vectors.Case, tx: optax.GradientTransformation) -> float:
    """Largest error of the parameters over all steps, losses checked on the way."""
    step = jax.jit(make_train_step(train_loss(vectors.loss(case.meta)), tx))
    state = init_state(tx, vectors.cast(case.init, jnp.float64), jax.random.key(0))
    worst = 0.0
    for t, (batch, expected) in enumerate(zip(case.batches, case.params, strict=True)):
        state, metrics = step(state, vectors.cast(batch, jnp.float64))
        error = vectors.max_error(state.params, expected)
        assert np.isfinite(error), t
        worst = max(worst, error)
        if f"loss/{t}" in case.arrays:
            loss = case.arrays[f"loss/{t}"]
            np.testing.assert_allclose(metrics["loss"], loss, atol=1e-10)
    print(f"{case.meta['method']}/{case.meta['case']}: {worst:.1e}")
    return worst


def check_float32(case: vectors.Case, tx: optax.GradientTransformation) -> None:
    """The first five steps in float32, within the advice of the recordings."""
    step = jax.jit(make_train_step(train_loss(vectors.loss(case.meta)), tx))
    state = init_state(tx, vectors.cast(case.init, jnp.float32), jax.random.key(0))
    for batch, expected in list(zip(case.batches, case.params, strict=True))[:5]:
        state, _ = step(state, vectors.cast(batch, jnp.float32))
        for name, value in state.params.items():
            assert value.dtype == jnp.float32
            np.testing.assert_allclose(value, expected[name], rtol=2e-4, atol=2e-5)
