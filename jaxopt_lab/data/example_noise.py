"""Multiplicative noise on the weights of examples."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import NON_NEGATIVE, check_arguments
from jaxopt_lab.core.typing import Batch, Scalar
from jaxopt_lab.data.batches import Augment


def example_noise(std: Annotated[Scalar, NON_NEGATIVE] = 1.0, *, entry: str) -> Augment:
    r"""Multiply the weight of every example by a normal number about 1.

    .. math:: w_i \gets w_i z_i, \quad z_i \sim \mathcal N(1, \sigma^2)

    A loss :math:`\frac{1}{B} \sum_i w_i l_i` then has a gradient with the mean of the
    plain one and more noise: with :math:`\sigma^2` about :math:`B_L / B_S`, as much
    in a large batch as there is in a small one.

    Args:
      std: :math:`\sigma`, at least 0; 0 changes nothing.
      entry: name of the weights in the batch, floats ``(B,)``. The loss must divide by
        the number of examples, not by the sum of these weights.

    Returns:
      ``(key, batch) -> batch``.

    Raises:
      InputError: ``std`` is negative; at the call, there is no such entry, or it is no
        vector of floats.

    >>> batch = {"weight": jnp.ones(3)}
    >>> example_noise(0.5, entry="weight")(jax.random.key(0), batch)["weight"].shape
    (3,)

    Source: Hoffer, Hubara and Soudry, "Train longer, generalize better", 2017,
    arXiv:1705.08741 (from memory; the released code has no noise).
    """
    check_arguments(example_noise, locals())

    def transform(key: jax.Array, batch: Batch) -> Batch:
        if entry not in batch:
            raise InputError(
                f"the batch has no weights {entry!r}; it has {[*batch]}. Add ones, and "
                "multiply the losses of examples by them"
            )
        weight = jnp.asarray(batch[entry])
        if not trees.is_floating(weight) or weight.ndim != 1:
            raise InputError(
                f"weights must be floats, one for each example; got {weight.dtype} of "
                f"shape {weight.shape}"
            )
        if known_number(std) == 0:
            return batch
        noise = jax.random.normal(key, weight.shape, jnp.float32).astype(weight.dtype)
        factor = 1 + jnp.asarray(std, weight.dtype) * noise
        return {**batch, entry: weight * factor}

    return transform
