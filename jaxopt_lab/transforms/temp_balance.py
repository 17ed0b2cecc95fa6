"""TempBalance: step sizes of layers balanced by the tails of their spectra."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import errors, trees
from jaxopt_lab.core.checks import check_non_negative, increment, value_at
from jaxopt_lab.core.layer_exponents import TempBalanceState
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.typing import Params, Scalar, ScalarOrSchedule, Updates

Assignment = Literal["linear", "sqrt", "log2", "step"]


def temp_balance_scales(
    exponents: jax.Array,
    low: Scalar = 0.5,
    high: Scalar = 1.5,
    *,
    assignment: Assignment = "linear",
) -> jax.Array:
    r"""Factors of the layers' step sizes from their heavy-tail exponents.

    A small exponent is a heavy tail, the mark of a layer that is trained far already:
    it is slowed down. Over the n balanced layers,

    .. math::
        s_l = \text{low} + (\text{high} - \text{low})
              \frac{\alpha_l - \min \alpha}{\max \alpha - \min \alpha}
        \quad \text{(linear)}, \qquad
        s_l = \frac{n f(\alpha_l)}{\sum_k f(\alpha_k)}
        \quad \text{(sqrt, log2)}.

    Args:
      exponents: ``(n,)`` floating; 0 (or infinity) for a layer that keeps the base
        rate. NaN, of a layer with a weight that is not finite, is left out as well, and
        its own factor is NaN.
      low: factor of the layer with the heaviest tail; not used by sqrt and log2.
      high: factor of the one with the lightest.
      assignment: ``"linear"``; ``"sqrt"`` or ``"log2"``; or ``"step"``: linear in the
        rank, ``low + (high - low) rank / n``.

    Returns:
      ``(n,)``, the dtype of ``exponents``; 1 where it is 0, NaN where it is NaN.

    Raises:
      InputError: a number is negative, or the name is unknown.

    Decisions: where all exponents are equal nothing is to be balanced, and every
    factor is 1; interpolation in the official code gives ``high`` there. With
    ``"step"`` the largest rank is ``n - 1``, so that no layer reaches ``high``, as in
    their code.

    >>> temp_balance_scales(jnp.array([2.0, 0.0, 3.0, 4.0])).tolist()
    [0.5, 1.0, 1.0, 1.5]
    """
    check_non_negative("low", low)
    check_non_negative("high", high)
    if assignment not in get_args(Assignment):
        raise errors.unknown("assignment", assignment, get_args(Assignment))
    dtype = exponents.dtype
    tuned = jnp.isfinite(exponents) & (exponents > 0)
    alpha = jnp.where(tuned, exponents, 1)
    number = jnp.sum(tuned).astype(dtype)
    least = jnp.min(jnp.where(tuned, alpha, jnp.inf), initial=jnp.inf)
    width = jnp.max(jnp.where(tuned, alpha, 0), initial=0) - least
    if assignment in ("sqrt", "log2"):
        value = trees.safe_sqrt(alpha) if assignment == "sqrt" else jnp.log2(alpha)
        total = jnp.sum(jnp.where(tuned, value, 0))
        scales = trees.safe_divide(value * number, total)
    else:
        if assignment == "linear":
            part = trees.safe_divide(jnp.where(tuned, alpha - least, 0), width)
        else:
            order = jnp.argsort(jnp.where(tuned, alpha, jnp.inf))
            part = trees.safe_divide(jnp.argsort(order).astype(dtype), number)
        bottom, top = jnp.asarray(low, dtype), jnp.asarray(high, dtype)
        scales = bottom + (top - bottom) * part
    scales = jnp.where(tuned & (width > 0), scales, 1)
    return jnp.where(jnp.isnan(exponents), exponents, scales)


def scale_by_temp_balance(
    low: ScalarOrSchedule = 0.5,
    high: ScalarOrSchedule = 1.5,
    *,
    assignment: Assignment = "linear",
) -> optax.GradientTransformationExtraArgs:
    r"""Multiply each layer's update by a factor from the tail of its spectrum.

    A link that stands LAST in a chain, where it acts as a step size of the layer,
    weight decay included (in front of Adam it would be divided out again). The
    exponents lie in the state: 0 at first, so that every factor is 1; outside of jit,
    once an epoch, ``refresh_temp_balance`` puts in those of the present parameters.

    Args:
      low: factor of the layer with the heaviest tail; a number, a traced scalar, or a
        schedule of the number of updates. Published ranges lie between 0.1 to 1.9 and
        0.4 to 1.6.
      high: factor of the one with the lightest tail; likewise.
      assignment: see ``temp_balance_scales``.

    Returns:
      A link; ``params`` and extra arguments are accepted and not used. Updates keep
      their dtypes and their sharding.

    Raises:
      InputError: a number is negative, or ``assignment`` is unknown.

    Memory: 4 bytes for each leaf, not for each parameter. No gradient evaluations.
    Differentiable in the updates, ``low`` and ``high``.

    >>> from jaxopt_lab.diagnostics import refresh_temp_balance
    >>> W = jax.random.normal(jax.random.key(0), (16, 16))
    >>> params = {"a": {"w": W}, "b": {"w": W}, "c": {"w": W**5}, "d": {"w": W}}
    >>> tx = optax.chain(optax.sgd(0.1), scale_by_temp_balance(0.5, 1.5))
    >>> state = refresh_temp_balance(tx.init(params), params)
    >>> updates, _ = tx.update(params, state, params)
    >>> [
    ...     round(float(-updates[n]["w"][0, 0] / params[n]["w"][0, 0]), 3)
    ...     for n in params  # c has the heavier tail; the ends are left alone
    ... ]
    [0.1, 0.15, 0.05, 0.1]

    Reference: Zhou, Pang, Liu, Martin, Mahoney and Yang, "Temperature Balancing,
    Layer-wise Weight Analysis, and Neural Network Training" (TempBalance), NeurIPS
    2023, arXiv:2312.00359; with the exponents of FARMS, arXiv:2506.06280. Code
    compared: HUST-AI-HYZ/FARMS.
    """
    # The checks of names and numbers, now rather than in the first update.
    fixed = [1.0 if (n := known_number(v)) is None else n for v in (low, high)]
    temp_balance_scales(jnp.zeros(1, jnp.float32), *fixed, assignment=assignment)

    def init_fn(params: Params) -> TempBalanceState:
        none = jax.tree.map(
            lambda p: jnp.zeros((), trees.magnitude_dtype(jnp.result_type(p))),
            params,
        )
        return TempBalanceState(count=jnp.zeros((), jnp.int32), exponents=none)

    def update_fn(
        updates: Updates, state: Any, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, TempBalanceState]:
        del params, extra
        leaves, treedef = jax.tree.flatten(state.exponents)
        if leaves:
            wide = max((leaf.dtype for leaf in leaves), key=lambda d: d.itemsize)
            scales = temp_balance_scales(
                jnp.stack([leaf.astype(wide) for leaf in leaves]),
                value_at(low, state.count),
                value_at(high, state.count),
                assignment=assignment,
            )
            updates = jax.tree.map(_scaled, treedef.unflatten(list(scales)), updates)
        count = increment(state.count)
        return updates, TempBalanceState(count, state.exponents)

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def _scaled(scale: jax.Array, update: jax.Array) -> jax.Array:
    wide = trees.wide_dtype(update.dtype)
    return (update.astype(wide) * scale.astype(wide)).astype(update.dtype)
