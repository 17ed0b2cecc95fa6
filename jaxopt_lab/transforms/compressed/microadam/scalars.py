"""The scalars of one step of MicroAdam: weights of the window, corrections."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core import moments
from jaxopt_lab.core.typing import Scalar


class StepScalars(NamedTuple):
    """The hyper-parameters at one step.

    Attributes:
      count: int32, steps done before.
      b1: decay of the first moment.
      b2: decay of the second.
      eps: added to the root.
      decay: weight decay.
      error_share: share of the error that is added to the update; ``None``: none.
      rate: learning rate; ``None`` gives the bare direction, with its own sign.
    """

    count: jax.Array
    b1: Scalar
    b2: Scalar
    eps: Scalar
    decay: Scalar
    error_share: Scalar | None
    rate: Scalar | None


class WindowScalars(NamedTuple):
    """The scalars of one step for a window, and the weights of its rows.

    Attributes:
      row: int32, the row of the window that is overwritten.
      mean_weights: ``(window,)``, weight of each row in the first moment.
      square_weights: in the second.
      mean_correction: total weight that the first moment is divided by.
      square_correction: that of the second.
      eps: as in ``StepScalars``, as are the others.
      decay: weight decay.
      error_share: share of the error, or ``None``.
      rate: learning rate, or ``None``.
    """

    row: jax.Array
    mean_weights: jax.Array
    square_weights: jax.Array
    mean_correction: jax.Array
    square_correction: jax.Array
    eps: Scalar
    decay: Scalar
    error_share: Scalar | None
    rate: Scalar | None


def window_scalars(
    scalars: StepScalars, window: int, bias_window: bool, dtype: Any
) -> WindowScalars:
    """The weights of a window's rows, beside the other scalars of the step.

    Args:
      scalars: those of the step.
      window: rows of the window.
      bias_window: correct the bias of what the window holds, not of all steps.
      dtype: floating type of the weights.

    Returns:
      The scalars.
    """
    count = scalars.count
    row = count % window
    age = (row - jnp.arange(window, dtype=jnp.int32)) % window
    seen = count + 1
    if bias_window:
        seen = jnp.minimum(seen, window)

    def weights(b: Scalar) -> jax.Array:
        wide = jnp.asarray(b, dtype)
        return (1 - wide) * wide ** age.astype(dtype)

    return WindowScalars(
        row,
        weights(scalars.b1),
        weights(scalars.b2),
        moments.bias_correction(scalars.b1, seen, dtype),
        moments.bias_correction(scalars.b2, seen, dtype),
        scalars.eps,
        scalars.decay,
        scalars.error_share,
        scalars.rate,
    )
