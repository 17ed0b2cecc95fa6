"""Learned rounding beside a learned step (Genie): soft weights and their penalty."""
# Its examples wait for pytest --full.

from __future__ import annotations

import functools
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.division import quotient
from jaxopt_lab.core.options import COUNT, UNIT, check_arguments
from jaxopt_lab.core.qarray import QArray
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Scalar
from jaxopt_lab.quantize.genie_grid import GenieGrid

_STRETCH, _LOW = 1.2, -0.1


class SoftRounding(NamedTuple):
    r"""Weights between two codes, :math:`s (\mathrm{clip}(b + h(v) + z) - z)`.

    Attributes:
      scale: s, the step, ``(outputs, 1)``; learned.
      logits: v, ``(outputs, inputs)``; learned.
      base: b, the codes below the weights at the first step; fixed.
      zero: z, ``(outputs, 1)``; fixed.
    """

    scale: jax.Array
    logits: jax.Array
    base: jax.Array
    zero: jax.Array

    def soft(self, bits: int) -> jax.Array:
        """The weights as they are trained."""
        return soft_round_weights(*self, bits)

    def hard(self, bits: int) -> QArray:
        """The codes: the upper one where v is not below 0."""
        up = (self.logits >= 0).astype(self.base.dtype)
        codes = jnp.clip(self.base + up + self.zero, 0, 2**bits - 1)
        return QArray(codes.astype(jnp.uint8), self.scale, self.zero)


def init_rounding(weight: jax.Array, *, bits: int) -> SoftRounding:
    """The start at which the soft weights are the weights, within the range.

    Args:
      weight: ``(outputs, inputs)``.
      bits: of a code, 2 to 8.

    Returns:
      Steps and zero points of ``GenieGrid``, and logits, in float32 (float64 for
      float64).

    >>> w = jnp.array([[0.0, 0.4, 1.0, 3.0]])
    >>> start = init_rounding(w, bits=2)
    >>> [round(x, 3) for x in start.soft(2)[0].tolist()], start.hard(2).qvalue.tolist()
    ([0.0, 0.4, 1.0, 3.0], [[0, 0, 1, 3]])
    """
    return _started(weight, bits)


@functools.partial(jax.jit, static_argnums=1)
def _started(weight: jax.Array, bits: int) -> SoftRounding:
    grid = GenieGrid(bits)
    wide = grid.wide(weight)
    scale, zero = grid.fit(wide)
    assert zero is not None
    # GenieGrid rounds the same quotient.
    steps = quotient(wide, scale)
    base = jnp.floor(steps)
    return SoftRounding(scale, logit_of(steps - base), base, zero)


def rectified_sigmoid(logits: jax.Array) -> jax.Array:
    r""":math:`\mathrm{clip}(1.2 \sigma(v) - 0.1, 0, 1)`: it reaches both ends.

    Args:
      logits: any shape, floating.

    Returns:
      Shares in [0, 1] of the same shape and type.

    >>> rectified_sigmoid(jnp.array([-9.0, 0.0, 9.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    stretch, low = (jnp.asarray(x, logits.dtype) for x in (_STRETCH, _LOW))
    return jnp.clip(stretch * jax.nn.sigmoid(logits) + low, 0, 1)


def logit_of(share: jax.Array) -> jax.Array:
    """The logits at which ``rectified_sigmoid`` is a share in [0, 1].

    >>> abs(float(rectified_sigmoid(logit_of(jnp.array(0.25)))) - 0.25) < 1e-6
    True
    """
    stretch, low = (jnp.asarray(x, share.dtype) for x in (_STRETCH, _LOW))
    return -jnp.log(stretch / (share - low) - 1)


def soft_round_weights(
    scale: jax.Array, logits: jax.Array, base: jax.Array, zero: jax.Array, bits: int
) -> jax.Array:
    r"""Weights between two neighbouring codes, differentiable in step and logits.

    .. math:: s \, (\mathrm{clip}(b + h(v) + z, 0, 2^{bits} - 1) - z)

    Args:
      scale: s, broadcastable to the logits.
      logits: v.
      base: b, codes without the zero point, which stay when s moves.
      zero: z.
      bits: of a code.

    Returns:
      The weights. The derivative for s is the code less z, for v it is s h'(v), 0 where
      h or the code is at an end.

    >>> one = jnp.ones((1, 1))
    >>> float(soft_round_weights(0.5 * one, 0 * one, 2 * one, 0 * one, 2)[0, 0])
    1.25
    """
    codes = base + rectified_sigmoid(logits) + zero
    return scale * (jnp.clip(codes, 0, 2**bits - 1) - zero)


def rounding_regularizer(logits: jax.Array, beta: Scalar) -> jax.Array:
    r"""Penalty of undecided weights, :math:`\sum 1 - |2 h(v) - 1|^\beta`.

    Args:
      logits: v.
      beta: large: only weights near the middle have a slope.

    Returns:
      A scalar, float32 (float64 for float64): 0 where every h is 0 or 1, 1 for each in
      the middle.

    >>> float(rounding_regularizer(jnp.array([0.0, -9.0]), 20.0))
    1.0
    """
    wide = logits.astype(accumulation_dtype(logits.dtype))
    apart = jnp.abs(2 * rectified_sigmoid(wide) - 1)
    there = apart > 0
    # The power has no derivative at 0 for beta below 1, and no logarithm.
    power = jnp.where(there, apart, 1) ** jnp.asarray(beta, wide.dtype)
    return jnp.sum(1 - jnp.where(there, power, 0))


def rounding_schedule(
    step: jax.Array | int,
    *,
    steps: Annotated[int, COUNT],
    warm_up: Annotated[Scalar, UNIT] = 0.2,
    betas: tuple[float, float] = (20.0, 2.0),
) -> tuple[jax.Array, jax.Array]:
    """Whether the penalty counts at a step, and its exponent.

    Args:
      step: from 0.
      steps: number of steps.
      warm_up: share of the steps without the penalty.
      betas: exponents from then to the last step, along a line.

    Returns:
      0 or 1, and beta; float32.

    Raises:
      InputError: an argument is out of range.

    >>> [[float(x) for x in rounding_schedule(t, steps=10)] for t in (0, 2, 6, 10)]
    [[0.0, 20.0], [1.0, 20.0], [1.0, 11.0], [1.0, 2.0]]
    """
    check_arguments(rounding_schedule, locals())
    t = jnp.asarray(step, jnp.float32)
    first = jnp.asarray(warm_up, jnp.float32) * steps
    # All steps without it: the quotient is not used.
    length = jnp.where(first < steps, steps - first, 1)
    share = jnp.clip((t - first) / length, 0, 1)
    beta = betas[0] + (betas[1] - betas[0]) * share
    counts = (t >= first) & (first < steps)
    return counts.astype(jnp.float32), beta
