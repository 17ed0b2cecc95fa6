"""Broken metrics."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from battery.faults import plant
from battery.metric.checks import WITHOUT
from battery.metric.set_toy import broken_set
from battery.metric.toy import TOY, broken, confidence, example, with_metric
from battery.parts.common_faults import plant_common


def documented(text: str):
    """The toy with another docstring; its own where there is none."""

    def build(*, power: int = 2):
        return confidence(power=power)

    build.__doc__ = text or confidence.__doc__
    return dataclasses.replace(TOY, name="documented", build=build)


plant_common("metric", broken, documented=documented, example=example, without=WITHOUT)


def mean_of_means(metric):
    def update(sums, batch):
        new = metric.update(metric.init(sums.weight.dtype), batch)
        mean = new.confidence / new.weight
        return sums._replace(confidence=sums.confidence + mean, weight=sums.weight + 1)

    return metric._replace(update=update)


def merging_one(metric):
    return metric._replace(merge=lambda a, b: a)


def product_with_weight(metric):
    def update(sums, batch):
        weight = batch.get("weight", jnp.ones(batch["targets"].shape))
        seen = 0 * jnp.sum(batch["outputs"] * weight[:, None])
        return jax.tree.map(
            lambda s: s + seen.astype(s.dtype), metric.update(sums, batch)
        )

    return metric._replace(update=update)


def without_weight(metric):
    def update(sums, batch):
        return metric.update(sums, {k: batch[k] for k in ("outputs", "targets")})

    return metric._replace(update=update)


def by_block(found, block):
    estimate = found.overlap
    by = jnp.asarray(1e-3 / block, estimate.value.dtype)
    return found._replace(overlap=estimate._replace(value=estimate.value - by))


FAULTS = (
    ("by block", "blocked", "in blocks", broken_set(by_block)),
    ("mean of means", "split", "it differs", with_metric(mean_of_means)),
    ("merging one", "split", "merged", with_metric(merging_one)),
    ("weight multiplied", "padding", "padding", with_metric(product_with_weight)),
    ("weight ignored", "padding", "padding|weight", with_metric(without_weight)),
    (
        "scaled",
        "reference",
        "reference differs",
        broken(lambda r, given: r._replace(confidence=r.confidence * 0.5)),
    ),
    (
        "direction",
        "ends",
        "answer gives",
        dataclasses.replace(TOY, direction="lower"),
    ),
    ("range", "ends", "answer gives", dataclasses.replace(TOY, range=(0.5, 1.0))),
)
for name, aim, words, row in FAULTS:
    plant("metric", name, aim, words, row)
