"""Synthetic gradients: the exact gradient as the limit, and their fixed point."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.recipes import (
    decouple,
    init_decoupled,
    inject_gradient,
    make_decoupled_step,
    regression_loss,
    window_gradients,
)
from jaxopt_lab.training import init_state, make_train_step

RNG = np.random.default_rng(0)
A = 0.7 * np.linalg.qr(RNG.normal(size=(3, 3)))[0]
C = RNG.normal(size=3)


def window(a, h, steps=3):
    """A linear core, whose loss after each step is half the square of c . h."""
    losses = 0.0
    for _ in range(steps):
        h = h @ a.T
        losses = losses + 0.5 * (h @ C) ** 2
    return losses, h


def true_gradient(a, h, steps):
    return jax.grad(lambda h: jnp.sum(window(a, h, steps)[0]))(h)


def test_true_predictions_give_the_whole_gradient_and_none_the_truncated_one():
    h = RNG.normal(size=(4, 3))

    @jax.jit
    def run(a, h):
        whole = jax.value_and_grad(lambda a: jnp.mean(window(a, h, 6)[0]))(a)
        future = lambda h: true_gradient(a, h, 3)
        first = window_gradients(window, a, h, future)
        second = window_gradients(window, a, first.state, jnp.zeros_like)
        cut = window_gradients(window, a, h, jnp.zeros_like)
        mean = lambda a: jnp.mean(window(a, h)[0])
        ended = window_gradients(window, a, h, future, live=jnp.zeros(4))
        target = true_gradient(a, h, 6)
        return whole, first, second, cut, jax.grad(mean)(a), ended, target

    whole, first, second, cut, truncated, ended, target = run(jnp.asarray(A), h)
    np.testing.assert_allclose(first.loss + second.loss, whole[0], rtol=1e-12)
    total = np.asarray(first.grads) + np.asarray(second.grads)
    np.testing.assert_allclose(total, whole[1], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(first.target, target, rtol=1e-10)
    np.testing.assert_allclose(cut.grads, truncated, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(ended.grads, cut.grads)


def test_fixed_point_of_the_regression_is_the_true_gradient():
    """Of s(h) = S h the targets give S <- A^T (c c^T + S) A, n times a window."""
    h = jnp.asarray(np.linalg.qr(RNG.normal(size=(3, 3)))[0])

    @jax.jit
    def run(a, h):
        def once(s, _):
            found = window_gradients(window, a, h, lambda h: h @ s.T)
            return jnp.linalg.solve(h, found.target).T, found.target

        return jax.lax.scan(once, jnp.zeros((3, 3)), length=60)[0]

    s = np.asarray(run(jnp.asarray(A), h))
    np.testing.assert_allclose(s, A.T @ (np.outer(C, C) + s) @ A, rtol=1e-9, atol=1e-12)


def test_ends_of_the_mixture_ignore_the_other_side():
    @jax.jit
    def run(u, d):
        def slope(weight, factor, d):
            f = lambda u: factor * jnp.sum(inject_gradient(u, d, weight=weight) ** 2)
            return jax.grad(f)(u)

        def pair(weight, factor):
            f = lambda u, s: factor * jnp.mean(decouple(u, s, weight=weight))
            return jax.grad(f, (0, 1))(u, d)

        bad = jnp.full_like(d, jnp.nan)
        free = slope(0.0, 2.0, bad), slope(jnp.zeros(()), 2.0, bad)
        caught = slope(1.0, jnp.nan, d), slope(jnp.ones(()), 3.0, d)
        return free, caught, slope(0.25, 2.0, d), pair(0.25, 2.0)

    u, d = RNG.normal(size=(2, 5))
    free, caught, quarter, (node, predicted) = run(u, d)
    for one in free:
        np.testing.assert_array_equal(one, 4 * u)
    for one in caught:
        np.testing.assert_array_equal(one, d)
    np.testing.assert_allclose(quarter, 0.75 * 4 * u + 0.25 * d, rtol=1e-12)
    np.testing.assert_allclose(node, 0.75 * 2 / 5 + 0.25 * d / 5, rtol=1e-12)
    # That of regression_loss(s, B g).
    wanted = jax.grad(regression_loss)(jnp.asarray(d), jnp.full(5, 2.0))
    np.testing.assert_allclose(predicted, wanted, rtol=1e-12)


def linear(params, state, x, *, train, key=None):
    return x @ params, state


LINEAR = Functional(lambda key: (jnp.eye(3), {}), linear)
BATCH = {"image": RNG.normal(size=(6, 3)), "label": RNG.integers(0, 3, 6)}


def test_weight_0_is_the_exact_step_to_the_bit_and_predictors_learn():
    tx = optax.sgd(0.1, momentum=0.9)
    modules = [jnp.asarray(w) for w in RNG.normal(size=(3, 3, 3))]
    predictors = [jnp.asarray(w) for w in RNG.normal(size=(2, 6, 3))]

    def plain(params, model_state, batch, key):
        h = batch["image"]
        for w in params:
            h = h @ w
        losses = optax.softmax_cross_entropy_with_integer_labels(h, batch["label"])
        return jnp.mean(losses), (model_state, {})

    @jax.jit
    def run(modules, predictors, batch):
        key = jax.random.key(0)
        state = init_decoupled(tx, modules, predictors, key)
        options = {"weight": 0.0, "classes": 3}
        step = make_decoupled_step([LINEAR] * 3, [LINEAR] * 2, tx, **options)
        found = step(state, batch)[0].params
        other = make_train_step(plain, tx)(init_state(tx, tuple(modules), key), batch)
        return found, other[0].params

    found, wanted = run(modules, predictors, BATCH)
    for one, two in zip(found["modules"], wanted, strict=True):
        np.testing.assert_array_equal(one, two)

    # The last predictor: the gradient of the logits, moved back by the last module.
    h = BATCH["image"] @ np.asarray(modules[0]) @ np.asarray(modules[1])
    logits = h @ np.asarray(modules[2])
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    g = (p - np.eye(3)[BATCH["label"]]) @ np.asarray(modules[2]).T
    given = np.concatenate([h, np.eye(3)[BATCH["label"]]], axis=1)
    first = np.asarray(predictors[1])
    moved = first - 0.1 * given.T @ (given @ first - g) / 6
    np.testing.assert_allclose(found["predictors"][1], moved, rtol=1e-10, atol=1e-12)


@pytest.mark.full
def test_predicted_gradients_train_modules_that_wait_for_nobody():
    labels = np.arange(60) % 3
    x = np.eye(3)[labels] + 0.3 * RNG.normal(size=(60, 3))
    batch = {"image": x, "label": labels}
    tx, key = optax.adam(0.02), jax.random.key(0)
    step = make_decoupled_step([LINEAR] * 2, [LINEAR], tx, classes=3)
    # Of one module all inputs look alike: the other cannot do without it.
    first = jnp.ones((3, 3)) / 3 + 0.01 * jnp.asarray(RNG.normal(size=(3, 3)))
    state = init_decoupled(tx, [first, jnp.eye(3)], [jnp.zeros((6, 3))], key)
    run = jax.jit(lambda s: jax.lax.scan(lambda s, _: step(s, batch), s, length=400))
    _, metrics = run(state)
    assert metrics["accuracy"][-1] > 0.9


def test_bad_input_is_one_line():
    tx = optax.sgd(0.1)
    flat = lambda a, h: (jnp.zeros(()), h)
    h = jnp.ones((2, 3))
    for call, words in (
        (lambda: make_decoupled_step([LINEAR], [LINEAR], tx), "one predictor less"),
        (lambda: make_decoupled_step([LINEAR], [], tx, weight=2.0), "weight must"),
        (lambda: window_gradients(flat, A, h, jnp.zeros_like), "losses \\(B,\\)"),
        (lambda: window_gradients(window, A, h, lambda h: h[:1]), "predict gives"),
        (lambda: decouple(h, h[:1]), "prediction must"),
    ):
        with pytest.raises(InputError, match=words) as raised:
            call()
        assert "\n" not in str(raised.value)
