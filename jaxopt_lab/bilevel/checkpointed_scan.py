"""Scan over steps with nested checkpoints for the reverse pass."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, TypeAlias, TypeVar

import jax
import jax.numpy as jnp

from jaxopt_lab.bilevel.checkpoint_schedule import checkpoint_schedule
from jaxopt_lab.core import checks as arguments
from jaxopt_lab.core import errors

Remat: TypeAlias = Literal["none", "step", "sqrt"] | int
Carry = TypeVar("Carry")
Output = TypeVar("Output")

_LEVELS = {"none": 0, "step": 1, "sqrt": 2}


def levels_of(remat: Remat) -> int:
    """The number of nested levels of a setting.

    Args:
      remat: ``"none"``, ``"step"``, ``"sqrt"`` or a whole number of at least 1.

    Returns:
      0, 1, 2, or the number itself.

    Raises:
      InputError: it is none of these.
    """
    if isinstance(remat, str):
        if remat not in _LEVELS:
            raise errors.unknown("remat", remat, _LEVELS)
        return _LEVELS[remat]
    arguments.check_positive_count("remat", remat)
    return remat


def checkpointed_scan(
    step: Callable[[Carry, jax.Array], Carry],
    carry: Carry,
    n: int,
    *,
    remat: Remat = "sqrt",
    start: int | jax.Array = 0,
) -> Carry:
    """``step`` applied ``n`` times, with nested checkpoints for the reverse pass.

    With lengths k1, ..., kL whose product is n, level l is a scan of length kl over a
    checkpoint of level l + 1, and level L + 1 is the step. A reverse pass stores the
    sum of the lengths in carries instead of n times the intermediate values of a
    step, and runs the steps L more times. Where n is no such product, the steps that
    are left over come first (``checkpoint_schedule``). Only two bodies are traced,
    whatever n.

    Args:
      step: ``step(carry, t) -> carry`` of the same structure, shapes and dtypes; ``t``
        is a traced int32 scalar. Leaves may be integers, booleans and typed keys. It
        may close over traced values, with respect to which one may differentiate.
      carry: initial carry.
      n: number of steps, at least 1.
      remat: ``"none"`` (everything is stored), ``"step"`` (one level), ``"sqrt"`` (two)
        or the number of levels.
      start: ``t`` of the first step.

    Returns:
      The carry after the last step; the same to the last bit whatever ``remat``.

    Raises:
      InputError: ``n`` is less than 1, or ``remat`` is unknown.

    >>> grad = jax.grad(lambda lr: checkpointed_scan(lambda w, t: w - lr * w, 1.0, 9))
    >>> round(float(grad(1.0 - 0.9**1)), 4)  # -9 * 0.9 ** 8
    -3.8742
    """
    last, _ = stacking_scan(
        lambda c, t: (step(c, t), None), carry, n, remat=remat, start=start
    )
    return last


def stacking_scan(
    step: Callable[[Carry, jax.Array], tuple[Carry, Output]],
    carry: Carry,
    n: int,
    *,
    remat: Remat = "sqrt",
    start: int | jax.Array = 0,
) -> tuple[Carry, Output]:
    """``checkpointed_scan`` for steps with outputs, which are stacked.

    Args:
      step: ``step(carry, t) -> (carry, output)``.
      carry: as in ``checkpointed_scan``.
      n: as in ``checkpointed_scan``.
      remat: as in ``checkpointed_scan``.
      start: as in ``checkpointed_scan``.

    Returns:
      The last carry, and the outputs with a leading axis of length ``n``.

    Raises:
      InputError: as in ``checkpointed_scan``.

    >>> stacking_scan(lambda w, t: (w + t, w), jnp.int32(0), 5, remat=2)[1].tolist()
    [0, 0, 1, 3, 6]
    """
    arguments.check_positive_count("n", n)
    levels = levels_of(remat)
    t = jnp.asarray(start, jnp.int32)
    if levels == 0:
        return _repeat(step, carry, t, n, 1)
    found = checkpoint_schedule(n, levels)
    outputs = []
    for lengths in ((found.rest,), found.lengths):
        if steps := math.prod(lengths):
            carry, output = _level(lengths, step, carry, t)
            t = t + steps
            outputs.append(_flat(output, lengths))
    if len(outputs) == 1:
        return carry, outputs[0]
    return carry, jax.tree.map(lambda *parts: jnp.concatenate(parts), *outputs)


def _flat(outputs: Output, lengths: tuple[int, ...]) -> Output:
    """Merge the leading axes of the levels into one."""
    steps, depth = math.prod(lengths), len(lengths)
    return jax.tree.map(lambda y: y.reshape((steps, *y.shape[depth:])), outputs)


def _level(
    lengths: tuple[int, ...],
    step: Callable[[Carry, jax.Array], tuple[Carry, Output]],
    carry: Carry,
    t: jax.Array,
) -> tuple[Carry, Output]:
    if not lengths:
        return step(carry, t)
    length, *inner = lengths
    rest = tuple(inner)

    # XLA cannot merge common subexpressions across the boundary of a scan body, so the
    # optimization barriers of ``prevent_cse`` would only cost time.
    body = jax.checkpoint(lambda c, t: _level(rest, step, c, t), prevent_cse=False)
    return _repeat(body, carry, t, length, math.prod(rest))


def _repeat(
    body: Callable[[Carry, jax.Array], tuple[Carry, Output]],
    carry: Carry,
    t: jax.Array,
    length: int,
    stride: int,
) -> tuple[Carry, Output]:
    def one(so_far: tuple[Carry, jax.Array], _: None):
        carry, t = so_far
        carry, output = body(carry, t)
        return (carry, t + stride), output

    (carry, _), outputs = jax.lax.scan(one, (carry, t), None, length=length)
    return carry, outputs
