"""Loss and metrics of a model that fills in masked tokens (masked diffusion)."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.labels import is_largest
from jaxopt_lab.core.options import COUNT_OR_ZERO, check_arguments
from jaxopt_lab.core.typing import Batch, Metrics, ModelState, Params, TrainLossFn
from jaxopt_lab.losses.cross_entropy import cross_entropy
from jaxopt_lab.losses.targets import refuse_out_of_range

LabelLoss = Callable[[Params, jax.Array, jax.Array], jax.Array]


def masked_share(key: jax.Array, shape: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    r"""Masks of rows, each with a share of its own.

    .. math:: t_b \sim U(0, 1], \qquad m_{bi} \sim \text{Bernoulli}(t_b),

    the shares of a batch at equal distances from one draw, which leaves each uniform.

    Args:
      key: of the draws.
      shape: rows and tokens.

    Returns:
      ``(t (B,), masks (B, T))``, the masks booleans, the shares float32.

    >>> t, masks = masked_share(jax.random.key(0), (4, 8))
    >>> t.shape, masks.shape
    ((4,), (4, 8))
    """
    rows, _ = shape
    share_key, mask_key = jax.random.split(key)
    places = jnp.arange(rows, dtype=jnp.float32) / jnp.float32(rows)
    # In (0, 1], as 1 / t follows.
    t = 1 - (jax.random.uniform(share_key, (), jnp.float32) + places) % 1
    return t, jax.random.uniform(mask_key, shape, jnp.float32) < t[:, None]


def masked_token_loss(
    functional: Functional,
    *,
    mask: Annotated[int, COUNT_OR_ZERO],
    loss: LabelLoss | None = None,
) -> TrainLossFn:
    r"""A bound on the negative log-likelihood of a masked diffusion, in nats per token.

    .. math:: L = \frac{1}{B T} \sum_b \frac{1}{t_b} \sum_{i:\, m_{bi}}
        -\log p(x_{bi} \mid \text{the tokens without masks})

    with shares and masks of ``masked_share``.

    Args:
      functional: the model, in which tokens see all others; its outputs are logits
        ``(B, T, V)``.
      mask: the token that stands for a mask.
      loss: ``loss(params, logits, labels)``, a number for each token. Default: the
        cross-entropy.

    Returns:
      ``loss_fn(params, model_state, batch, key) -> (loss, (model_state, {"accuracy":
      ...}))`` on batches with ``"inputs"``, integers ``(B, T)``; the accuracy is that
      of masked tokens. Means over the batch, float32 or float64.

    Raises:
      InputError: ``mask`` is negative; at the call, the batch has no inputs, or
        tokens out of range.

    Source: Nie et al., "Large Language Diffusion Models", 2025
    (https://arxiv.org/abs/2502.09992), whose shares are independent draws.

    >>> model = Functional(None, lambda p, s, x, **k: (jnp.zeros((*x.shape, 3)), s))
    >>> loss_fn = masked_token_loss(model, mask=2)
    >>> batch = {"inputs": jnp.zeros((256, 64), int)}
    >>> loss_fn((), {}, batch, jax.random.key(0))[0].round(1)
    Array(1.1, dtype=float32)
    """
    check_arguments(masked_token_loss, {"mask": mask})
    each = loss or (lambda params, logits, labels: cross_entropy(logits, labels))

    def loss_fn(
        params: Params, model_state: ModelState, batch: Batch, key: jax.Array, /
    ) -> tuple[jax.Array, tuple[ModelState, Metrics]]:
        text = _text(batch)
        mask_key, own_key = jax.random.split(key)
        t, masks = masked_share(mask_key, text.shape)
        logits, model_state = functional.apply(
            params,
            model_state,
            jnp.where(masks, jnp.asarray(mask, text.dtype), text),
            train=True,
            key=own_key,
        )
        refuse_out_of_range(text, logits.shape[-1])
        losses = jnp.where(masks, each(params, logits, text), 0)
        t = t.astype(losses.dtype)
        found = _accuracy(logits, text, masks).astype(losses.dtype)
        return jnp.mean(losses / t[:, None]), (model_state, {"accuracy": found})

    return loss_fn


def masked_token_metrics(
    functional: Functional, *, mask: Annotated[int, COUNT_OR_ZERO]
) -> Callable[[Params, ModelState, Batch], Metrics]:
    """Sums of loss and accuracy of a model of masked tokens, in evaluation.

    Args:
      functional: as of ``masked_token_loss``.
      mask: the token that stands for a mask.

    Returns:
      ``metric_fn(params, model_state, batch) -> {"loss", "accuracy", "weight"}``, sums
      over examples as of ``next_token_metrics``, with the loss of
      ``masked_token_loss`` and the part of an example's masked tokens that are right.
      The masks are the same for every batch of one shape.

    Raises:
      InputError: ``mask`` is negative; at the call, the batch has no inputs.

    >>> model = Functional(None, lambda p, s, x, **k: (jnp.zeros((*x.shape, 3)), s))
    >>> metrics = masked_token_metrics(model, mask=2)
    >>> metrics((), {}, {"inputs": jnp.zeros((4, 9), int)})["weight"].item()
    4.0
    """
    check_arguments(masked_token_metrics, {"mask": mask})

    def metric_fn(params: Params, model_state: ModelState, batch: Batch) -> Metrics:
        text = _text(batch)
        t, masks = masked_share(jax.random.key(0), text.shape)
        given = jnp.where(masks, jnp.asarray(mask, text.dtype), text)
        logits, _ = functional.apply(params, model_state, given, train=False)
        losses = cross_entropy(logits, text)
        dtype = losses.dtype
        weight = jnp.ones(len(text), dtype)
        if "weight" in batch:
            weight = jnp.asarray(batch["weight"]).astype(dtype)
        scaled = jnp.where(masks, losses, 0) / t.astype(dtype)[:, None]
        right = _accuracy(logits, text, masks, axis=1).astype(dtype)

        def total(values: jax.Array) -> jax.Array:
            # Padding may hold anything: 0 * NaN would spoil the whole sum.
            return jnp.sum(jnp.where(weight == 0, 0, weight * values))

        return {
            "loss": total(jnp.mean(scaled, axis=1)),
            "accuracy": total(right),
            "weight": jnp.sum(weight),
        }

    return metric_fn


def _text(batch: Batch) -> jax.Array:
    if not isinstance(batch, dict) or "inputs" not in batch:
        raise InputError("the batch has no 'inputs', the integers of whole rows")
    return jnp.asarray(batch["inputs"])


def _accuracy(
    logits: jax.Array, text: jax.Array, masks: jax.Array, axis: int | None = None
) -> jax.Array:
    """The part of the masked tokens that are right; 1 of none."""
    right = is_largest(logits, text) & masks
    count = jnp.sum(masks, axis=axis, dtype=jnp.int32)
    share = jnp.sum(right, axis=axis, dtype=jnp.int32) / jnp.maximum(count, 1)
    return jnp.where(count > 0, share, 1)
