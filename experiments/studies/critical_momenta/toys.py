"""Landscapes of one and two dimensions with more than one minimum."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Toy(NamedTuple):
    """A landscape.

    Attributes:
      name: what it is called.
      loss: ``loss(x) -> scalar`` of ``x`` of shape ``(dims,)``.
      target: the minimum that is to be found: the flat one, or the global one.
      tolerance: how near an end must be to count as a hit.
      low: lowest coordinate of a start.
      high: highest coordinate of a start.
      window: lowest and highest coordinate of a picture.
    """

    name: str
    loss: Callable[[jax.Array], jax.Array]
    target: tuple[float, ...]
    tolerance: float
    low: tuple[float, ...]
    high: tuple[float, ...]
    window: tuple[float, float]

    @property
    def dims(self) -> int:
        """Number of coordinates."""
        return len(self.target)

    def starts(self, count: int) -> jax.Array:
        """Starting points, uniform and the same in every run.

        Args:
          count: how many.

        Returns:
          Shape ``(count, dims)``, float32.
        """
        rng = np.random.default_rng(0)
        drawn = rng.uniform(self.low, self.high, (count, self.dims))
        return jnp.asarray(drawn, jnp.float32)


def _wells(width: float) -> Callable[[jax.Array], jax.Array]:
    """Two wells of depth 1: a narrow one at -2, and one of width 1 at 2."""

    def loss(x: jax.Array) -> jax.Array:
        others = jnp.sum(x[1:] ** 2)
        narrow = jnp.exp(-((x[0] + 2) ** 2 + others) / (2 * width**2))
        wide = jnp.exp(-((x[0] - 2) ** 2 + others) / 2)
        return 0.01 * jnp.sum(x**2) - narrow - wide

    return loss


def levy(x: jax.Array) -> jax.Array:
    """Levy's function; minimum 0 at (1, ..., 1)."""
    w = 1 + (x - 1) / 4
    first = jnp.sin(jnp.pi * w[0]) ** 2
    middle = (w[:-1] - 1) ** 2 * (1 + 10 * jnp.sin(jnp.pi * w[:-1] + 1) ** 2)
    last = (w[-1] - 1) ** 2 * (1 + jnp.sin(2 * jnp.pi * w[-1]) ** 2)
    return first + jnp.sum(middle) + last


def ackley(x: jax.Array) -> jax.Array:
    """Ackley's function; minimum 0 at 0, a cusp."""
    square = jnp.mean(x**2)
    root = jnp.sqrt(jnp.where(square == 0, 1, square)) * (square != 0)
    waves = jnp.mean(jnp.cos(2 * jnp.pi * x))
    return -20 * jnp.exp(-0.2 * root) - jnp.exp(waves) + 20 + jnp.e


def log_goldstein_price(x: jax.Array) -> jax.Array:
    """Logarithm of Goldstein and Price's function, to mean 0 and variance 1.

    Minimum at (0, -1), with three other ones.
    """
    a, b = x[0], x[1]
    one = 1 + (a + b + 1) ** 2 * (
        19 - 14 * a + 3 * a**2 - 14 * b + 6 * a * b + 3 * b**2
    )
    two = 30 + (2 * a - 3 * b) ** 2 * (
        18 - 32 * a + 12 * a**2 + 48 * b - 36 * a * b + 27 * b**2
    )
    return (jnp.log(one * two) - 8.693) / 2.427


TOYS = (
    Toy("wells .1", _wells(0.1), (2.0,), 0.7, (-4.0,), (0.0,), (-4.5, 4.5)),
    Toy("wells .3", _wells(0.3), (2.0,), 0.7, (-4.0,), (0.0,), (-4.5, 4.5)),
    Toy(
        "wells .3, 2-D",
        _wells(0.3),
        (2.0, 0.0),
        0.7,
        (-3.0, -0.6),
        (-1.0, 0.6),
        (-4.5, 4.5),
    ),
    Toy("levy, 1-D", levy, (1.0,), 0.25, (-10.0,), (10.0,), (-10.0, 10.0)),
    Toy("levy, 2-D", levy, (1.0,) * 2, 0.25, (-10.0,) * 2, (10.0,) * 2, (-10.0, 10.0)),
    Toy("ackley", ackley, (0.0,) * 2, 0.25, (-5.0,) * 2, (5.0,) * 2, (-5.0, 5.0)),
    Toy(
        "goldstein-price",
        log_goldstein_price,
        (0.0, -1.0),
        0.2,
        (-2.0,) * 2,
        (2.0,) * 2,
        (-2.0, 2.0),
    ),
)
