"""Sampling from a flow: its differential equation in fixed steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, POSITIVE, check_arguments

Velocity = Callable[[jax.Array, jax.Array], jax.Array]
Method = Literal["euler", "midpoint", "heun", "rk4", "diffrax"]

# By method the nodes, the weights of the stages before each, and those of the step.
_TABLEAUS: dict[str, tuple[tuple[float, ...], list[list[float]], list[float]]] = {
    "euler": ((0.0,), [[]], [1.0]),
    "midpoint": ((0.0, 0.5), [[], [0.5]], [0.0, 1.0]),
    "heun": ((0.0, 1.0), [[], [1.0]], [0.5, 0.5]),
    "rk4": (
        (0.0, 0.5, 0.5, 1.0),
        [[], [0.5], [0.0, 0.5], [0.0, 0.0, 1.0]],
        [1 / 6, 1 / 3, 1 / 3, 1 / 6],
    ),
}


def integrate_flow(
    velocity: Velocity,
    x: jax.Array,
    *,
    steps: Annotated[int, COUNT] = 32,
    method: Method = "midpoint",
    start: float = 0.0,
    end: float = 1.0,
    path: bool = False,
    tolerance: Annotated[float, POSITIVE] = 1e-6,
) -> jax.Array:
    r"""Solution of :math:`\dot x = v(x, t)` from one time to another.

    Args:
      velocity: v, of ``(x, t)`` with t of shape ``(B,)``; of a recipe's network
        ``lambda x, t: network.apply(params, state, (x, t), train=False)[0]``.
      x: values at the start, ``(B, ...)``, floating.
      steps: number of equal steps.
      method: ``"euler"`` (1 evaluation a step, order 1), ``"midpoint"`` and ``"heun"``
        (2, order 2), ``"rk4"`` (4, order 4), or ``"diffrax"``, whose Tsit5 chooses its
        own steps and wants the package of this name.
      start: first time.
      end: last time; below ``start``: backwards, from data to noise.
      path: the values after every step, too.
      tolerance: of ``"diffrax"``, relative and absolute.

    Returns:
      Values at the end, in the shape and type of ``x``; with ``path``
      ``(steps + 1, B, ...)``, the start first.

    Raises:
      InputError: an option is out of range, ``path`` with ``"diffrax"``, or diffrax is
        not installed.

    Memory: one or a few copies of ``x``; for the gradient, the stages of every step.

    >>> grow = lambda x, t: x
    >>> integrate_flow(grow, jnp.ones((1, 1)), steps=8, method="rk4").round(4).item()
    2.7182998657226562
    """
    given = {"steps": steps, "method": method, "path": path, "tolerance": tolerance}
    check_arguments(integrate_flow, given)
    x = jnp.asarray(x)
    if x.ndim == 0 or not jnp.issubdtype(x.dtype, jnp.floating):
        raise InputError(
            f"x must be (B, ...) of real floating numbers; got {x.dtype} of shape "
            f"{x.shape}"
        )
    if method == "diffrax":
        if path:
            raise InputError("path=True takes fixed steps; got method='diffrax'")
        return _by_diffrax(velocity, x, start, end, tolerance)
    nodes, before, final = _TABLEAUS[method]
    first, length = (jnp.asarray(v, x.dtype) for v in (start, (end - start) / steps))

    def step(x: jax.Array, number: jax.Array) -> tuple[jax.Array, Any]:
        t = first + number.astype(x.dtype) * length
        slopes: list[jax.Array] = []
        for node, weights in zip(nodes, before, strict=True):
            at = jnp.broadcast_to(t + jnp.asarray(node, x.dtype) * length, x.shape[:1])
            moved = x + length * _combined(weights, slopes, x)
            slopes.append(velocity(moved, at).astype(x.dtype))
        new = x + length * _combined(final, slopes, x)
        return new, (new if path else None)

    last, along = jax.lax.scan(step, x, jnp.arange(steps, dtype=jnp.int32))
    return jnp.concatenate([x[None], along]) if path else last


def _combined(weights: list[float], slopes: list[jax.Array], x: jax.Array) -> jax.Array:
    total = jnp.zeros_like(x)
    for weight, slope in zip(weights, slopes, strict=True):
        if weight:
            total = total + jnp.asarray(weight, x.dtype) * slope
    return total


def _by_diffrax(
    velocity: Velocity, x: jax.Array, start: float, end: float, tolerance: float
) -> jax.Array:
    try:
        import diffrax  # type: ignore
    except ImportError as error:
        raise InputError(
            "method='diffrax' needs diffrax, which is not installed: pip install "
            '"jaxopt_lab[flow]" (method="rk4" works without)'
        ) from error
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, x, _: velocity(x, jnp.broadcast_to(t, x.shape[:1]))),
        diffrax.Tsit5(),
        t0=start,
        t1=end,
        dt0=None,
        y0=x,
        stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=tolerance),
    )
    return solution.ys[0]
