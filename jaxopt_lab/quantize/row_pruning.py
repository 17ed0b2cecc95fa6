"""The sparse rows of merged experts in training: importance, schedule, pruning."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import DECAY, UNIT, check_arguments
from jaxopt_lab.core.typing import Scalar


class RowImportance(NamedTuple):
    """Running importance of the rows of S while it is trained.

    Attributes:
      mean: ``(rows,)``, running mean.
      last: ``(rows,)``, the importance of the last step, which is not in it yet.
    """

    mean: jax.Array
    last: jax.Array


def row_importance(
    state: RowImportance | None,
    sparse: jax.Array,
    gradient: jax.Array,
    *,
    decay: Annotated[Scalar, DECAY] = 0.85,
) -> RowImportance:
    r"""The importance of rows after a step, :math:`\overline{|S \odot \nabla_S|}`.

    .. math:: \bar I_t = d \bar I_{t-1} + (1 - d) I_{t-1}, \qquad
        I_t = \mathrm{mean}_j |S_{ij} \nabla_{ij}|

    The mean takes in each value one step late, as in the released code.

    Args:
      state: after the step before; ``None``: there was none.
      sparse: S, ``(rows, inputs)``.
      gradient: of S.
      decay: d.

    Returns:
      The next state, float32 (float64 for float64).

    Raises:
      InputError: the shapes differ, or ``decay`` is out of range.

    >>> one = row_importance(None, jnp.ones((2, 1)), jnp.array([[1.0], [3.0]]), decay=0)
    >>> row_importance(one, jnp.ones((2, 1)), jnp.zeros((2, 1)), decay=0).mean.tolist()
    [1.0, 3.0]
    """
    check_arguments(row_importance, locals())
    if jnp.ndim(sparse) != 2 or jnp.shape(sparse) != jnp.shape(gradient):
        raise InputError(
            "sparse and gradient must be matrices of one shape; got "
            f"{jnp.shape(sparse)} and {jnp.shape(gradient)}"
        )
    dtype = trees.accumulation_dtype(sparse.dtype)
    fresh = jnp.mean(jnp.abs(sparse.astype(dtype) * gradient.astype(dtype)), axis=1)
    if state is None:
        return RowImportance(jnp.zeros_like(fresh), fresh)
    d = jnp.asarray(decay, dtype)
    return RowImportance(d * state.mean + (1 - d) * state.last, fresh)


def kept_share(
    step: jax.Array | int,
    *,
    steps: int,
    final: Annotated[Scalar, UNIT] = 0.25,
    warm_up: int = 100,
    cool_down: int = 400,
) -> jax.Array:
    r"""The share of rows that a step keeps: 1, then a cubic descent, then ``final``.

    .. math:: f + (1 - f) \left(1 - \frac{t - w}{T - w - c}\right)^3

    Args:
      step: t, from 0.
      steps: T, of the training.
      final: f.
      warm_up: w, steps in the beginning with all rows.
      cool_down: c, steps in the end with the final share.

    Returns:
      Scalar, float32.

    Raises:
      InputError: ``final`` is out of range, or no step is left between the two.

    >>> [float(kept_share(t, steps=700)) for t in (0, 200, 300, 699)]
    [1.0, 0.34375, 0.25, 0.25]
    """
    check_arguments(kept_share, locals())
    if warm_up < 0 or cool_down < 0 or warm_up + cool_down >= steps:
        raise InputError(
            f"warm_up + cool_down must be below steps={steps}; got {warm_up} and "
            f"{cool_down}"
        )
    t = (jnp.asarray(step, jnp.float32) - warm_up) / (steps - warm_up - cool_down)
    f = jnp.asarray(final, jnp.float32)
    return f + (1 - f) * (1 - jnp.clip(t, 0, 1)) ** 3


def prune_rows(
    sparse: jax.Array, importance: jax.Array, share: jax.Array | float
) -> jax.Array:
    """The matrix with zeros in all but its most important rows; traceable.

    Args:
      sparse: S, ``(rows, inputs)``.
      importance: ``(rows,)``; of equal ones the first are kept.
      share: of the rows to keep, to the nearest number.

    Returns:
      As S.

    Raises:
      InputError: there is no importance for each row.

    >>> prune_rows(jnp.ones((3, 1)), jnp.array([0.1, 0.3, 0.2]), 0.34).tolist()
    [[0.0], [1.0], [0.0]]
    """
    if jnp.ndim(sparse) != 2 or jnp.shape(importance) != (len(sparse),):
        raise InputError(
            f"importance must have a number for each of the rows {jnp.shape(sparse)}; "
            f"got {jnp.shape(importance)}"
        )
    place = jnp.argsort(jnp.argsort(-importance, stable=True), stable=True)
    count = jnp.round(jnp.asarray(share, jnp.float32) * len(sparse))
    return jnp.where((place < count.astype(jnp.int32))[:, None], sparse, 0)
