"""Every method of the catalog: derivatives through its unroll are the true ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conformance import problems
from conformance.subject import BASE_RATE, Subject, train_loss

from jaxopt_lab import catalog
from jaxopt_lab.bilevel import unroll
from jaxopt_lab.training import init_state, make_train_step

STEPS = 6
CODES = "its moments are rounded to codes, whose derivative is taken as zero"
NOT_DIFFERENTIABLE = {
    "lion": "the sign of a momentum is constant but for its jumps",
    "adamw8bit": CODES,
    "adamw4bit": CODES,
    "adamw_fp8": CODES,
    "adamw_linear": CODES,
    "galore": "optax's basis is a singular vector, free in its sign and phase",
    "soap": "its basis is carried on by QR of a power step and taken as constant",
}
# One of each kind; the others take a minute or two together.
QUICK = {"adam", "sam", "lookbehind", "adam_cm", "adam_mini"}


def test_every_excluded_method_has_its_reason():
    excluded = {
        row.name
        for row in catalog.of_kind("transform").values()
        if not row.differentiable
    }
    assert excluded == set(NOT_DIFFERENTIABLE)


def derivatives(row):
    """Reverse, forward and central differences for a rate and a direction."""
    subject, batch = Subject(row), problems.batch()
    numbers = subject.others()
    rate = BASE_RATE if subject.has_base else "learning_rate"
    params = problems.params()
    along = jax.tree.map(lambda p: jnp.cos(jnp.arange(p.size)).reshape(p.shape), params)

    def value(theta):
        tx = subject.transform(**{**numbers, rate: numbers[rate] + theta[0]})
        start = jax.tree.map(lambda p, d: p + theta[1] * d, params, along)
        state = init_state(tx, start, jax.random.key(0))
        step = make_train_step(train_loss(problems.product), tx)
        at = lambda t: batch
        last, _ = unroll(step, state, STEPS, batch_at=at, remat="sqrt")
        leaves = jax.tree.leaves(last.params)
        return sum(jnp.sum(jnp.sin((1.0 + i) * x)) for i, x in enumerate(leaves))

    # Of fourth order: Adam's directions bend sharply where a gradient is small.
    h = 2e-5
    moves = jnp.array([1.0, -1.0, 2.0, -2.0])[:, None, None] * h * jnp.eye(2)[None]

    @jax.jit
    def all_of_them():
        theta = jnp.zeros(2)
        up, down, far_up, far_down = jax.lax.map(
            lambda pair: jax.lax.map(value, pair), moves
        )
        numeric = (8 * (up - down) - (far_up - far_down)) / (12 * h)
        return jax.grad(value)(theta), jax.jacfwd(value)(theta), numeric

    return all_of_them()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(row.name, marks=() if row.name in QUICK else pytest.mark.full)
        for row in catalog.of_kind("transform").values()
        if row.differentiable
    ],
)
def test_derivatives_are_the_true_ones(name):
    reverse, forward, numeric = derivatives(catalog.get(name))
    assert np.all(np.abs(reverse) > 1e-6)
    np.testing.assert_allclose(reverse, forward, rtol=1e-9)
    np.testing.assert_allclose(reverse, numeric, rtol=1e-6, atol=1e-8)
