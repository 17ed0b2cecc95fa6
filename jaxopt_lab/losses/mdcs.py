"""MDCS: experts of different class balance, each taught by its own weak view."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.labels import is_largest
from jaxopt_lab.core.options import NON_NEGATIVE, POSITIVE, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.where import or_zero
from jaxopt_lab.losses.cross_entropy import at_labels
from jaxopt_lab.losses.stateful import StatefulLoss
from jaxopt_lab.losses.targets import (
    check_floats,
    check_labels,
    check_shape,
    refuse_out_of_range,
    valid,
)

_EPS = 1e-9


class MDCSState(NamedTuple):
    """Position in the ramp of the distillation.

    Attributes:
      step: calls so far, int32.
    """

    step: jax.Array


def mdcs(
    *,
    exponents: tuple[float, ...] = (-0.5, 1.0, 2.5),
    weight: Annotated[float, NON_NEGATIVE] = 0.6,
    warmup: Annotated[float, NON_NEGATIVE] = 20.0,
    temperature: Annotated[float, POSITIVE] = 1.0,
) -> StatefulLoss:
    r"""Cross-entropies of experts of different class balance, and self-distillation.

    Expert e has the logits z plus :math:`\log(n_c^{a_e} + 10^{-9})`, :math:`n_c` the
    number of training examples of class c: a negative exponent favours rare classes
    while it is trained, so that the raw logits, which are used afterwards, favour
    frequent ones. With the softmax p of these logits, for a weak view (held constant)
    and a strong one of an example, its loss is

    .. math::
        \sum_e \tfrac12 \left(CE(p_e^{weak}) + CE(p_e^{strong})\right)
        + w \min(t / t_0, 1) \frac{B}{R_e} [\text{weak view right}]
        \, T^2 \, KL(p_e^{weak} \,\|\, p_e^{strong}),

    :math:`R_e` the number of the B examples whose weak view expert e has right: the
    mean over the batch has the mean divergence of those that are. Afterwards the mean
    of the raw logits of the experts predicts.

    Args:
      exponents: :math:`a_e`, one for each expert.
      weight: w; 0: no distillation.
      warmup: :math:`t_0`, in calls; 20 epochs in the code. 0: the whole weight at once.
      temperature: T, of the divergence.

    Returns:
      ``init(logits) -> MDCSState`` and ``apply(state, logits, labels, *,
      class_counts, where=None) -> (losses, state)``: raw logits ``(B, 2, E, C)``, the
      weak view before the strong one, labels ``(B,)``, numbers of training examples
      ``(C,)``; ``where`` ``(B,)``: 0 drops an example. Losses ``(B,)``, coupled through
      :math:`R_e`. A label out of range gives NaN. Kept for the gradient: the logits.

    Raises:
      InputError: an option is out of range; at the call, shapes that do not belong
        together, a label out of range, or a negative class count.

    Source: Zhao et al., "MDCS: More Diverse Experts with Consistency Self-distillation
    for Long-tailed Recognition", 2023 (https://arxiv.org/abs/2308.09922) and its code,
    where a weak view is right by the shifted logits. The ramp goes by calls, not
    epochs; a class without examples has the count 1e-9 where the exponent is below 0.

    >>> loss = mdcs(exponents=(0.0,))
    >>> z, y = jnp.zeros((1, 2, 1, 2)), jnp.array([0])
    >>> losses, state = loss.apply(loss.init(z), z, y, class_counts=jnp.ones(2))
    >>> f"{losses[0]:.3f}", int(state.step)
    ('0.693', 1)
    """
    check_arguments(mdcs, locals())
    if not exponents:
        raise InputError("exponents must name at least one expert; got none")
    experts = len(exponents)

    def init(logits: jax.Array) -> MDCSState:
        _check(logits, experts)
        return MDCSState(jnp.zeros((), jnp.int32))

    def apply(
        state: MDCSState,
        logits: jax.Array,
        labels: jax.Array,
        *,
        class_counts: jax.Array,
        where: jax.Array | None = None,
    ) -> tuple[jax.Array, MDCSState]:
        _check(logits, experts)
        check_labels(logits[:, 0, 0], labels, where)
        refuse_out_of_range(labels, logits.shape[-1], where, of="classes of the logits")
        _check_counts(class_counts, logits.shape[-1])
        wide = accumulation_dtype(logits.dtype)
        counts = valid(where, logits.shape[0], logits)
        z = or_zero(logits.astype(wide), where)
        z = z + _balance(class_counts.astype(wide), exponents)[None, None]
        every = jnp.broadcast_to(labels[:, None, None], z.shape[:3])
        entropy = -at_labels(jax.nn.log_softmax(z), every)
        losses = jnp.sum(jnp.mean(entropy, axis=1), axis=1)

        t = jnp.asarray(temperature, wide)
        teacher = jax.nn.log_softmax(jax.lax.stop_gradient(z[:, 0]) / t)
        student = jax.nn.log_softmax(z[:, 1] / t)
        p = jnp.exp(teacher)
        apart = t**2 * jnp.sum(jnp.where(p == 0, 0, p * (teacher - student)), axis=-1)
        own = jnp.broadcast_to(labels[:, None], teacher.shape[:2])
        right = is_largest(teacher, own).astype(wide) * counts[:, None]
        number = jnp.sum(right, axis=0, keepdims=True)
        share = right * jnp.sum(counts) / jnp.where(number > 0, number, 1)
        start = jnp.asarray(warmup, wide)
        ramp = jnp.where(
            start > 0, state.step.astype(wide) / jnp.where(start > 0, start, 1), 1
        )
        part = jnp.asarray(weight, wide) * jnp.minimum(ramp, 1)
        losses = losses + part * jnp.sum(share * apart, axis=1)
        if where is not None:
            losses = jnp.where(counts > 0, losses, 0)
        return losses, MDCSState(state.step + 1)

    return StatefulLoss(init, apply)


def balanced_experts(
    logits: jax.Array,
    labels: jax.Array,
    *,
    class_counts: jax.Array,
    exponents: tuple[float, ...] = (-0.5, 1.0, 2.5),
    where: jax.Array | None = None,
) -> jax.Array:
    """The cross-entropies of ``mdcs`` without distillation.

    Args:
      logits: ``(B, 2, E, C)``.
      labels: integers ``(B,)``.
      class_counts: ``(C,)``.
      exponents: one for each expert.
      where: ``(B,)``; 0 drops an example.

    Returns:
      Shape ``(B,)``.

    >>> z = jnp.zeros((1, 2, 1, 2))
    >>> given = {"class_counts": jnp.ones(2), "exponents": (1.0,)}
    >>> f"{balanced_experts(z, jnp.array([0]), **given)[0]:.3f}"
    '0.693'
    """
    loss = mdcs(exponents=exponents, weight=0.0)
    given = {"class_counts": class_counts, "where": where}
    return loss.apply(loss.init(logits), logits, labels, **given)[0]


def _balance(counts: jax.Array, exponents: tuple[float, ...]) -> jax.Array:
    """The terms added to the logits, ``(E, C)``."""
    a = jnp.asarray(exponents, counts.dtype)[:, None]
    counts = counts[None]
    empty = jnp.where(a < 0, jnp.asarray(_EPS, counts.dtype), 0)
    power = jnp.where(counts > 0, counts, empty) ** a
    return jnp.log(power + jnp.asarray(_EPS, counts.dtype))


def _check(logits: jax.Array, experts: int) -> None:
    check_floats("logits", logits, 4)
    if logits.shape[1:3] != (2, experts):
        raise InputError(
            f"logits must have shape (B, 2, {experts}, C), two views of {experts} "
            f"experts; got {logits.shape}"
        )


def _check_counts(class_counts: jax.Array, classes: int) -> None:
    check_shape("class_counts", class_counts, (classes,))
    values = known_values(class_counts)
    if values is not None and (values < 0).any():
        raise InputError(f"class_counts must be at least 0; got {values.min()}")
