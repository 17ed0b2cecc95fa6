"""Distillation against a plain NumPy gradient, and its neutral settings."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_lab
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.recipes import (
    init_distillation,
    make_distillation_step,
    soft_divergence,
)

RNG = np.random.default_rng(0)
STUDENT, TEACHER = RNG.normal(size=(4, 3)), 2 * RNG.normal(size=(4, 3))
BATCH = {"image": RNG.normal(size=(6, 4)), "label": RNG.integers(0, 3, 6)}


def apply(params, state, x, *, train, key=None):
    state = {"calls": state["calls"] + 1} if train and "calls" in state else state
    return x @ params, state


MODEL = Functional(lambda key: (jnp.zeros((4, 3)), {}), apply)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def reference(w, weight, t, rate):
    """One step of gradient descent, and its loss."""
    x, y = BATCH["image"], np.eye(3)[BATCH["label"]]
    own, target = x @ w, x @ TEACHER
    p, q = softmax(own / t), softmax(target / t)
    hard = -np.sum(y * np.log(softmax(own)), -1)
    soft = t**2 * np.sum(q * np.log(q / p), -1)
    slope = (1 - weight) * (softmax(own) - y) + weight * t * (p - q)
    return w - rate * x.T @ slope / 6, np.mean((1 - weight) * hard + weight * soft)


def start(tx, **states):
    return init_distillation(
        tx, jnp.asarray(STUDENT), jnp.asarray(TEACHER), jax.random.key(0), **states
    )


@pytest.mark.full(plain=["1.0-1.0"])
@pytest.mark.parametrize("weight, temperature", [(0.7, 3.0), (1.0, 1.0)])
def test_steps_are_those_of_the_formula(weight, temperature):
    tx = optax.sgd(0.2)
    step = make_distillation_step(
        MODEL, MODEL, tx, weight=weight, temperature=temperature
    )
    step, state, w = jax.jit(step), start(tx), STUDENT
    for _ in range(3):
        state, metrics = step(state, BATCH)
        w, loss = reference(w, weight, temperature, 0.2)
        np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-12)
        np.testing.assert_allclose(state.params["student"], w, rtol=1e-11)
        np.testing.assert_array_equal(state.params["teacher"], TEACHER)
    same = np.argmax(BATCH["image"] @ TEACHER, -1)
    assert int(state.step) == 3 and 0 <= float(metrics["agreement"]) <= 1
    final = jax.jit(step)(state, BATCH)[1]
    own = np.argmax(BATCH["image"] @ np.asarray(state.params["student"]), -1)
    assert float(final["agreement"]) == pytest.approx(np.mean(same == own))
    assert float(final["accuracy"]) == pytest.approx(np.mean(BATCH["label"] == own))


def test_a_teacher_teaches_its_own_weights_nothing():
    tx = optax.sgd(1.0)
    step = make_distillation_step(MODEL, MODEL, tx, weight=1.0)
    state = init_distillation(
        tx, jnp.asarray(TEACHER), jnp.asarray(TEACHER), jax.random.key(0)
    )
    state, metrics = jax.jit(step)(state, BATCH)
    np.testing.assert_allclose(metrics["loss"], 0, atol=1e-14)
    np.testing.assert_allclose(state.params["student"], TEACHER, atol=1e-13)


def test_sam_and_model_states_go_with_the_student():
    tx = optax.chain(jaxopt_lab.sam(0.1), optax.sgd(0.2))
    states = {name: {"calls": jnp.zeros(())} for name in ("student", "teacher")}
    state = start(tx, student_state=states["student"], teacher_state=states["teacher"])
    step = make_distillation_step(MODEL, MODEL, tx, weight=0.5, temperature=2.0)
    state, _ = jax.jit(step)(state, BATCH)
    assert float(state.model_state["student"]["calls"]) == 1
    assert float(state.model_state["teacher"]["calls"]) == 0
    slope = (STUDENT - reference(STUDENT, 0.5, 2.0, 1.0)[0]) * 0.1
    climbed = STUDENT + slope / np.linalg.norm(slope) * 0.1
    moved = reference(climbed, 0.5, 2.0, 0.2)[0] - climbed
    np.testing.assert_allclose(state.params["student"], STUDENT + moved, rtol=1e-10)


def test_the_divergence_is_safe_at_extreme_logits():
    logits = jnp.array([[1e4, 0.0, -1e4], [0.0, 0.0, 0.0]])
    target = jnp.array([[0.0, 0.0, -1e4], [1e4, -1e4, 0.0]])

    def total(x):
        return jnp.sum(soft_divergence(x, target, 1.0))

    value, slope = jax.jit(jax.value_and_grad(total))(logits)
    np.testing.assert_allclose(value, 5e3 - np.log(2) + np.log(3), rtol=1e-9)
    expected = softmax(np.asarray(logits)) - softmax(np.asarray(target))
    np.testing.assert_allclose(slope, expected, atol=1e-12)


def test_narrow_logits_are_summed_in_float32():
    logits = jnp.ones((2, 3), jnp.bfloat16)
    assert soft_divergence(logits, logits, 2.0).dtype == jnp.float32


@pytest.mark.parametrize(
    "options, words",
    [
        ({"weight": 1.5}, r"weight must lie in \[0, 1\]; got 1.5"),
        ({"temperature": 0}, "temperature must be above 0; got 0"),
    ],
)
def test_bad_options(options, words):
    with pytest.raises(InputError, match=words):
        make_distillation_step(MODEL, MODEL, optax.sgd(0.1), **options)


def test_bad_batches_and_states():
    tx = optax.sgd(0.1)
    step, state = make_distillation_step(MODEL, MODEL, tx), start(tx)
    with pytest.raises(InputError, match="the batch has no 'label'; it has"):
        step(state, {"image": BATCH["image"]})
    with pytest.raises(InputError, match=r"state.params must be a dict of 'student'"):
        step(state._replace(params=STUDENT), BATCH)
    wide = Functional(MODEL.init, lambda p, s, x, **_: (jnp.zeros((6, 5)), s))
    with pytest.raises(InputError, match=r"logits of one shape; got \(6, 3\) and"):
        make_distillation_step(MODEL, wide, tx)(state, BATCH)
