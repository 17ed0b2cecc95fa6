"""Sinusoid regression: the smallest family of tasks that shows adaptation."""
# Its examples wait for pytest --full.

from __future__ import annotations

import math
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.bilevel.metalearning.task import Task
from jaxopt_lab.core import checks as arguments
from jaxopt_lab.core import errors

Places = Literal["random", "grid"]


def sinusoid_task(
    key: jax.Array,
    *,
    shots: int = 10,
    queries: int = 10,
    amplitude: tuple[float, float] = (0.1, 5.0),
    phase: tuple[float, float] = (0.0, math.pi),
    interval: tuple[float, float] = (-5.0, 5.0),
    noise: float = 0.0,
    places: Places = "random",
    dtype: DTypeLike = jnp.float32,
) -> Task:
    r"""One task: some points of a sinusoid of random amplitude and phase.

    .. math:: y = A \sin(x - ϕ) + σ ε

    Args:
      key: typed key; the same key gives the same task.
      shots: points to adapt to.
      queries: points for evaluation.
      amplitude: A is uniform between these.
      phase: ϕ is uniform between these, in radians.
      interval: x is uniform between these.
      noise: σ, of the support's y only; the queries are noise-free.
      places: ``"random"``: the queries are drawn like the support; ``"grid"``: they
        are equally spaced from end to end, for a test or a plot.
      dtype: of x and y.

    Returns:
      A task of ``{"x": (points, 1), "y": (points, 1)}``.

    Raises:
      InputError: a number of points is less than 1, or ``places`` is unknown.

    >>> task = sinusoid_task(jax.random.key(0), queries=3, places="grid")
    >>> task.support["x"].shape, task.query["x"][:, 0].tolist()
    ((10, 1), [-5.0, 0.0, 5.0])

    Reference: Finn, Abbeel, Levine, ICML 2017, arXiv:1703.03400, section 5.1.
    """
    arguments.check_positive_count("shots", shots)
    arguments.check_positive_count("queries", queries)
    arguments.check_non_negative("noise", noise)
    if places not in get_args(Places):
        raise errors.unknown("places", places, get_args(Places))
    of_height, of_phase, of_x, of_noise = jax.random.split(key, 4)

    def uniform(key: jax.Array, ends: tuple[float, float], shape=()) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, minval=ends[0], maxval=ends[1])

    height, shift = uniform(of_height, amplitude), uniform(of_phase, phase)
    count = shots + queries if places == "random" else shots
    x = uniform(of_x, interval, (count, 1))
    if places == "grid":
        grid = jnp.linspace(*interval, queries, dtype=dtype)[:, None]
        x = jnp.concatenate([x, grid])
    y = height * jnp.sin(x - shift)
    seen = y[:shots] + noise * jax.random.normal(of_noise, (shots, 1), dtype)
    return Task({"x": x[:shots], "y": seen}, {"x": x[shots:], "y": y[shots:]})
