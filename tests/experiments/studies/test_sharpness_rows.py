"""The optimizers of the study on sharpness-aware methods."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.studies.sharpness import rows
from experiments.studies.sharpness.config import Config, Panel
from jaxopt_lab import batch_grad

BY_NAME = {row.name: row for row in rows.ROWS}
PANEL = Panel("clean", "digits", steps=10)
CONFIG = Config(panels=(PANEL,), seeds=2)


def last_params(row, setting, panel, steps):
    """Parameters after steps on a quadratic."""
    loss = lambda w, x: jnp.mean((x @ w) ** 2) / 2
    x = jnp.array([[1.0, 0.5], [-0.5, 2.0], [0.3, 0.3], [1.0, -1.0]])
    w = jnp.array([3.0, -1.0])
    tx = optax.with_extra_args_support(rows.optimizer(row, setting, panel, CONFIG))
    state = tx.init(w)
    grad_fn = batch_grad(loss, x)

    def one(carry, _):
        w, state = carry
        updates, state = tx.update(grad_fn(w), state, w, grad_fn=grad_fn)
        return (optax.apply_updates(w, updates), state), None

    return jax.jit(lambda c: jax.lax.scan(one, c, None, steps)[0][0])((w, state))


@pytest.mark.full
def test_lookbehind_knows_its_alpha_only_as_a_factor_on_the_step_size():
    panel = PANEL
    setting = rows.Setting(jnp.array(0.05), jnp.array(0.0), jnp.array(0.1))
    static, other, adaptive = (
        last_params(BY_NAME[f"lookbehind k=2 {kind}"], setting, panel, 10)
        for kind in ("static", "alpha=0.2", "adaptive")
    )
    # The step sizes are float32.
    np.testing.assert_allclose(static, other, rtol=1e-6)
    assert np.max(np.abs(static - adaptive)) > 1e-6
    decayed = setting._replace(decay=jnp.array(0.1))
    apart = [
        last_params(BY_NAME[f"lookbehind k=2 {kind}"], decayed, panel, 10)
        for kind in ("static", "alpha=0.2")
    ]
    assert np.max(np.abs(apart[0] - apart[1])) > 1e-5


def test_early_stopping_is_a_shorter_training():
    panel = PANEL
    setting = rows.Setting(jnp.array(0.05), jnp.array(0.0), jnp.array(0.0))
    stopped = setting._replace(stop=jnp.array(0.5))
    row = BY_NAME["sgd, early stopping"]
    whole = last_params(row, stopped, panel, 10)
    np.testing.assert_array_equal(whole, last_params(row, stopped, panel, 5))
    shorter = dataclasses.replace(panel, steps=5)
    np.testing.assert_allclose(whole, last_params(row, setting, shorter, 5), rtol=1e-6)
