"""Broken losses."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp

from battery.faults import plant
from battery.loss.toy import (
    STATEFUL,
    TOY,
    broken,
    example,
    ranking,
    widening,
    with_loss,
)
from battery.parts.common_faults import plant_common


def documented(text: str):
    """The toy with another docstring; its own where there is none."""

    def build(outputs, targets, *, where=None, power: float = 1.5):
        return ranking(outputs, targets, where=where, power=power)

    build.__doc__ = text or ranking.__doc__
    return dataclasses.replace(TOY, name="documented", build=build)


plant_common("loss", broken, documented=documented, example=example)


def summed(outputs, targets, where, power):
    return jnp.sum(ranking(outputs, targets, where=where, power=power))


def exponential(outputs, targets, where, power):
    losses = ranking(outputs, targets, where=where, power=power)
    return losses + jnp.exp(jnp.mean(outputs, axis=1)) * 1e-6


def positional(outputs, targets, where, power):
    losses = ranking(outputs, targets, where=where, power=power)
    return losses * (1 + jnp.arange(losses.size).astype(losses.dtype))


def by_product(outputs, targets, where, power):
    losses = ranking(outputs, targets, power=power)
    return losses if where is None else losses * (where != 0).astype(losses.dtype)


def with_remainder(outputs, targets, where, power):
    losses = ranking(outputs, targets, where=where, power=power)
    return losses if where is None else losses + 0.1 * (where == 0)


def of_the_outputs(outputs, targets, where, power):
    losses = ranking(outputs, targets, where=where, power=power)
    return losses + 0.01 * jnp.tanh(outputs[:, 0]).astype(losses.dtype)


def off(results, given):
    return results + 0.1


FAULTS = (
    ("summed", "shape", "instead of", with_loss(summed)),
    ("exponential", "extreme_outputs", "huge outputs", with_loss(exponential)),
    ("another optimum", "perfect_answer", "off the row's value", broken(off)),
    (
        "perfect claimed",
        "perfect_answer",
        "has a gradient",
        dataclasses.replace(
            TOY,
            perfect=1.0,
            example=lambda: {**example(), "perfect": 0 * example()["perfect"]},
        ),
    ),
    ("bound", "lower_bound", "lies below", broken(lambda r, given: r - 3)),
    ("positional", "permutation", "order", with_loss(positional)),
    ("mask multiplied", "dropped_example", "not a number", with_loss(by_product)),
    ("remainder", "dropped_example", "not zero", with_loss(with_remainder)),
    ("of the outputs", "invariance", "changes it", with_loss(of_the_outputs)),
    (
        "unknown words",
        "invariance",
        "no such change",
        dataclasses.replace(TOY, invariance="the moon"),
    ),
    (
        "state is widened",
        "state_types",
        "becomes",
        dataclasses.replace(STATEFUL, build=widening),
    ),
)
for name, aim, words, row in FAULTS:
    plant("loss", name, aim, words, row)
