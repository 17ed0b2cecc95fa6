"""Divergences of the margins of unlearned models from retrained ones."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness.store import Store
from experiments.studies.dense_nets import dense
from experiments.studies.programs import Labelled, digits
from experiments.studies.unlearning.config import Config
from experiments.studies.unlearning.models import match_all, train_all, tune_all
from jaxopt_lab.diagnostics import datamodel_change, fit_datamodel, klom, margins

METHODS = ("fine-tuning", "oracle matching", "dm-direct", "none", "retrained")
PLACES = ("forget", "retain", "test")


class Measured(NamedTuple):
    """Everything that is measured.

    Attributes:
      klom: mean divergence by place (``PLACES``) and method, ``(rates, sets)``; one
        rate where a method has none. ``"retrained"`` are other retrained models: the
        divergence of two draws of one distribution.
      ridge: that the datamodel chose.
      fit: share of the variance of outputs of held-out models that it explains.
    """

    klom: dict[str, dict[str, np.ndarray]]
    ridge: float
    fit: float


class Places(NamedTuple):
    """Numbers of examples, ``(sets, ...)``; test images follow the training ones."""

    forget: np.ndarray
    matched: np.ndarray
    retain: np.ndarray


def measure(config: Config, store: Store) -> Measured:
    """Train all models, unlearn every set, and compare margins.

    See ``Experiment.measure``.
    """
    found = store.group("runs").measured("all", lambda: _measured(config))
    values = {p: {m: found[f"{p}: {m}"] for m in METHODS} for p in PLACES}
    return Measured(values, float(found["ridge"]), float(found["fit"]))


def chosen(labels: np.ndarray, config: Config) -> Places:
    """The examples of every forget set, and others to match and to compare.

    Args:
      labels: of the training examples.
      config: the size of the study.

    Returns:
      Their numbers: set s forgets examples of class s modulo 10.
    """
    rows = []
    for seed in range(config.first_seed, config.first_seed + config.seeds):
        rng = np.random.default_rng(seed)
        own = np.flatnonzero(labels == seed % 10)
        forget = rng.permutation(own)[: config.forget]
        rest = rng.permutation(np.setdiff1d(np.arange(len(labels)), forget))
        cut = config.matched, config.matched + config.held
        rows.append((forget, rest[: cut[0]], rest[cut[0] : cut[1]]))
    return Places(*(np.stack(x) for x in zip(*rows, strict=True)))


def datamodel(subset: np.ndarray, outputs: np.ndarray, config: Config) -> Any:
    """The datamodel of the ridge that predicts the last fifth of the models best.

    Args:
      subset: ``(models, examples)``.
      outputs: ``(models, numbers)``.
      config: the size of the study.

    Returns:
      The model of all rows, the ridge, and the share that it explained.
    """
    cut = len(subset) - max(len(subset) // 5, 1)
    fit = jax.jit(
        lambda s, y, ridge: fit_datamodel({"subset": s, "outputs": y}, ridge=ridge)
    )
    shares = []
    for ridge in config.ridges:
        weights, bias = fit(subset[:cut], outputs[:cut], ridge)
        errors = outputs[cut:] - subset[cut:] @ np.asarray(weights) - np.asarray(bias)
        spread = outputs[cut:] - outputs[:cut].mean(axis=0)
        shares.append(1 - np.sum(errors**2) / np.sum(spread**2))
    best = int(np.argmax(shares))
    return fit(subset, outputs, config.ridges[best]), config.ridges[best], shares[best]


def _measured(config: Config) -> dict[str, np.ndarray]:
    train, test = digits()
    n = config.examples
    data = Labelled(train.inputs[:n], train.labels[:n])
    held = Labelled(test.inputs[: config.held], test.labels[: config.held])
    every = Labelled(*map(jnp.concatenate, zip(data, held, strict=True)))
    places = chosen(np.asarray(data.labels), config)
    sets, models = config.seeds, config.models
    without = np.ones((sets, n))
    np.put_along_axis(without, places.forget, 0, axis=1)
    rng = np.random.default_rng(0)
    subset = np.stack([rng.permutation(n) < n // 2 for _ in range(config.subsets)])
    weights = [subset, np.ones((models, n)), np.repeat(without, 2 * models, axis=0)]
    params = train_all(data, np.concatenate(weights), config)
    # The same product for all models.
    logits_of = jax.jit(lambda p, x: jax.vmap(lambda p: dense(p, x))(p))
    logits = np.asarray(logits_of(params, every.inputs))
    ends = np.cumsum([config.subsets, models])
    half, full, again = np.split(logits, ends)
    again = again.reshape(sets, 2, models, *full.shape[1:])
    starts = jax.tree.map(lambda x: x[ends[0] : ends[1]], params)

    flat = half.reshape(len(half), -1)
    fitted, ridge, fit = datamodel(subset.astype(np.float32), flat, config)
    change = datamodel_change(fitted, jnp.asarray(1 - without, jnp.float32))
    change = np.asarray(change).reshape(sets, 1, *full.shape[1:])
    direct = full[None] + change
    wanted = lambda at: (
        jnp.asarray(at),
        jnp.asarray(np.take_along_axis(direct, at[:, None, :, None], axis=2)),
    )
    targets = {"forget": wanted(places.forget), "retain": wanted(places.matched)}
    moved = {
        "fine-tuning": tune_all(data, starts, without, config),
        "oracle matching": match_all(data.inputs, starts, targets, config),
    }
    flat_of = lambda p: jax.tree.map(lambda x: x.reshape(-1, *x.shape[3:]), p)
    shape = len(config.rates), *again[:, 0].shape
    outputs = {
        name: np.asarray(logits_of(flat_of(p), every.inputs)).reshape(shape)
        for name, p in moved.items()
    }
    outputs["dm-direct"] = direct[None]
    outputs["none"] = np.broadcast_to(full, again[:, 0].shape)[None]
    outputs["retrained"] = again[:, 1][None]
    found = {"ridge": np.asarray(ridge), "fit": np.asarray(fit)}
    compared = _compared(outputs, again[:, 0], np.asarray(every.labels), places, n)
    return {**found, **compared}


def _compared(
    outputs: dict[str, np.ndarray],
    retrained: np.ndarray,
    labels: np.ndarray,
    places: Places,
    count: int,
) -> dict[str, np.ndarray]:
    """Mean divergences by place and method, ``(rates, sets)``."""
    test = np.tile(np.arange(count, len(labels)), (len(retrained), 1))
    at = dict(zip(PLACES, (places.forget, places.retain, test), strict=True))

    def one(a: jax.Array, b: jax.Array, y: jax.Array, where: jax.Array) -> jax.Array:
        given = (margins(x[:, where], y[where][None]) for x in (a, b))
        return klom(*given).mean

    over_sets = jax.vmap(one, (0, 0, None, 0))
    run = jax.jit(jax.vmap(over_sets, (0, None, None, None)))
    return {
        f"{place}: {name}": np.asarray(run(values, retrained, labels, where))
        for name, values in outputs.items()
        for place, where in at.items()
    }
