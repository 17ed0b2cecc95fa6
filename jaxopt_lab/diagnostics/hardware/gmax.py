"""Conductances with the least error under a budget of power."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, POSITIVE, STATIC, check_arguments
from jaxopt_lab.diagnostics.hardware.memse import Layer, memse

_DECADES = np.linspace(-6, 6, 49)
_NEWTON_STEPS = 6
_SLACK = 1e-5


class GmaxResult(NamedTuple):
    """Conductances, and the error and the power that they have.

    Attributes:
      conductances: of the structure of the start; within the budget.
      error: mean expected squared error of an output over the examples.
      power: mean power of an example.
      scaled_error: error of the start times one common factor, at the budget; never
        below ``error``.
      errors: the error after every step, ``(steps,)``.
    """

    conductances: Any
    error: jax.Array
    power: jax.Array
    scaled_error: jax.Array
    errors: jax.Array


def optimize_gmax(
    network: Callable[[Any], Sequence[Layer]],
    start: Any,
    x: jax.Array,
    target: jax.Array,
    *,
    budget: Annotated[float, POSITIVE, STATIC],
    optimizer: optax.GradientTransformation,
    steps: Annotated[int, COUNT, STATIC] = 200,
) -> GmaxResult:
    r"""Minimize the predicted error over the conductances at a given mean power.

    .. math:: \min_\theta \log E(e^{\theta + s(\theta)}), \quad
        P(e^{\theta + s(\theta)}) = B

    with the common shift s that uses up the budget, found by Newton's method after
    every step. By the implicit function theorem the gradient is
    :math:`g - \tfrac{1^\top g}{1^\top h} h` with those of :math:`\log E` and
    :math:`\log P`, g and h.

    Args:
      network: ``network(conductances)``, the layers of ``memse``.
      start: :math:`G_{max}`, positive: a tree of numbers or of arrays, one an output.
      x: inputs, ``(examples, ...)``.
      target: outputs of the network without noise and rounding.
      budget: B, power of one example in the mean.
      optimizer: any optax chain; it moves the logarithms.
      steps: of the optimizer.

    Returns:
      The best conductances of all steps that are within the budget, those of the start
      times a common factor among them.

    Raises:
      InputError: the start is not positive, inputs are not finite, or no common
        factor from 1e-6 to 1e6 brings the start within the budget.

    Cost: a step takes a gradient of the error and seven derivatives of the power. One
    program for all steps, one for the start.

    >>> from jaxopt_lab.diagnostics.hardware import crossbar
    >>> w, x = jnp.array([[1.0, -0.5]]), jnp.ones((1, 2))
    >>> network = lambda g: [crossbar(w, max_conductance=g)]
    >>> found = optimize_gmax(
    ...     network, 1.0, x, x @ w.T, budget=2.0, optimizer=optax.sgd(0.1), steps=1
    ... )
    >>> round(float(found.power), 3)
    2.0

    Source: Kern, Henwood, Mordido, Dupraz, Aissa-El-Bey, Savaria and Leduc-Primeau,
    "MemSE", IEEE AICAS 2022; the method of this function is ours.
    """
    check_arguments(optimize_gmax, locals())
    for name, values in (("x", x), ("target", target)):
        if not np.isfinite(values).all():
            raise InputError(f"{name} holds values that are not finite")
    given = jax.tree.leaves(start)
    if not given or not all(
        (np.isfinite(g) & (np.asarray(g) > 0)).all() for g in given
    ):
        raise InputError(f"start must be positive conductances; got {start}")
    dtype = jnp.result_type(x, float)
    floats = jax.tree.map(lambda g: jnp.asarray(g, dtype), start)
    flat, restore = ravel_pytree(floats)
    limit = float(np.log(budget))

    def both(theta: jax.Array) -> tuple[jax.Array, jax.Array]:
        found = memse(network(restore(jnp.exp(theta))), x, target)
        return jnp.log(jnp.mean(found.error)), jnp.log(jnp.mean(found.power))

    def shifted(theta: jax.Array) -> jax.Array:
        """The logarithms with the common shift that uses up the budget."""

        def newton(_: Any, theta: jax.Array) -> jax.Array:
            along = jnp.ones_like(theta)
            power, slope = jax.jvp(lambda t: both(t)[1], (theta,), (along,))
            # Below its least value the power falls with the conductances.
            move = (limit - power) / jnp.maximum(slope, 0.25)
            return theta + jnp.clip(move, -1, 1)

        return jax.lax.fori_loop(0, _NEWTON_STEPS, newton, theta)

    @jax.jit
    def powers(theta: jax.Array) -> jax.Array:
        shifts = jnp.asarray(_DECADES * np.log(10), dtype)
        return jax.lax.map(lambda s: both(theta + s)[1], shifts)

    @jax.jit
    def run(theta: jax.Array) -> Any:
        theta = shifted(theta)
        first = both(theta)

        def step(carry: Any, _: None) -> Any:
            theta, state, best = carry
            (error, power), back = jax.vjp(both, theta)
            one, zero = jnp.ones_like(error), jnp.zeros_like(error)
            (g,), (h,) = back((one, zero)), back((zero, one))
            gradient = g - h * (jnp.sum(g) / jnp.sum(h))
            updates, state = optimizer.update(gradient, state, theta)
            theta = shifted(theta + jnp.asarray(updates))
            error, power = both(theta)
            better = (power <= limit + _SLACK) & (error < best[1])
            best = jax.tree.map(
                lambda new, old: jnp.where(better, new, old),
                (theta, error, power),
                best,
            )
            return (theta, state, best), error

        start = theta, optimizer.init(theta), (theta, *first)
        (_, _, best), errors = jax.lax.scan(step, start, length=steps)
        return best, first, errors

    found = np.asarray(powers(jnp.log(flat)))
    within = np.flatnonzero(found <= limit)
    if not within.size:
        raise InputError(
            f"budget={budget:g}; the least power of the start times a common factor is "
            f"{np.exp(np.nanmin(found)):.3g}"
        )
    shift = _DECADES[within[-1]] * np.log(10)
    (theta, error, power), (scaled, _), errors = run(jnp.log(flat) + shift)
    return GmaxResult(
        restore(jnp.exp(theta)), *map(jnp.exp, (error, power, scaled, errors))
    )
