"""The residual network of the Poincare ball: its sum, and that it learns."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab.lab.models import MODELS, configs
from jaxopt_lab.lab.models.poincare_resnet import mobius_total
from jaxopt_lab.losses.classification import cross_entropy
from jaxopt_lab.training import from_nnx


def test_tangents_of_one_direction_add_up():
    rng = np.random.default_rng(0)
    unit = rng.normal(size=(4, 3))
    unit /= np.linalg.norm(unit, axis=-1, keepdims=True)
    a, b = rng.uniform(-1, 1, (2, 4, 1))
    run = jax.jit(lambda x, y: mobius_total(x, y, 0.3))
    np.testing.assert_allclose(run(a * unit, b * unit), (a + b) * unit, rtol=1e-10)
    np.testing.assert_allclose(run(unit, 0 * unit), unit, rtol=1e-12)


@pytest.mark.full
def test_a_small_one_learns_its_examples():
    config = configs.PoincareResNetConfig(channels=(4,), depth=4)
    model = from_nnx(MODELS["poincare_resnet"].build(config, (4, 4, 1), 3))
    x = jax.random.normal(jax.random.key(0), (12, 4, 4, 1), jnp.float32)
    y, tx = jnp.arange(12) % 3, optax.adam(0.03)

    @jax.jit
    def step(params, state, opt_state):
        def loss(params):
            scores, kept = model.apply(params, state, x, train=True)
            return jnp.mean(cross_entropy(scores, y)), kept

        (value, kept), grads = jax.value_and_grad(loss, has_aux=True)(params)
        updates, opt_state = tx.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), kept, opt_state, value

    params, state = jax.jit(model.init)(jax.random.key(1))
    opt_state, losses = tx.init(params), []
    for _ in range(60):
        params, state, opt_state, value = step(params, state, opt_state)
        losses.append(float(value))
    assert np.all(np.isfinite(losses)) and losses[-1] < 0.5 * losses[0]
    moved = state["stem_norm"]["running_mean"]
    assert np.any(np.asarray(moved) != 0)
