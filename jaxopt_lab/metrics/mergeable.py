"""Metrics that are sums over examples until they are computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.entries import check_entries
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Metrics
from jaxopt_lab.core.where import or_zero
from jaxopt_lab.metrics.label_checks import check_labels

Sums = Any


class MergeableMetric(NamedTuple):
    """A metric as four pure functions of sums over examples.

    Any split of the examples into batches, devices and processes gives the same: sums
    are added, and divided only by ``compute``.

    Attributes:
      init: ``init(dtype=float32) -> sums`` of no examples. In float32 counts are exact
        up to 2 ** 24 examples.
      update: ``update(sums, batch) -> sums`` with the examples of a batch
        ``{"outputs", "targets"[, "weight"]}`` added; weight 0 is padding, whose
        content does not matter.
      merge: ``merge(a, b) -> sums`` of both.
      compute: ``compute(sums) -> {name: value}``; NaN of no examples.
    """

    init: Callable[..., Sums]
    update: Callable[[Sums, Mapping[str, jax.Array]], Sums]
    merge: Callable[[Sums, Sums], Sums]
    compute: Callable[[Sums], Metrics]


def merge(a: Sums, b: Sums) -> Sums:
    """Two sums added, entry by entry.

    Args:
      a: sums.
      b: sums of the same metric.

    Returns:
      Their sum.

    >>> merge({"n": jnp.ones(())}, {"n": jnp.ones(())})["n"].item()
    2.0
    """
    return jax.tree.map(jnp.add, a, b)


def together(*metrics: MergeableMetric) -> MergeableMetric:
    """Several metrics of the same batches as one.

    Args:
      *metrics: the metrics; no two may compute a value of the same name.

    Returns:
      The metric; its sums are a tuple of theirs.

    Raises:
      InputError: of ``compute``, two values have the same name.

    >>> from jaxopt_lab.metrics import accuracy, expected_calibration_error
    >>> both = together(accuracy(), expected_calibration_error())
    >>> sorted(both.compute(both.init()))
    ['accuracy', 'expected_calibration_error']
    """

    def init(dtype: DTypeLike = jnp.float32) -> Sums:
        return tuple(m.init(dtype) for m in metrics)

    def update(sums: Sums, batch: Mapping[str, jax.Array]) -> Sums:
        pairs = zip(metrics, sums, strict=True)
        return tuple(m.update(s, batch) for m, s in pairs)

    def both(a: Sums, b: Sums) -> Sums:
        return tuple(m.merge(*s) for m, *s in zip(metrics, a, b, strict=True))

    def compute(sums: Sums) -> Metrics:
        found: Metrics = {}
        for metric, own in zip(metrics, sums, strict=True):
            new = metric.compute(own)
            if twice := sorted(found.keys() & new.keys()):
                raise InputError(f"two metrics compute {twice[0]!r}; accepted: one")
            found |= new
        return found

    return MergeableMetric(init, update, both, compute)


def labelled(
    batch: Mapping[str, jax.Array],
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Logits, labels and weights of a batch of classified examples.

    Args:
      batch: ``{"outputs": (B, C), "targets": (B,)[, "weight": (B,)]}``.

    Returns:
      Logits with zeros in place of padding, labels, weights (float32, or float64 where
      the logits are).

    Raises:
      InputError: an entry is missing, shapes do not fit, labels are no integers, or,
        where their values are known, one is no class; traced, it is as a wrong answer.
    """
    check_entries(batch, ("outputs", "targets"))
    logits, labels = batch["outputs"], batch["targets"]
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise InputError(
            "outputs and targets must have shapes (B, C) and (B,); got "
            f"{logits.shape} and {labels.shape}"
        )
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise InputError(f"targets must be integers; got dtype {labels.dtype}")
    wide = accumulation_dtype(logits.dtype)
    weight = batch.get("weight")
    check_labels(batch, weight)
    if weight is None:
        weight = jnp.ones(labels.shape, wide)
    if weight.shape != labels.shape:
        raise InputError(
            f"weight must have shape {labels.shape}, one number per example; got "
            f"{weight.shape}"
        )
    logits = or_zero(logits.astype(wide), weight)
    return logits, labels, weight.astype(wide)
