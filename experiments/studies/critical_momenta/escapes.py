"""Every optimizer from every start at every step size, in one program."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.studies.critical_momenta.config import Config, Schedule
from experiments.studies.critical_momenta.methods import Row
from experiments.studies.critical_momenta.toys import Toy

# Stable in the narrowest well, whose curvature is 100.
_SMALL = 5e-3


class Escapes(NamedTuple):
    """Ends of an optimizer on a toy; shapes ``(rates, starts)`` but for the last.

    Attributes:
      hit: whether the end is near the target.
      first: step at which it was near it for the first time; NaN if never.
      sharpness: top eigenvalue of the Hessian at the end; NaN if not finite.
      path: some of the ways, shape ``(rates, drawn, points, dims)``.
    """

    hit: np.ndarray
    first: np.ndarray
    sharpness: np.ndarray
    path: np.ndarray


def escapes(row: Row, toy: Toy, schedule: Schedule, config: Config) -> Escapes:
    """Run an optimizer on a toy.

    Args:
      row: the optimizer.
      toy: the landscape.
      schedule: ``"cosine"`` to zero, or ``"constant"``.
      config: starts, steps and step sizes.

    Returns:
      The ends.
    """
    starts = toy.starts(config.starts)
    rates = jnp.asarray(config.toy_rates, jnp.float32)
    falls = jnp.asarray(schedule == "cosine")
    program = _program(row, toy, config.toy_steps)
    hit, first, sharpness, path = program(falls, rates, starts)
    every = max(1, config.toy_steps // 200)
    return Escapes(
        np.asarray(hit),
        np.asarray(first),
        np.asarray(sharpness),
        np.asarray(path[:, : config.drawn, ::every]),
    )


def _near(toy: Toy, x: jax.Array) -> jax.Array:
    return jnp.sum((x - jnp.asarray(toy.target, x.dtype)) ** 2) < toy.tolerance**2


@functools.lru_cache(maxsize=16)
def _program(row: Row, toy: Toy, steps: int) -> Callable[..., Any]:
    """One program for both schedules; compiling takes longer than its runs."""
    run = functools.partial(_run, row, toy, steps)
    over_starts = jax.vmap(run, (None, None, 0))
    return jax.jit(jax.vmap(over_starts, (None, 0, None)))


def _run(
    row: Row,
    toy: Toy,
    steps: int,
    falls: jax.Array,
    rate: jax.Array,
    start: jax.Array,
) -> Any:
    shape = optax.cosine_decay_schedule(1.0, steps)
    tx = optax.with_extra_args_support(
        row.make(lambda count: rate * jnp.where(falls, shape(count), 1.0))
    )
    grad = jax.grad(toy.loss)

    def step(carry: Any, t: jax.Array) -> tuple[Any, jax.Array]:
        at, state, first = carry
        updates, state = tx.update(grad(at), state, at, grad_fn=lambda p, i=0: grad(p))
        x: Any = optax.apply_updates(at, updates)
        first = jnp.where(jnp.isnan(first) & _near(toy, x), t, first)
        return (x, state, first), x

    begin = (start, tx.init(start), jnp.array(jnp.nan, jnp.float32))
    times = jnp.arange(1, steps + 1, dtype=jnp.float32)
    (end, _, first), path = jax.lax.scan(step, begin, times)
    hessian = jax.hessian(toy.loss)(end)
    finite = jnp.all(jnp.isfinite(hessian))
    top = jnp.linalg.eigvalsh(jnp.where(finite, hessian, 0))[-1]
    return _near(toy, end), first, jnp.where(finite, top, jnp.nan), path


def elsewhere(toy: Toy, config: Config) -> np.ndarray:
    """Marks the starts in the basin of another minimum.

    Args:
      toy: the landscape.
      config: number of starts.

    Returns:
      Booleans, shape ``(starts,)``: gradient descent with small steps from there does
      not end near the target.
    """

    def flow(start: jax.Array) -> jax.Array:
        def step(x: jax.Array, _: None) -> tuple[jax.Array, None]:
            return x - _SMALL * jax.grad(toy.loss)(x), None

        end = jax.lax.scan(step, start, None, length=config.flow_steps)[0]
        return ~_near(toy, end)

    return np.asarray(jax.jit(jax.vmap(flow))(toy.starts(config.starts)))
