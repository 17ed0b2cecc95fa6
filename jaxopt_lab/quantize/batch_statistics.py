"""Distance of activations from the statistics that batch normalization keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError, unknown

Statistics = Literal["example", "batch"]
_EPS = 1e-6


class Normalized(NamedTuple):
    """The inputs of one batch normalization.

    Attributes:
      features: ``(examples, ..., channels)``.
      mean: its running mean, ``(channels,)``.
      variance: its running variance.
    """

    features: jax.Array
    mean: jax.Array
    variance: jax.Array


def batch_statistics_loss(
    inputs: jax.Array,
    layers: Sequence[Normalized],
    *,
    statistics: Statistics = "example",
) -> jax.Array:
    r"""Loss whose minimum are inputs that look like the training data.

    .. math::
        \sum_l \frac{1}{d_l} \left( \sum |m_l - \mu_l|^2
            + \sum |s_l - \sigma_l|^2 \right)

    over the batch normalizations with running mean :math:`\mu` and
    :math:`\sigma = \sqrt{v + 10^{-6}}`, and over the inputs, of mean 0 and deviation 1.

    * ``"example"``, ZeroQ: mean and deviation :math:`\sqrt{v + 10^{-6}}` (unbiased
      variance) of every example; d is the number of examples.
    * ``"batch"``, Genie: those of the whole batch, :math:`s = \sqrt v`; d is the
      number of channels, as in the code. The inputs count by examples, with
      :math:`\sqrt v`.

    Args:
      inputs: ``(examples, ..., channels)``, which are to be found.
      layers: the inputs of the batch normalizations, in evaluation mode.
      statistics: see above.

    Returns:
      A scalar.

    Raises:
      InputError: an unknown choice, or fewer than two positions.

    Memory: that of the network's gradient.

    >>> x = jnp.ones((1, 2, 2, 1)) * jnp.array([-1.0, 1.0])[None, :, None, None]
    >>> round(float(batch_statistics_loss(x, [])), 3)
    0.024

    Source: Cai et al., "ZeroQ", arXiv:2001.00281; Jeon, Lee and Kim, "Genie",
    arXiv:2212.04780. Code followed: amirgholami/ZeroQ, SamsungLabs/Genie.
    """
    if statistics not in get_args(Statistics):
        raise unknown("statistics", statistics, get_args(Statistics))
    examples = len(inputs)
    one = jnp.ones((), inputs.dtype)
    by_example = statistics == "example"
    mean, spread = _moments(inputs, tuple(range(1, inputs.ndim - 1)))
    spread = jnp.sqrt(spread + _EPS) if by_example else trees.safe_sqrt(spread)
    total = (jnp.sum(mean**2) + jnp.sum((spread - one) ** 2)) / examples
    for features, target, variance in layers:
        places = tuple(range(1, features.ndim - 1))
        wanted = jnp.sqrt(variance + _EPS)
        if by_example:
            mean, found = _moments(features, places)
            deviation, divisor = jnp.sqrt(found + _EPS), examples
        else:
            mean, found = _moments(features, (0, *places))
            deviation, divisor = trees.safe_sqrt(found), features.shape[-1]
        shape = (1,) * (mean.ndim - 1) + (-1,)
        apart = jnp.sum((mean - target.reshape(shape)) ** 2)
        apart += jnp.sum((deviation - wanted.reshape(shape)) ** 2)
        total = total + apart / divisor
    return total


def _moments(x: jax.Array, axes: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    """Mean and unbiased variance."""
    count = 1
    for axis in axes:
        count *= x.shape[axis]
    if count < 2:
        raise InputError(
            f"a variance needs at least two positions; got one of shape {x.shape}"
        )
    return jnp.mean(x, axis=axes), jnp.var(x, axis=axes, ddof=1)
