"""ZeroQ's distilled data: inputs made from the statistics of batch normalizations."""
# Its examples wait for pytest --full.

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.options import COUNT, POSITIVE, check_arguments
from jaxopt_lab.core.typing import Params
from jaxopt_lab.quantize.batch_statistics import (
    Normalized,
    Statistics,
    batch_statistics_loss,
)

Observe = Callable[[Params, jax.Array], Sequence[Normalized]]
_FACTOR, _TOLERANCE, _FLOOR = 0.1, 1e-4, 1e-4


class DistilledInputs(NamedTuple):
    """Inputs that stand for the training data.

    Attributes:
      inputs: as asked for, ``(examples, ..., channels)``.
      losses: before every step, ``(steps,)``.
      rates: learning rate of every step.
    """

    inputs: jax.Array
    losses: jax.Array
    rates: jax.Array


def distill_inputs(
    key: jax.Array,
    observe: Observe,
    params: Params,
    shape: tuple[int, ...],
    *,
    steps: Annotated[int, COUNT] = 500,
    learning_rate: Annotated[float, POSITIVE] = 0.5,
    patience: Annotated[int, COUNT] = 100,
    init: Literal["normal", "reference"] = "normal",
    statistics: Statistics = "example",
    dtype: DTypeLike = jnp.float32,
) -> DistilledInputs:
    r"""Minimize ``batch_statistics_loss`` over the inputs, by Adam.

    The rate falls to a tenth, not below 1e-4, after more than ``patience`` steps
    without a loss that is lower than the lowest by a share of 1e-4. One compiled
    program for every ``observe``, shape and number of steps, pure in key and
    parameters: it can be vmapped over keys for more batches.

    Args:
      key: of the start.
      observe: ``observe(params, inputs) -> layers``: the input of each batch
        normalization of the network in evaluation mode, with its running mean and
        variance.
      params: parameters and running statistics.
      shape: of the inputs, ``(examples, ..., channels)``; 32 examples in the paper.
      steps: number of steps.
      learning_rate: of Adam at the start.
      patience: steps without progress that do not lower the rate.
      init: ``"normal"``: N(0, 1). ``"reference"``, the code's: uniform whole numbers
        from 0 to 254 less 127.5, over 5418.75, of deviation 0.0136; the loss pulls
        inputs to deviation 1, so it takes more steps.
      statistics: see ``batch_statistics_loss``.
      dtype: of the inputs, real floating.

    Returns:
      The inputs after the last step.

    Raises:
      InputError: no normalization, statistics that are not one number a channel,
        inputs without two positions, a dtype that is not real floating or, outside of
        ``jit``, a loss that is not finite.

    The code observes the outputs of as many convolutions as there are normalizations,
    in the order of modules, which pairs them wrongly where a convolution has none;
    here each normalization is observed at its own input.
    Memory: that of the network's gradient, and two inputs for Adam.

    >>> def observe(params, x):
    ...     return [Normalized(x @ params, jnp.full(1, 2.0), jnp.full(1, 4.0))]
    >>> found = distill_inputs(
    ...     jax.random.key(0), observe, jnp.ones((2, 1)), (1, 4, 4, 2), steps=30
    ... )
    >>> bool(found.losses[-1] < 0.7 * found.losses[0])
    True

    Source: Cai et al., "ZeroQ", arXiv:2001.00281. Code followed: amirgholami/ZeroQ,
    but for the start and the place of observation.
    """
    check_arguments(distill_inputs, locals())
    kind = jnp.dtype(dtype)
    if not jnp.issubdtype(kind, jnp.floating):
        raise InputError(f"dtype must be real floating; got {kind}")
    check_layers(jax.eval_shape(observe, params, jax.ShapeDtypeStruct(shape, kind)))
    found = _distilled(
        key, params, learning_rate, patience, observe, tuple(shape), steps, init,
        statistics, kind,
    )  # fmt: skip
    losses = known_values(found.losses)
    if losses is not None:
        finite = np.isfinite(losses.astype(np.float64))
        if not finite.all():
            raise InputError(
                f"the loss is not finite before step {int(np.argmin(finite))}: "
                "running statistics hold NaN, inf or a negative variance, or "
                f"learning_rate={learning_rate} is too high"
            )
    return found


@functools.partial(jax.jit, static_argnums=(4, 5, 6, 7, 8, 9))
def _distilled(
    key: jax.Array,
    params: Params,
    learning_rate: jax.Array,
    patience: jax.Array,
    observe: Observe,
    shape: tuple[int, ...],
    steps: int,
    init: str,
    statistics: Statistics,
    dtype: jnp.dtype,
) -> DistilledInputs:
    if init == "normal":
        start = jax.random.normal(key, shape, dtype)
    else:
        whole = jax.random.randint(key, shape, 0, 255).astype(dtype)
        start = (whole - 127.5) / 5418.75

    def loss(x: jax.Array) -> jax.Array:
        return batch_statistics_loss(x, observe(params, x), statistics=statistics)

    adam = optax.scale_by_adam()

    def step(carry: tuple, _: None) -> tuple[tuple, tuple]:
        x, state, plateau = carry
        value, slope = jax.value_and_grad(loss)(x)
        direction, state = adam.update(slope, state, x)
        x = x - plateau[0].astype(dtype) * direction
        after = lowered_rate(plateau, value, patience)
        return (x, state, after), (value, plateau[0])

    kind = jax.eval_shape(loss, start).dtype
    plateau = (
        jnp.asarray(learning_rate, kind),
        jnp.asarray(jnp.inf, kind),
        jnp.zeros((), jnp.int32),
    )
    carry = (start, adam.init(start), plateau)
    (x, *_), (losses, rates) = jax.lax.scan(step, carry, None, length=steps)
    return DistilledInputs(x, losses, rates)


def lowered_rate(plateau: tuple, value: jax.Array, patience: jax.Array) -> tuple:
    """The rule that lowers a rate where a loss makes no progress.

    Args:
      plateau: rate, lowest loss, steps without progress.
      value: loss of the step.
      patience: steps without progress that do not lower the rate.

    Returns:
      The next ones: a tenth of the rate, not below 1e-4.
    """
    rate, best, waited = plateau
    better = value < best * (1 - _TOLERANCE)
    best = jnp.where(better, value, best)
    waited = jnp.where(better, 0, waited + 1)
    lower = waited > patience
    lowered = jnp.minimum(rate, jnp.maximum(rate * _FACTOR, _FLOOR))
    return jnp.where(lower, lowered, rate), best, jnp.where(lower, 0, waited)


def check_layers(layers: Sequence[Normalized]) -> None:
    """Refuse no normalization, and statistics that are not one number a channel."""
    if not len(layers):
        raise InputError(
            "observe must return at least one batch normalization; got none"
        )
    for number, (features, mean, variance) in enumerate(layers):
        channels = features.shape[-1:]
        if mean.shape != channels or variance.shape != channels:
            raise InputError(
                f"normalization {number} of observe must have a mean and a variance "
                f"of shape {channels}, its channels; got {mean.shape} and "
                f"{variance.shape}"
            )
