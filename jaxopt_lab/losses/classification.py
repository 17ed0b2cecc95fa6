"""Losses for training and sums for evaluation, from a functional model.

Training wants means over the examples of the batch, so that shards, micro-batches
and devices can be averaged; evaluation wants sums and weights, so that the last,
padded batch counts for what it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.entries import check_entries
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.labels import is_largest
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.pixels import to_float as to_float
from jaxopt_lab.core.typing import Batch, Metrics, ModelState, Params, TrainLossFn
from jaxopt_lab.losses.cross_entropy import cross_entropy
from jaxopt_lab.losses.soft_labels import with_soft_labels
from jaxopt_lab.losses.targets import refuse_out_of_range

MetricFn = Callable[[Params, ModelState, Batch], Metrics]
Prepare = Callable[[jax.Array], jax.Array]
# metric(logits, labels) -> (examples,), larger or smaller is better as its user knows
ExampleMetric = Callable[[jax.Array, jax.Array], jax.Array]
LabelLoss = Callable[[Params, jax.Array, jax.Array], jax.Array]


_PLACES = {"image": 0, "label": 1, "inputs": 0, "targets": 1}


def _leaf(batch: Batch, name: str) -> Any:
    if isinstance(batch, tuple | list) and len(batch) == 2:
        return batch[_PLACES[name]]
    if not isinstance(batch, Mapping):
        raise InputError(
            f"a batch of type {type(batch).__name__} has no {name!r}; accepted: a dict "
            "with that entry, or the pair of inputs and labels"
        )
    check_entries(batch, (name,))
    return batch[name]


def _check_smoothing(label_smoothing: float) -> None:
    number = known_number(label_smoothing)
    if number is not None and not 0 <= number < 1:
        raise InputError(f"label_smoothing must be in [0, 1); got {label_smoothing}")


def _is_zero(number: float) -> bool:
    return known_number(number) == 0


def _correct(logits: jax.Array, labels: jax.Array, like: jax.Array) -> jax.Array:
    if labels.shape == logits.shape:
        labels = jnp.argmax(labels, axis=-1)
    return is_largest(logits, labels).astype(like.dtype)


def _smoothed(label_smoothing: float) -> LabelLoss:
    loss = with_soft_labels(cross_entropy)
    return lambda params, logits, labels: loss(logits, labels, label_smoothing)


def _train_loss(
    functional: Functional,
    inputs_of: Callable[[Batch], jax.Array],
    labels_name: str,
    loss: LabelLoss,
) -> TrainLossFn:
    def loss_fn(
        params: Params, model_state: ModelState, batch: Batch, key: jax.Array, /
    ) -> tuple[jax.Array, tuple[ModelState, Metrics]]:
        labels = jnp.asarray(given := _leaf(batch, labels_name))
        logits, model_state = functional.apply(
            params, model_state, inputs_of(batch), train=True, key=key
        )
        refuse_out_of_range(given, logits.shape[-1])
        losses = loss(params, logits, labels)
        accuracy = jnp.mean(_correct(logits, labels, losses))
        return jnp.mean(losses), (model_state, {"accuracy": accuracy})

    return loss_fn


def _weighted_sums(
    functional: Functional,
    inputs_of: Callable[[Batch], jax.Array],
    labels_name: str,
    extra: Mapping[str, ExampleMetric],
) -> MetricFn:
    def metric_fn(params: Params, model_state: ModelState, batch: Batch) -> Metrics:
        labels = _leaf(batch, labels_name)
        logits, _ = functional.apply(params, model_state, inputs_of(batch), train=False)
        losses = cross_entropy(logits, labels)
        correct = _correct(logits, labels, losses)
        count = labels.shape[0]
        weight = jnp.ones(count, losses.dtype)
        if isinstance(batch, Mapping):
            weight = batch.get("weight", weight)
        if weight.shape != (count,):
            raise InputError(
                f"weight must have shape {(count,)}, one number per example; "
                f"got {weight.shape}"
            )
        weight = weight.astype(losses.dtype)

        def total(values: jax.Array) -> jax.Array:
            each = jnp.mean(values, axis=tuple(range(1, values.ndim)))
            # Padding may hold anything: 0 * NaN would spoil the whole sum.
            return jnp.sum(jnp.where(weight == 0, 0, weight * each))

        def own(name: str) -> jax.Array:
            values = jnp.asarray(extra[name](logits, labels))
            if values.shape[:1] != (count,):
                raise InputError(
                    f"metric {name} must give one number for each of the {count} "
                    f"examples; got shape {values.shape}"
                )
            return total(values.astype(losses.dtype))

        return {
            "loss": total(losses),
            "accuracy": total(correct),
            **{name: own(name) for name in extra},
            "weight": jnp.sum(weight),
        }

    return metric_fn


def classification_loss(
    functional: Functional,
    *,
    prepare: Prepare | None = None,
    label_smoothing: float = 0.0,
    loss: LabelLoss | None = None,
) -> TrainLossFn:
    """Mean loss of an image classifier, in training mode.

    Args:
      functional: the model; its outputs are logits of shape ``(B, C)``.
      prepare: applied to ``batch["image"]`` before the model, inside the compiled
        step (normalisation, casts). Default: ``to_float``.
      label_smoothing: in ``[0, 1)``, see ``cross_entropy``.
      loss: ``loss(params, logits, labels)``, a number for each label. Default: the
        cross-entropy, of integer labels or of probabilities ``(B, C)``.

    Returns:
      ``loss_fn(params, model_state, batch, key) -> (loss, (model_state,
      {"accuracy": ...}))`` on batches ``{"image": (B, ...), "label": (B,)}``. Loss
      and accuracy are means over the batch, float32 or float64.

    Raises:
      InputError: the smoothing is out of range, or given beside a loss, which has its
        own; at the call, the batch lacks an entry or its shapes do not fit.
    """
    _check_smoothing(label_smoothing)
    if loss is not None and not _is_zero(label_smoothing):
        raise InputError(
            f"label_smoothing={label_smoothing} is for the default loss; a loss of "
            "one's own takes its own options"
        )
    prepare = to_float if prepare is None else prepare
    return _train_loss(
        functional,
        lambda batch: prepare(_leaf(batch, "image")),
        "label",
        _smoothed(label_smoothing) if loss is None else loss,
    )


def next_token_loss(
    functional: Functional, *, loss: LabelLoss | None = None
) -> TrainLossFn:
    """Mean loss of a language model, in nats per token, in training mode.

    Args:
      functional: the model; its outputs are logits of shape ``(B, T, V)``.
      loss: ``loss(params, logits, labels)``, a number for each token. Default: the
        cross-entropy.

    Returns:
      ``loss_fn(params, model_state, batch, key) -> (loss, (model_state,
      {"accuracy": ...}))`` on batches ``{"inputs": (B, T), "targets": (B, T)}`` of
      integers. Means over all tokens, float32 or float64.

    Raises:
      InputError: at the call; the batch lacks an entry or its shapes do not fit.
    """
    return _train_loss(
        functional,
        lambda batch: _leaf(batch, "inputs"),
        "targets",
        _smoothed(0.0) if loss is None else loss,
    )


def classification_metrics(
    functional: Functional,
    *,
    prepare: Prepare | None = None,
    extra: Mapping[str, ExampleMetric] = MappingProxyType({}),
) -> MetricFn:
    """Sums of loss and accuracy of an image classifier, in evaluation mode.

    Args:
      functional: the model; its outputs are logits of shape ``(B, C)``.
      prepare: as in ``classification_loss``.
      extra: further metrics by name, ``metric(logits, labels) -> (examples,)``; their
        sums stand beside the others.

    Returns:
      ``metric_fn(params, model_state, batch) -> {"loss", "accuracy", "weight"}``:
      the weighted sum of the cross-entropies (without smoothing), that of the
      correct answers, and the total weight; add these over batches, then divide. The
      optional entry ``batch["weight"]``, shape ``(B,)``, is 1 for an example and 0
      for padding, whose content does not matter.

    Raises:
      InputError: at the call; the batch lacks an entry or its shapes do not fit.
    """
    prepare = to_float if prepare is None else prepare
    return _weighted_sums(
        functional, lambda batch: prepare(_leaf(batch, "image")), "label", extra
    )


def next_token_metrics(
    functional: Functional, *, extra: Mapping[str, ExampleMetric] = MappingProxyType({})
) -> MetricFn:
    """Sums of loss (nats per token) and accuracy of a language model, in evaluation.

    Args:
      functional: the model; its outputs are logits of shape ``(B, T, V)``.
      extra: as in ``classification_metrics``.

    Returns:
      As ``classification_metrics``, on batches ``{"inputs", "targets"}`` with an
      optional ``"weight"`` of shape ``(B,)``: each example enters with the mean over
      its tokens.

    Raises:
      InputError: at the call; the batch lacks an entry or its shapes do not fit.
    """
    return _weighted_sums(
        functional, lambda batch: _leaf(batch, "inputs"), "targets", extra
    )
