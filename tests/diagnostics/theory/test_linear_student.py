"""linear_student: against trained students, limits, optimal stopping, derivatives."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.diagnostics.theory import linear_student as ls
from jaxopt_lab.diagnostics.theory import marchenko_pastur as mp
from jaxopt_lab.diagnostics.theory.marchenko_pastur import Spectrum

# Compiled once for each shape, not operation by operation.
student_errors = jax.jit(ls.linear_student_errors)
best_time = jax.jit(ls.optimal_stopping_time)
marchenko_pastur = jax.jit(mp.marchenko_pastur, static_argnums=1)
TASK = ls.LinearTask(teacher=1.0, noise=0.4, initial=0.3)


@functools.cache
def students(features, samples, draws, steps, learning_rate):
    keys = jax.random.split(jax.random.key(5), draws)
    one = lambda key: ls.simulate_linear_student(
        key, features, samples, TASK, steps=steps, learning_rate=learning_rate
    )
    return jax.jit(lambda keys: jax.lax.map(one, keys))(keys)


def within(draws, expected, errors=4):
    draws = np.asarray(draws)
    standard = draws.std(0, ddof=1) / np.sqrt(len(draws))
    return np.abs(draws.mean(0) - expected) <= errors * standard + 1e-12


@pytest.mark.full
@pytest.mark.parametrize("samples", [8, 16, 40])
def test_given_the_spectrum_it_is_exact_at_every_size(samples):
    # With the eigenvalues of the draw, the difference has mean zero for any N and P,
    # also where a step overshoots (learning_rate * eigenvalue > 1).
    features, steps, learning_rate = 16, 60, 0.3
    errors, eigenvalues = students(features, samples, 2000, steps, learning_rate)
    assert learning_rate * eigenvalues.max() > 1 or samples < 40

    def theory(eigenvalues):
        spectrum = Spectrum(eigenvalues, jnp.full(features, 1 / features))
        return student_errors(
            jnp.arange(steps + 1),
            spectrum,
            samples / features,
            TASK,
            learning_rate=learning_rate,
        )

    expected = jax.jit(jax.vmap(theory))(eigenvalues)
    assert np.all(within(errors.train - expected.train, 0))
    assert np.all(within(errors.test - expected.test, 0))


@pytest.mark.full
@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_large_students_follow_the_law(alpha):
    features, steps, learning_rate = 160, 300, 0.2
    errors, _ = students(features, int(alpha * features), 24, steps, learning_rate)
    at = np.array([0, 3, 10, 30, 100, 300])
    theory = student_errors(
        at, marchenko_pastur(alpha, 128), alpha, TASK, learning_rate=learning_rate
    )
    assert np.all(within(errors.train[:, at], theory.train))
    assert np.all(within(errors.test[:, at], theory.test))
    # A theory without noise, or of another number of samples, is told apart.
    for wrong, ratio in ((TASK._replace(noise=0.3), alpha), (TASK, 1.2 * alpha)):
        other = student_errors(
            at, marchenko_pastur(ratio, 128), ratio, wrong, learning_rate=learning_rate
        )
        assert not np.all(within(errors.test[:, at], other.test))


@pytest.mark.full
@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_stopping_at_the_optimal_time_pays(alpha):
    learning_rate, steps = 0.1, 80
    errors, _ = students(80, int(80 * alpha), 60, steps, learning_rate)
    law = marchenko_pastur(alpha, 64)
    best = float(best_time(law, TASK))
    step = round(best / learning_rate)
    test = np.asarray(errors.test)
    for other in (step // 3, min(3 * step, steps)):
        gain = test[:, other] - test[:, step]
        assert gain.mean() > 4 * gain.std(ddof=1) / np.sqrt(len(gain))


def test_start_and_end():
    for alpha in (0.3, 2.5):
        law = marchenko_pastur(alpha)
        errors = student_errors(jnp.array([0.0, 1e4]), law, alpha, TASK)
        spread, noise = TASK.teacher + TASK.initial, TASK.noise
        np.testing.assert_allclose(errors.train[0], spread + noise)
        np.testing.assert_allclose(errors.test[0], spread + noise)
        if alpha < 1:  # interpolation; the frozen directions, and the noise of the rest
            train = 0
            test = (1 - alpha) * spread + noise * (1 + alpha / (1 - alpha))
        else:
            train = (1 - 1 / alpha) * noise
            test = noise * (1 + 1 / (alpha - 1))
        np.testing.assert_allclose(errors.train[1], train, atol=1e-12)
        np.testing.assert_allclose(errors.test[1], test, rtol=1e-9)


@pytest.mark.full
def test_overtraining_is_worst_at_equal_numbers():
    ratios = jnp.array([0.25, 0.5, 0.7, 0.85, 0.95, 1.0, 1.05, 1.2, 1.5, 2.0, 4.0])

    def errors(alpha):
        law = marchenko_pastur(alpha, 96)
        best = best_time(law, TASK)
        times = jnp.stack([best, jnp.array(200.0)])
        return student_errors(times, law, alpha, TASK).test

    best, late = jax.jit(jax.vmap(errors, out_axes=1))(ratios)
    assert ratios[jnp.argmax(late)] == 1 and ratios[jnp.argmax(late / best)] == 1
    # Stopped in time, more samples are always better.
    assert np.all(np.diff(best) < 0) and np.all(late > best)


def test_one_mode_by_hand():
    # learning_rate * eigenvalue: below 1, exactly 1, beyond, and no data.
    eigenvalues = jnp.array([0.7, 2.0, 3.5, 0.0])
    learning_rate, steps = 0.5, 7
    for i in range(4):
        e = float(eigenvalues[i])
        one = Spectrum(eigenvalues[i : i + 1], jnp.ones(1))
        got = student_errors(
            jnp.arange(steps), one, 2.0, TASK, learning_rate=learning_rate
        )
        left, learned = 1.0, 0.0  # of the teacher, and the filter of the noise
        for step in range(steps):
            spread = TASK.teacher + TASK.initial
            test = spread * left**2 + TASK.noise * (1 + e * learned**2)
            np.testing.assert_allclose(got.test[step], test, rtol=1e-13)
            train = ((e * spread + TASK.noise) * left**2 + TASK.noise) / 2
            np.testing.assert_allclose(got.train[step], train, rtol=1e-13)
            learned += learning_rate * (1 - e * learned)
            left *= 1 - learning_rate * e


def test_small_steps_are_the_flow():
    law, times = marchenko_pastur(0.8), jnp.array([0.0, 1.0, 20.0])
    flow = student_errors(times, law, 0.8, TASK)
    descent = student_errors(times * 1e6, law, 0.8, TASK, learning_rate=1e-6)
    for a, b in zip(flow, descent, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


@pytest.mark.full(plain=["0.001-1.0"])
@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
@pytest.mark.parametrize("noise", [1e-3, 0.4, 50.0])
def test_optimal_time_is_the_minimum(alpha, noise):
    law, task = marchenko_pastur(alpha, 128), TASK._replace(noise=noise)
    best = best_time(law, task)
    test = lambda t: student_errors(t, law, alpha, task).test
    around = best * jnp.concatenate([jnp.geomspace(1e-4, 1e4, 4001), jnp.ones(1)])
    values = jax.jit(test)(around)
    assert values[-1] <= values.min() * (1 + 1e-12)
    assert abs(jax.grad(test)(best)) * best < 1e-12


@pytest.mark.full
def test_optimal_time_without_noise_or_without_a_task():
    law = marchenko_pastur(0.5)
    assert np.isinf(best_time(law, ls.LinearTask()))
    nothing = ls.LinearTask(teacher=0.0, noise=1.0)
    assert best_time(law, nothing) == 0
    slope = jax.grad(lambda s: best_time(law, TASK._replace(teacher=s)))
    assert np.isfinite(slope(0.0)) and slope(1.0) > 0
    slope = jax.grad(lambda s: best_time(law, TASK._replace(noise=s)))
    assert np.isfinite(slope(0.0)) and slope(1.0) < 0


def test_derivatives_of_the_optimal_time():
    def time(x):
        task = ls.LinearTask(x[0], x[1], x[2])
        return best_time(marchenko_pastur(x[3], 64), task)

    at, h = np.array([1.0, 0.5, 0.3, 1.4]), 1e-5
    slopes = jax.jit(jax.grad(time))(at)
    run = jax.jit(time)
    for i in range(4):
        move = np.eye(4)[i] * h
        numeric = (run(at + move) - run(at - move)) / (2 * h)
        np.testing.assert_allclose(slopes[i], numeric, rtol=1e-6)


@pytest.mark.full
@pytest.mark.parametrize("learning_rate", [None, 0.3])
def test_derivatives_of_the_errors(learning_rate):
    # The last eigenvalue is zero: a direction without data.
    def total(x):
        spectrum = Spectrum(jnp.concatenate([x[:2], x[2:3]]), jnp.ones(3) / 3)
        task = ls.LinearTask(x[3], x[4], x[5])
        errors = student_errors(
            jnp.array([0.0, 4.0]), spectrum, x[6], task, learning_rate=learning_rate
        )
        return jnp.sum(errors.train) + jnp.sum(errors.test**2)

    at, h = np.array([1.5, 0.2, 0.0, 1.0, 0.4, 0.2, 0.9]), 1e-6
    slopes = jax.jit(jax.grad(total))(at)
    for i in range(len(at)):
        move = np.eye(len(at))[i] * h
        one_sided = i == 2
        low = at if one_sided else at - move
        numeric = (total(at + move) - total(low)) / (h if one_sided else 2 * h)
        np.testing.assert_allclose(slopes[i], numeric, rtol=1e-4, atol=1e-9)


@pytest.mark.full
def test_float32():
    narrow = marchenko_pastur(jnp.float32(1.0), 64)
    wide = marchenko_pastur(1.0, 64)
    times = jnp.array([0.0, 1.0, 50.0])
    for rate in (None, 0.2):
        a = student_errors(times, narrow, 1.0, TASK, learning_rate=rate)
        b = student_errors(times, wide, 1.0, TASK, learning_rate=rate)
        for x, y in zip(a, b, strict=True):
            assert x.dtype == jnp.float32
            np.testing.assert_allclose(x, y, rtol=2e-5)
    time = best_time(narrow, TASK)
    assert time.dtype == jnp.float32
    np.testing.assert_allclose(time, best_time(wide, TASK), rtol=1e-4)


def test_bad_arguments():
    law, bad = marchenko_pastur(1.0, 4), ls.LinearTask(noise=-1.0)
    words = "task.noise must be at least 0; got -1.0"
    with pytest.raises(InputError, match=words):
        ls.linear_student_errors(1.0, law, 1.0, bad)
    with pytest.raises(InputError, match=words):
        ls.optimal_stopping_time(law, bad)
    with pytest.raises(InputError, match="alpha must be positive and finite; got 0"):
        ls.linear_student_errors(1.0, law, 0, TASK)
    with pytest.raises(InputError, match="samples must be a whole number"):
        ls.simulate_linear_student(
            jax.random.key(0), 4, 0, TASK, steps=1, learning_rate=0.1
        )
