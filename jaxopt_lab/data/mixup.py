"""Mixup: convex combinations of the examples of a batch and of their labels."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_lab.core.entries import check_entries
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.mixing import blend, probabilities, symmetric_beta
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import COUNT, NON_NEGATIVE, check_arguments
from jaxopt_lab.core.pixels import to_float
from jaxopt_lab.core.typing import Batch, Scalar
from jaxopt_lab.data.batches import Augment


def mixup(
    alpha: Annotated[Scalar, NON_NEGATIVE] = 0.2,
    *,
    num_classes: Annotated[int, COUNT],
    inputs: Sequence[str] = ("image",),
    label: str = "label",
) -> Augment:
    r"""Mix every example with another one of its batch.

    With one :math:`\lambda \sim \mathrm{Beta}(\alpha, \alpha)` and one random order
    :math:`\pi` for a batch, and labels as probabilities,

    .. math::
        \tilde x_i = \lambda x_i + (1 - \lambda) x_{\pi(i)}, \quad
        \tilde y_i = \lambda y_i + (1 - \lambda) y_{\pi(i)}.

    Args:
      alpha: strength, at least 0; 0 changes nothing, labels included.
      num_classes: C, columns of the mixed labels.
      inputs: entries to mix, each ``(B, ...)``. Integers become float32 between 0 and
        1, divided by 255, as the losses do with images.
      label: entry of the labels, integers ``(B,)``, mixed to ``(B, C)``; or floats
        ``(B, C)`` that are mixed as they are.

    Returns:
      ``(key, batch) -> batch``. Labels become floats of the type of the first input.

    Raises:
      InputError: ``alpha`` is negative or ``num_classes`` no positive count; at the
        call, an entry is missing or the labels have another shape.

    >>> batch = {"image": jnp.eye(2), "label": jnp.array([0, 1])}
    >>> mixed = mixup(1.0, num_classes=2)(jax.random.key(0), batch)
    >>> bool(jnp.allclose(mixed["image"], mixed["label"]))
    True

    Cost: one gather and one sum of the size of the inputs.

    Source: Zhang, Cisse, Dauphin and Lopez-Paz, "mixup: Beyond Empirical Risk
    Minimization", arXiv:1710.09412. Their code draws one number a batch, too.
    """
    check_arguments(mixup, locals())
    if not inputs:
        raise InputError("inputs must name at least one entry of the batch; got none")

    def transform(key: jax.Array, batch: Batch) -> Batch:
        check_entries(batch, (*inputs, label), "mix")
        if known_number(alpha) == 0:
            return batch
        mixed = {name: to_float(batch[name]) for name in inputs}
        first = mixed[inputs[0]]
        mixed[label] = probabilities(
            batch[label], num_classes, first.shape[0], first.dtype
        )
        # One draw and one sort: jax.random.permutation compiles several of both.
        draws = jax.random.uniform(key, (first.shape[0] + 2,), jnp.float32)
        weight = symmetric_beta(draws[0], draws[1], alpha)
        order = jnp.argsort(draws[2:])

        return {**batch, **jax.tree.map(lambda x: blend(x, weight, order), mixed)}

    return transform
