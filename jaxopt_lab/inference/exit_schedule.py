"""Layers of each position: fewer for later ones, as SkipDecode runs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.options import COUNT, COUNT_OR_ZERO, check_arguments
from jaxopt_lab.core.typing import Params


def exit_schedule(
    length: Annotated[int, COUNT],
    *,
    layers: Annotated[int, COUNT],
    max_layers: Annotated[int, COUNT],
    min_layers: Annotated[int, COUNT],
    warmup: Annotated[int, COUNT_OR_ZERO] = 1,
) -> np.ndarray:
    r"""The number of layers that run at each position.

    .. math:: n_t = \Bigl\lfloor n_{\max} - (n_{\max} - n_{\min})
        \frac{t}{T - 1} + \tfrac12 \Bigr\rfloor

    Args:
      length: T, the positions.
      layers: of the model.
      max_layers: :math:`n_{\max}`, of the first position.
      min_layers: :math:`n_{\min}`, of the last one; more than ``warmup``, but for a
        model of no more layers than that.
      warmup: first layers that always run.

    Returns:
      int32 ``(T,)``, constants.

    Raises:
      InputError: a number is out of range, or they do not fit together.

    >>> exit_schedule(5, layers=6, max_layers=5, min_layers=2).tolist()
    [5, 4, 4, 3, 2]
    """
    check_arguments(exit_schedule, locals())
    least = min(warmup + 1, layers)
    if not least <= min_layers <= max_layers <= layers:
        raise InputError(
            f"{least} <= min_layers <= max_layers <= {layers} must hold, of {layers} "
            f"layers with warmup={warmup}; got min_layers={min_layers} and "
            f"max_layers={max_layers}"
        )
    # In whole numbers: halves are rounded up, whatever the machine.
    steps = max(length - 1, 1)
    t = np.arange(length)
    scaled = 2 * (max_layers * steps - (max_layers - min_layers) * t) + steps
    return (scaled // (2 * steps)).astype(np.int32)


def active_layers(schedule: Any, *, layers: int, warmup: int = 1) -> np.ndarray:
    """The layers that run at each position: the first ones, and the last ones.

    Args:
      schedule: the number of layers by position, integers ``(T,)``.
      layers: of the model.
      warmup: first layers that always run.

    Returns:
      Booleans ``(T, layers)``; of a falling schedule each row is a part of the one
      before, so that a layer has keys and values of all earlier positions.

    >>> active_layers([4, 2], layers=5).astype(int).tolist()
    [[1, 0, 1, 1, 1], [1, 0, 0, 0, 1]]
    """
    count = np.asarray(schedule)[:, None]
    layer = np.arange(layers)[None]
    return (layer < np.minimum(warmup, count)) | (layer >= layers - (count - warmup))


def speedup(schedule: Any, *, layers: int) -> float:
    """Layers of the whole model over those that run, a mean over positions.

    Args:
      schedule: number of layers that run at each position.
      layers: those of the model.

    Returns:
      The ratio, at least 1.

    >>> speedup([4, 2], layers=6)
    2.0
    """
    return float(layers / np.mean(np.asarray(schedule)))


def masked_forward(
    block: Callable[[Params, int, jax.Array], jax.Array],
    params: Params,
    x: jax.Array,
    active: Any,
) -> jax.Array:
    """Whole rows through the layers, each changing the positions at which it is active.

    The numbers are those of decoding token by token, and so are the gradients those of
    training with the schedule: a layer that is never active has a gradient of 0.

    Args:
      block: ``block(params, layer, x) -> x``, a causal layer, ``layer`` an integer.
      params: its parameters.
      x: embedded tokens ``(B, T, d)``.
      active: booleans ``(T, layers)``, of ``active_layers``; may be traced, but then
        layers that are never active are run too.

    Returns:
      ``(B, T, d)``, the input of the head.

    >>> add = lambda params, layer, x: x + params
    >>> active = active_layers([3, 2], layers=3)
    >>> masked_forward(add, 1.0, jnp.zeros((1, 2, 1)), active)[0, :, 0].tolist()
    [3.0, 2.0]
    """
    known = known_values(active)
    for layer in range(active.shape[1]):
        if known is None or known[:, layer].any():
            here = jnp.asarray(active[:, layer])[None, :, None]
            x = jnp.where(here, block(params, layer, x), x)
    return x
