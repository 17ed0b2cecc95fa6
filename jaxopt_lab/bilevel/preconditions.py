"""What each mode of ``hypergrad`` needs of its losses, and what it differentiates."""

from __future__ import annotations

from typing import get_args

import jax
import jax.numpy as jnp

from jaxopt_lab.bilevel import checks
from jaxopt_lab.bilevel.implicit import optimality_of
from jaxopt_lab.bilevel.inner import Carry, InnerProblem, Theta
from jaxopt_lab.bilevel.settings import ImplicitMode, require_field
from jaxopt_lab.bilevel.unrolled import Episode, Outer, last_step_loss
from jaxopt_lab.core.errors import InputError

_IMPLICIT = get_args(ImplicitMode)
_SUMMED = ("reverse", "forward", "es", "pes")


def check_losses(outer: Outer | None, inner: InnerProblem, mode: str) -> None:
    """Refuse a mode that lacks its losses.

    Args:
      outer: the outer loss, or ``None``.
      inner: the problem.
      mode: the mode.

    Raises:
      InputError: the outer loss or a field of the problem is missing (named), or the
        outer loss is given to mode pes.
    """
    if mode in _IMPLICIT:
        require_field(inner, "objective", mode)
    if mode == "pes" and outer is not None:
        raise InputError(
            "mode 'pes' sums inner.window_loss over the steps: outer must be None"
        )
    if outer is None:
        if mode not in _SUMMED:
            raise InputError(f"mode {mode!r} needs outer; got None")
        require_field(inner, "window_loss", mode)


def check_scalar(
    outer: Outer | None, inner: InnerProblem, theta: Theta, carry: Carry
) -> None:
    """Refuse an outer loss that is no real scalar.

    Args:
      outer: the outer loss, or ``None`` for ``inner.window_loss``.
      inner: the problem.
      theta: outer parameters.
      carry: shapes of a carry.

    Raises:
      InputError: it is an array with axes, a tree, or of another type.
    """
    if outer is not None:
        value = jax.eval_shape(lambda th, c: outer(th, inner.read(c)), theta, carry)
        checks.require_scalar("outer", value)
    elif inner.window_loss is not None:
        t = jax.ShapeDtypeStruct((), jnp.int32)
        value = jax.eval_shape(inner.window_loss, theta, carry, t)
        checks.require_scalar("inner.window_loss", value)


def used_by(
    mode: str, episode: Episode, theta: Theta, carry: Carry
) -> tuple[list[bool], str]:
    """Which leaves of theta the mode can see: each differentiates something else.

    Args:
      mode: the mode.
      episode: the loop.
      theta: outer parameters.
      carry: shapes of a carry.

    Returns:
      One boolean for each leaf, and what uses them, for an error.
    """
    inner, outer = episode.inner, episode.outer
    if mode in _IMPLICIT:
        assert outer is not None
        condition, read = optimality_of(inner), inner.read
        used = checks.used_leaves(
            lambda th, c: (outer(th, read(c)), condition(th, read(c))), theta, carry
        )
        return used, "inner.objective" if inner.optimality is None else (
            "inner.optimality"
        )
    if mode == "one_step":
        used = checks.used_leaves(
            lambda th, c: last_step_loss(episode, th, c)[0], theta, carry
        )
        return used, "the last step"
    whole = "the loop" if episode.start is None else "the loop (init is not run)"
    if mode == "pes":
        # Particles have been begun by init, at other values of theta: it counts.
        episode, whole = episode._replace(start=None), "the loop"
    return checks.used_leaves(lambda th: episode.loss(th, "none")[0], theta), whole
