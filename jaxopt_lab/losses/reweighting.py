"""Weights of examples by their losses, over the whole batch."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, Literal

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import NON_NEGATIVE, POSITIVE, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.where import counted
from jaxopt_lab.losses.cross_entropy import cross_entropy

Strategy = Literal["linupper", "quadratic", "extremes", "upper"]
_LEAST_SPREAD = 1e-6


def loss_weights(
    losses: jax.Array,
    *,
    strategy: Strategy = "linupper",
    r: Annotated[float, POSITIVE] = 0.4,
    delta: Annotated[float, NON_NEGATIVE] = 1.0,
    where: jax.Array | None = None,
    axis_name: str | None = None,
) -> jax.Array:
    r"""Weights of the examples of a batch, their sum 1, from their losses.

    With the smallest and the largest loss of the batch,

    .. math::
        h_i = \delta \, \frac{2 l_i - l_{max} - l_{min}}{l_{max} - l_{min}}
            \in [-\delta, \delta], \qquad
        w_i = \frac{e^{f(h_i) / r}}{\sum_j e^{f(h_j) / r}}

    and f of h: ``"linupper"`` :math:`\min(h + \delta, \delta)`, ``"quadratic"``
    :math:`1 - h^2 / \delta^2`, ``"extremes"`` :math:`|h|`, ``"upper"``
    :math:`(h + \delta) / 2`, which is in the code and not in the paper.

    Args:
      losses: one number for each example, any shape; no gradient flows into them.
      strategy: name of f.
      r: how even the weights are; the larger, the more.
      delta: range of h.
      where: shape of the losses; 0 drops an example, its weight is 0.
      axis_name: axis of the devices that hold parts of the batch under ``shard_map``
        or ``pmap``; extremes and sums are those of all parts. A batch that is sharded
        under ``jit`` needs none.

    Returns:
      Array like ``losses``, float32 or float64. Equal losses have equal weights; where
      every example is dropped, all weights are 0.

    Raises:
      InputError: an argument is out of range, or the shapes do not belong together.

    >>> [round(float(w), 3) for w in loss_weights(jnp.array([0.0, 1.0, 2.0]), r=1.0)]
    [0.155, 0.422, 0.422]

    Source: Sow et al., "Dynamic Loss-Based Sample Reweighting for Improved Large
    Language Model Pretraining", ICLR 2025 (https://arxiv.org/abs/2502.06733); its code.
    """
    check_arguments(loss_weights, locals())
    if where is not None and where.shape != losses.shape:
        raise InputError(
            f"where must have the shape of the losses, {losses.shape}; got "
            f"{where.shape}"
        )
    dtype = accumulation_dtype(losses.dtype)
    kept = jnp.ones(losses.shape, bool) if where is None else counted(where)
    l = jax.lax.stop_gradient(jnp.where(kept, losses.astype(dtype), 0))
    low = jnp.min(l, where=kept, initial=jnp.inf)
    high = jnp.max(l, where=kept, initial=-jnp.inf)
    if axis_name is not None:
        low, high = jax.lax.pmin(low, axis_name), jax.lax.pmax(high, axis_name)
    reach, evenness = jnp.asarray(delta, dtype), jnp.asarray(r, dtype)
    spread = jnp.maximum(high - low, jnp.asarray(_LEAST_SPREAD, dtype))
    h = (2 * reach * l - reach * (high + low)) / spread
    exponents = _strategies(h, reach)[strategy] / evenness
    # All f lie below 1 + 2 delta: a shift by the greatest of them keeps exp finite.
    top = jnp.max(exponents, where=kept, initial=-jnp.inf)
    if axis_name is not None:
        top = jax.lax.pmax(top, axis_name)
    raised = jnp.where(kept, jnp.exp(jnp.where(kept, exponents - top, 0)), 0)
    total = jnp.sum(raised)
    if axis_name is not None:
        total = jax.lax.psum(total, axis_name)
    return jax.lax.stop_gradient(raised / jnp.where(total == 0, 1, total))


def _strategies(h: jax.Array, delta: jax.Array) -> dict[str, jax.Array]:
    square = jnp.where(delta == 0, 1, delta) ** 2
    return {
        "linupper": jnp.minimum(h + delta, delta),
        "quadratic": 1 - h * h / square,
        "extremes": jnp.abs(h),
        "upper": (h + delta) / 2,
    }


def reweighted(
    losses: jax.Array,
    *,
    lengths: jax.Array | None = None,
    strategy: Strategy = "linupper",
    r: Annotated[float, POSITIVE] = 0.4,
    delta: Annotated[float, NON_NEGATIVE] = 1.0,
    where: jax.Array | None = None,
    axis_name: str | None = None,
) -> jax.Array:
    r"""Losses times n :math:`w_i`, so that their mean is the weighted sum.

    .. math:: \ell_i = n \, w_i \, l_i, \qquad
        \frac{1}{n} \sum_i \ell_i = \sum_i w_i l_i

    with ``loss_weights`` w and n examples that count, those of all devices. With
    lengths, each term has the factor length over mean length.

    Args:
      losses: one number for each example: of a sequence, the mean over its tokens.
      lengths: numbers of tokens, shape of the losses; default: all alike.
      strategy: see ``loss_weights``, as for the other arguments.
      r: how even the weights are; at 1e30 the losses come back as they are.
      delta: range of the scaled losses.
      where: 0 drops an example.
      axis_name: axis of the devices that hold parts of the batch.

    Returns:
      Array like ``losses``; 0 for dropped examples, whatever they hold. The weights are
      constants of the gradient.

    Raises:
      InputError: an argument is out of range, or the shapes do not belong together.

    Under micro-batches the weights are those within each of them. The first steps
    (1,000 in the code) are meant to go without weights.

    >>> reweighted(jnp.array([1.0, 1.0, 1.0])).tolist()
    [1.0, 1.0, 1.0]

    Source: Sow et al. 2025 (https://arxiv.org/abs/2502.06733); see ``loss_weights``.
    """
    check_arguments(reweighted, locals())
    weights = loss_weights(
        losses, strategy=strategy, r=r, delta=delta, where=where, axis_name=axis_name
    )
    dtype = weights.dtype
    if lengths is not None and lengths.shape != losses.shape:
        raise InputError(
            f"lengths must have the shape of the losses, {losses.shape}; got "
            f"{lengths.shape}"
        )
    kept = jnp.ones(losses.shape, bool) if where is None else counted(where)
    n = jnp.sum(kept, dtype=dtype)
    size = None if lengths is None else jnp.where(kept, lengths.astype(dtype), 0)
    total = n if size is None else jnp.sum(size)
    if axis_name is not None:
        n, total = jax.lax.psum((n, total), axis_name)
    factors = n * weights
    if size is not None:
        factors = factors * size * n / jnp.where(total == 0, 1, total)
    return factors * jnp.where(kept, losses.astype(dtype), 0)


def reweighted_cross_entropy(
    logits: jax.Array,
    labels: jax.Array,
    *,
    strategy: Strategy = "linupper",
    r: Annotated[float, POSITIVE] = 0.4,
    delta: Annotated[float, NON_NEGATIVE] = 1.0,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Cross-entropy of each label, times its weight in the batch.

    ``reweighted(cross_entropy(logits, labels))``: the labels of a batch that are hard
    for the model count more.

    Args:
      logits: shape ``(..., C)``, any floating type.
      labels: integers in ``0 .. C - 1``, shape ``(...)``; one out of range gives NaN.
      strategy: see ``loss_weights``, as for ``r`` and ``delta``.
      r: how even the weights are; at 1e30 it is the cross-entropy.
      delta: range of the scaled losses.
      where: shape ``(...)``; 0 drops a label.

    Returns:
      Shape ``(...)``, float32 or float64; the mean is the weighted loss.

    Raises:
      InputError: an argument is out of range, or the shapes do not belong together.

    >>> reweighted_cross_entropy(jnp.zeros((2, 4)), jnp.array([0, 1])).round(3).tolist()
    [1.3860000371932983, 1.3860000371932983]

    Cost: that of the cross-entropy, one array of the size of the logits kept for
    the gradient.

    Source: Sow et al. 2025 (https://arxiv.org/abs/2502.06733); see ``loss_weights``.
    """
    losses = cross_entropy(logits, labels, where=where)
    return reweighted(losses, strategy=strategy, r=r, delta=delta, where=where)
