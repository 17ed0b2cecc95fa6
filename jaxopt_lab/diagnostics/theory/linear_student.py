r"""Training and test error of gradient descent in a linear student, in closed form.

A teacher :math:`y = \bar w x + \varepsilon` labels P samples; a student :math:`\hat y =
w x` of the same N weights learns them by gradient descent on the sum of squares. All
are independent Gaussians of mean 0: the N entries of ``x`` with variance 1/N, the
entries of the teacher :math:`\bar w` with :math:`\sigma_{\bar w}^2`, the noise
:math:`\varepsilon` with :math:`\sigma_\varepsilon^2`, the initial weights with
:math:`\sigma_0^2`. The eigenvectors of :math:`X X^T` learn independently. With
:math:`r_\lambda(t)` the remaining part of the error, :math:`e^{-\lambda t}` for
gradient flow and :math:`(1 - \eta\lambda)^{t/\eta}` for steps of size :math:`\eta`, and
:math:`S = \sigma_{\bar w}^2 + \sigma_0^2`,

.. math::
    E_{test}(t) &= \Big\langle S\, r_\lambda^2
    + \sigma_\varepsilon^2 \frac{(1 - r_\lambda)^2}{\lambda} \Big\rangle
    + \sigma_\varepsilon^2, \\
    E_{train}(t) &= \frac1\alpha \big\langle (\lambda S + \sigma_\varepsilon^2)\,
    r_\lambda^2 \big\rangle + \Big(1 - \frac1\alpha\Big) \sigma_\varepsilon^2,

the brackets being means over the spectrum. The first term of the test error is the
signal not learned yet, the second the learned noise; slow modes (small
:math:`\lambda`) learn mostly noise. They are most common at P = N, where the spectrum
reaches down to zero: there training for too long hurts the most.

Time: t counts steps times the step size on the SUM of squares / 2. For the mean over
the P samples, ``t = steps * learning_rate / P``; with entries of ``x`` of variance 1
besides, ``t = steps * learning_rate * N / P``.

Finite size: given ``X``, both formulas are exact means over teacher, noise and initial
weights, at any N and P, with the eigenvalues of :math:`X X^T` as the spectrum. With
the Marchenko-Pastur law they are off by terms of order 1/N in the mean, and single
draws scatter by :math:`1/\sqrt N`. At P = N this holds up to times of order
:math:`N^2`; then the smallest eigenvalue, about :math:`1/N^2`, has been learned, and
the test error of a finite student stops growing, which the law's never does.

Reference: Advani, Saxe and Sompolinsky, "High-dimensional dynamics of generalization
error in neural networks", arXiv:1710.03667.
"""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxopt_lab.core.checks import check_non_negative, check_positive_count
from jaxopt_lab.core.trees import safe_divide, safe_sqrt
from jaxopt_lab.core.typing import Scalar
from jaxopt_lab.diagnostics.theory.marchenko_pastur import Spectrum, check_ratio


class LinearTask(NamedTuple):
    """Variances of the teacher, the noise on its labels, and the initial student.

    Attributes:
      teacher: variance of each teacher weight, and of the labels without noise.
      noise: variance of the noise on a label.
      initial: variance of each initial student weight.
    """

    teacher: Scalar = 1.0
    noise: Scalar = 0.0
    initial: Scalar = 0.0


class Errors(NamedTuple):
    """Mean squared errors along training.

    Attributes:
      train: over the P samples, noise included.
      test: over new samples, noise included (``task.noise`` is the least possible).
    """

    train: Array
    test: Array


def linear_student_errors(
    times: ArrayLike,
    spectrum: Spectrum,
    alpha: Scalar,
    task: LinearTask,
    *,
    learning_rate: Scalar | None = None,
) -> Errors:
    r"""Mean training and test error at given times.

    Args:
      times: at least 0; any shape. With ``learning_rate``, numbers of STEPS.
      spectrum: of :math:`X X^T`: ``marchenko_pastur(alpha)`` for a large student, or
        the N eigenvalues (zeros included) of a given ``X`` with equal weights.
      alpha: samples over features, P/N.
      task: the three variances; numbers or traced scalars.
      learning_rate: step on the sum of squares / 2. ``None``: gradient flow.

    Returns:
      Errors of the shape of ``times``. Differentiable in the times, the spectrum,
      ``alpha``, the variances and the learning rate, also at zero eigenvalues.

    Raises:
      InputError: a variance is negative, or ``alpha`` is not positive and finite.

    >>> flat = Spectrum(jnp.ones(1), jnp.ones(1))
    >>> errors = linear_student_errors(0.0, flat, 1.0, LinearTask(noise=0.5))
    >>> float(errors.train), float(errors.test)
    (1.5, 1.5)
    """
    check_ratio("alpha", alpha)
    _check(task)
    steps = jnp.asarray(times, spectrum.eigenvalues.dtype)
    at = jnp.expand_dims(steps, -1)
    eigenvalues = jnp.expand_dims(spectrum.eigenvalues, tuple(range(steps.ndim)))
    weights = jnp.expand_dims(spectrum.weights, tuple(range(steps.ndim)))
    learned = _learned_over_eigenvalue(at, eigenvalues, learning_rate)
    left = 1 - eigenvalues * learned
    spread = task.teacher + task.initial
    test = spread * left**2 + task.noise * eigenvalues * learned**2
    train = (eigenvalues * spread + task.noise) * left**2
    return Errors(
        jnp.sum(weights * train, -1) / alpha + (1 - 1 / alpha) * task.noise,
        jnp.sum(weights * test, -1) + task.noise,
    )


def optimal_stopping_time(
    spectrum: Spectrum, task: LinearTask, *, candidates: int = 512
) -> Array:
    r"""Time of gradient flow at which the test error is least.

    A mode by itself should stop at :math:`\ln(1 + \lambda S / \sigma_\varepsilon^2) /
    \lambda`, later the smaller its eigenvalue. The best common time is between the
    extremes: it is taken from a logarithmic grid and refined by 60 bisections of the
    derivative.

    Args:
      spectrum: see ``linear_student_errors``.
      task: the three variances.
      candidates: points of the grid, at least 2. They matter only where the test
        error has several minima.

    Returns:
      Scalar; infinite without noise, 0 where there is nothing to learn
      (:math:`S = 0`). Its derivatives are those of the implicit function, in the
      spectrum and in the variances.

    Raises:
      InputError: a variance is negative, or ``candidates`` is no whole number of at
        least 1.

    >>> one_mode = Spectrum(jnp.ones(1), jnp.ones(1))
    >>> time = optimal_stopping_time(one_mode, LinearTask(noise=0.5))
    >>> round(float(time), 5)  # log(1 + 1 / 0.5)
    1.09861
    """
    _check(task)
    check_positive_count("candidates", candidates)
    fixed: Spectrum = jax.lax.stop_gradient(spectrum)
    dtype = spectrum.eigenvalues.dtype
    task = LinearTask(*(jnp.asarray(value, dtype) for value in task))
    still: LinearTask = jax.lax.stop_gradient(task)
    spread = still.teacher + still.initial
    # Without noise any positive number keeps the search finite; the result is unused.
    ratio = spread / jnp.where(still.noise == 0, 1, still.noise)
    x = fixed.eigenvalues * ratio
    alone = jnp.where(x == 0, 1, jnp.log1p(x) / jnp.where(x == 0, 1, x)) * ratio
    low, high = jnp.min(alone), jnp.max(alone)
    grid = low * safe_divide(high, low) ** jnp.linspace(0, 1, candidates, dtype=dtype)
    losses = linear_student_errors(grid, fixed, 1.0, still).test
    best = jnp.argmin(losses)
    ends = grid[jnp.maximum(best - 1, 0)], grid[jnp.minimum(best + 1, candidates - 1)]

    def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        middle = (ends[0] + ends[1]) / 2
        rising = _slope(middle, fixed, still) > 0
        return (
            jnp.where(rising, ends[0], middle),
            jnp.where(rising, middle, ends[1]),
        )

    low, high = jax.lax.fori_loop(0, 60, halve, ends)
    found = (low + high) / 2
    # One Newton step at the solution changes it by rounding error only, and has the
    # derivative of the implicit function.
    curved = jax.grad(_slope)(found, fixed, still)
    slope = _slope(found, spectrum, task)
    refined = found - safe_divide(slope, jax.lax.stop_gradient(curved))
    return jnp.where(still.noise == 0, jnp.where(spread == 0, 0, jnp.inf), refined)


def simulate_linear_student(
    key: Array,
    features: int,
    samples: int,
    task: LinearTask,
    *,
    steps: int,
    learning_rate: Scalar,
) -> tuple[Errors, Array]:
    """One student of finite size, trained by full-batch gradient descent.

    Args:
      key: typed key: data, teacher, noise and initial weights.
      features: N, number of weights.
      samples: P, number of training samples.
      task: the three variances.
      steps: their number.
      learning_rate: step on the sum of squares / 2; below 2 over the largest
        eigenvalue, which is about ``(1 + sqrt(P / N))**2``.

    Returns:
      The errors before each step and after the last, shapes ``(steps + 1,)``, and
      the N eigenvalues of this draw. The test error is the mean over all new samples,
      not an estimate. For an ensemble, ``jax.lax.map`` over keys: on a CPU a batched
      product of matrix and vector is slower than one after the other.

    Raises:
      InputError: a variance is negative, or a number is no whole number of at least 1.
    """
    _check(task)
    for name, value in (("features", features), ("samples", samples), ("steps", steps)):
        check_positive_count(name, value)
    keys = jax.random.split(key, 4)
    data = jax.random.normal(keys[0], (features, samples)) / features**0.5
    teacher, noise, student = (
        jax.random.normal(key, (size,)) * safe_sqrt(jnp.asarray(variance, data.dtype))
        for key, size, variance in zip(
            keys[1:], (features, samples, features), task, strict=True
        )
    )

    labels = _product(teacher, data) + noise

    def step(student: Array, _: None) -> tuple[Array, Errors]:
        residual = labels - _product(student, data)
        test = jnp.mean((student - teacher) ** 2) + task.noise
        errors = Errors(jnp.mean(residual**2), test)
        return student + learning_rate * _product(data, residual), errors

    _, errors = jax.lax.scan(step, student, length=steps + 1)
    eigenvalues = jnp.linalg.eigvalsh(_product(data, data.T))
    return errors, jnp.maximum(eigenvalues, 0)


def _product(a: Array, b: Array) -> Array:
    # The default matmul precision of accelerators rounds the factors to fewer bits.
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def _learned_over_eigenvalue(
    times: Array, eigenvalues: Array, learning_rate: Scalar | None
) -> Array:
    r"""``(1 - r) / lambda``, which at ``lambda = 0`` is the time.

    Multiplied by the eigenvalue afterwards, so that a zero there (a direction without
    data) has the right value and derivative.
    """
    zero = eigenvalues == 0
    some = jnp.where(zero, 1, eigenvalues)
    if learning_rate is None:
        return jnp.where(zero, times, -jnp.expm1(-some * times) / some)
    step = learning_rate * some
    smooth = step < 1
    log = jnp.log1p(-jnp.where(smooth, step, 0.5))
    # An overshooting mode changes its sign each step; a real power of a negative number
    # is NaN, so the sign is computed from the parity of the whole number of steps.
    size = jnp.where(smooth, 1, step - 1)
    stuck = size == 0
    power = jnp.exp(times * jnp.log(jnp.where(stuck, 1, size)))
    power = jnp.where(stuck & (times > 0), 0, power)
    overshot = 1 - jnp.where(times % 2 == 1, -power, power)
    learned = jnp.where(smooth, -jnp.expm1(times * log), overshot)
    return jnp.where(zero, times * learning_rate, learned / some)


def _slope(time: Array, spectrum: Spectrum, task: LinearTask) -> Array:
    """Half of the derivative of the test error in time, under gradient flow."""
    eigenvalues, weights = spectrum
    spread = task.teacher + task.initial
    left = jnp.exp(-eigenvalues * time)
    gain = task.noise * (1 - left) - eigenvalues * spread * left
    return jnp.sum(weights * gain * left)


def _check(task: LinearTask) -> None:
    for name, value in task._asdict().items():
        check_non_negative(f"task.{name}", value)
