"""Growth of the mean square of SGD, measured with resampling of directions."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from jaxopt_lab.core.checks import check_positive_count
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.trees import safe_divide, safe_sqrt
from jaxopt_lab.core.typing import Scalar
from jaxopt_lab.curvature.stability.sample_hessians import SampleHessians
from jaxopt_lab.curvature.stability.second_moment import Sampling, check_batch

Direction: TypeAlias = jax.Array
Step: TypeAlias = Callable[[jax.Array, Direction], Direction]


class Growth(NamedTuple):
    """Growth of ln E||w||^2 in a step.

    Attributes:
      rate: mean over the repetitions.
      standard_error: of this mean; NaN for a single repetition.
      rates: that of each repetition, shape ``(repetitions,)``.
    """

    rate: jax.Array
    standard_error: jax.Array
    rates: jax.Array


class PlainRuns(NamedTuple):
    """Independent runs, for the illustration of heavy tails only.

    Attributes:
      log_squares: ln ||w||^2 of each run after each step, 0 at the beginning; shape
        ``(steps, runs)``.
      log_mean_square: ln of the mean of ||w||^2 over the runs, shape ``(steps,)``.
      grown: part of the runs whose norm has grown at the end.
    """

    log_squares: jax.Array
    log_mean_square: jax.Array
    grown: jax.Array


def batch_weights(
    key: jax.Array, num_samples: int, batch_size: Scalar, sampling: Sampling
) -> jax.Array:
    """Counts of each example in a random batch, divided by the batch size.

    Args:
      key: typed key.
      num_samples: n.
      batch_size: B; with Bernoulli sampling its mean. May be traced, except with
        replacement.
      sampling: sampling scheme of batches.

    Returns:
      Shape ``(n,)``, float; sums to 1, with Bernoulli sampling in the mean.

    Raises:
      InputError: B is not in 1 to n, or traced where it must not be, or the sampling
        is unknown.

    >>> float(batch_weights(jax.random.key(0), 4, 2, "without_replacement").sum())
    1.0
    """
    check_batch(batch_size, num_samples, sampling)
    dtype = jnp.result_type(float)
    if sampling == "bernoulli":
        chosen = jax.random.bernoulli(key, batch_size / num_samples, (num_samples,))
    elif sampling == "with_replacement":
        check_positive_count("batch_size", batch_size)
        drawn = jax.random.randint(key, (int(batch_size),), 0, num_samples)
        chosen = jnp.zeros(num_samples, dtype).at[drawn].add(1)
    else:
        # Ranks of a permutation: exactly B of them are below B.
        chosen = jax.random.permutation(key, num_samples) < batch_size
    return chosen.astype(dtype) / batch_size


def linear_step(
    hessians: SampleHessians,
    learning_rate: Scalar,
    batch_size: Scalar,
    *,
    sampling: Sampling = "bernoulli",
) -> Step:
    r"""A step of linearised SGD, :math:`w - \eta \sum_i b_i H_i w`.

    Args:
      hessians: the example Hessians.
      learning_rate: eta, possibly traced.
      batch_size: B, see ``batch_weights``.
      sampling: sampling scheme of batches.

    Returns:
      ``step(key, w)`` for w of shape ``(r,)``, in the coordinates of ``hessians``.

    Raises:
      InputError: see ``batch_weights``.
    """
    a = hessians.factors
    check_batch(batch_size, a.shape[0], sampling)
    eta = jnp.asarray(learning_rate, a.dtype)

    def step(key: jax.Array, w: Direction) -> Direction:
        weights = batch_weights(key, a.shape[0], batch_size, sampling).astype(a.dtype)
        inner = jnp.einsum("ncr,r->nc", a, w) * weights[:, None]
        return w - eta * jnp.einsum("nc,ncr->r", inner, a)

    return step


def growth_rate(
    step: Step,
    draw: Callable[[jax.Array], Direction],
    key: jax.Array,
    *,
    runs: int = 1000,
    steps: int = 150,
    repetitions: int = 5,
) -> Growth:
    r"""Growth of :math:`\ln E\|w\|^2` in a step, for a random linear map.

    The second moment is carried by rare runs, so that the mean over independent runs
    has the wrong sign near the threshold, and more steps make it worse. Here each
    step multiplies unit directions by the random map, records the logarithm of the
    mean of their squared growth, and resamples the directions in proportion to it:
    they then follow the rare runs, and the mean of the records estimates the
    logarithm of the spectral radius of the second-moment map. A first third is
    dropped, while the directions settle.

    Args:
      step: ``step(key, w)``; the map should be linear in w.
      draw: ``draw(key)``, a first direction; it must lie in the range of the mean
        Hessian, as the part in the null space never decays and hides the rest.
      key: typed key.
      runs: number of directions, whose finite number biases the rate by about 1/runs.
      steps: number of steps.
      repetitions: independent repetitions, for the standard error.

    Returns:
      The rate; minus infinity where every direction becomes zero.

    Raises:
      InputError: a number is no whole number of at least 1, or ``steps`` is below 3.

    One ``scan``, jittable; memory: ``repetitions * runs`` directions.

    >>> halve = lambda key, w: w / 2
    >>> found = growth_rate(halve, lambda key: jax.random.normal(key, (3,)),
    ...                     jax.random.key(0), runs=4, steps=3)
    >>> round(float(found.rate), 4)  # 2 ln(1/2)
    -1.3863
    """
    _check_counts(runs, steps, repetitions)
    if steps < 3:
        raise InputError(f"steps must be at least 3, a third is dropped; got {steps}")

    def repetition(key: jax.Array) -> jax.Array:
        first_key, rest = jax.random.split(key)
        first = jax.vmap(draw)(jax.random.split(first_key, runs))

        def advance(
            directions: jax.Array, key: jax.Array
        ) -> tuple[jax.Array, jax.Array]:
            step_key, draw_key = jax.random.split(key)
            moved = jax.vmap(step)(jax.random.split(step_key, runs), directions)
            growth = jnp.sum(moved * moved, axis=1)
            chosen = _resample(draw_key, growth)
            return _units(moved[chosen]), jnp.log(jnp.mean(growth))

        _, records = jax.lax.scan(advance, _units(first), jax.random.split(rest, steps))
        return jnp.mean(records[steps // 3 :])

    rates = jax.vmap(repetition)(jax.random.split(key, repetitions))
    if repetitions == 1:
        return Growth(rates[0], jnp.full((), jnp.nan, rates.dtype), rates)
    error = safe_sqrt(jnp.var(rates, ddof=1) / repetitions)
    return Growth(jnp.mean(rates), error, rates)


def plain_runs(
    step: Step,
    draw: Callable[[jax.Array], Direction],
    key: jax.Array,
    *,
    runs: int = 1000,
    steps: int = 100,
) -> PlainRuns:
    """Independent runs, for illustration: NOT an estimate of the threshold.

    Near the threshold the mean is carried by runs too rare to occur: most shrink
    although the mean square grows. For illustrations; ``growth_rate`` measures.

    Args:
      step: ``step(key, w)``, linear in w.
      draw: ``draw(key)``, a first direction.
      key: typed key.
      runs: number of runs.
      steps: number of steps.

    Returns:
      Their squared norms, in logarithms; lengths are kept at 1 on the way, so that
      nothing overflows.

    Raises:
      InputError: a number is no whole number of at least 1.

    >>> found = plain_runs(lambda key, w: 2 * w, lambda key: jnp.ones(2),
    ...                    jax.random.key(0), runs=3, steps=2)
    >>> float(found.grown)
    1.0
    """
    _check_counts(runs, steps, 1)
    first_key, rest = jax.random.split(key)
    first = _units(jax.vmap(draw)(jax.random.split(first_key, runs)))

    def advance(
        carry: tuple[jax.Array, jax.Array], key: jax.Array
    ) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        directions, logs = carry
        moved = jax.vmap(step)(jax.random.split(key, runs), directions)
        logs = logs + jnp.log(jnp.sum(moved * moved, axis=1))
        return (_units(moved), logs), logs

    start = (first, jnp.zeros(runs, first.dtype))
    _, logs = jax.lax.scan(advance, start, jax.random.split(rest, steps))
    mean = jax.nn.logsumexp(logs, axis=1) - jnp.log(jnp.asarray(runs, logs.dtype))
    return PlainRuns(logs, mean, jnp.mean((logs[-1] > 0).astype(logs.dtype)))


def _units(directions: jax.Array) -> jax.Array:
    norms = safe_sqrt(jnp.sum(directions * directions, axis=1, keepdims=True))
    return safe_divide(directions, norms)


def _resample(key: jax.Array, weights: jax.Array) -> jax.Array:
    """Indices drawn in proportion to the weights, systematically."""
    # One uniform number and equal distances: each index comes within 1 of its
    # expected number of times, which multinomial draws do not give.
    runs = weights.shape[0]
    total = jnp.cumsum(weights)
    offsets = jnp.arange(runs) + jax.random.uniform(key, (), weights.dtype)
    places = offsets.astype(weights.dtype) * (total[-1] / runs)
    return jnp.minimum(jnp.searchsorted(total, places, side="right"), runs - 1)


def _check_counts(runs: int, steps: int, repetitions: int) -> None:
    for name, value in (("runs", runs), ("steps", steps), ("repetitions", repetitions)):
        check_positive_count(name, value)
