"""Broken estimators."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from battery.estimator.toy import TOY, broken, example, fit_mean, with_fit
from battery.faults import plant
from battery.parts.common_faults import plant_common


def documented(text: str):
    """The toy with another docstring; its own where there is none."""

    def build(data, *, where=None, key=None, ridge: float = 0.1):
        return fit_mean(data, where=where, ridge=ridge)

    build.__doc__ = text or fit_mean.__doc__
    return dataclasses.replace(TOY, name="documented", build=build)


plant_common("estimator", broken, documented=documented, example=example)


def of_the_first(data, where, ridge):
    fitted = fit_mean(data, where=where, ridge=ridge)
    return fitted._replace(mean=fitted.mean + 0.01 * data["x"][0])


def any_weight(data, where, ridge):
    where = None if where is None else (where != 0).astype(jnp.float64)
    return fit_mean(data, where=where, ridge=ridge)


def weight_multiplied(data, where, ridge):
    fitted = fit_mean(data, where=where, ridge=ridge)
    if where is None:
        return fitted
    seen = 0 * jnp.sum(data["x"] * where[:, None])
    return jax.tree.map(lambda x: x + seen, fitted)


def unguarded(data, where, ridge):
    x = data["x"]
    return fit_mean({"x": x * jnp.std(x) / jnp.std(x)}, where=where, ridge=ridge)


FAULTS = (
    (
        "another fit",
        "oracle",
        "oracle differs",
        broken(lambda r, given: r._replace(mean=1.01 * r.mean)),
    ),
    (
        "worse fit",
        "monotone",
        "sum of squares",
        broken(lambda r, given: r._replace(mean=r.mean + 9)),
    ),
    ("of the first", "permutation", "order", with_fit(of_the_first)),
    ("any weight", "weights", "weight 2", with_fit(any_weight)),
    ("weight multiplied", "weights", "weight 0", with_fit(weight_multiplied)),
    ("constant data", "degenerate", "constant data", with_fit(unguarded)),
    (
        "nothing degenerate",
        "degenerate",
        "fewer than two",
        dataclasses.replace(TOY, example=lambda: {**example(), "degenerate": {}}),
    ),
)
for name, aim, words, row in FAULTS:
    plant("estimator", name, aim, words, row)
