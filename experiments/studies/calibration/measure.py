"""Calibration errors of networks, before and after calibrators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies import dense_nets, programs, small_data
from experiments.studies.calibration.config import Config
from experiments.studies.programs import Labelled
from jaxopt_lab.catalog.part import loaded
from jaxopt_lab.data import mixup
from jaxopt_lab.lab.calibrated_run import NONE, calibrators
from jaxopt_lab.losses import mixup_ndcg, mixup_ranking
from jaxopt_lab.metrics import (
    accuracy,
    classwise_calibration_error,
    expected_calibration_error,
    kernel_calibration_error,
    together,
)

PLAIN = "cross-entropy"
TEMPERATURE = "temperature_scaling"
KERNEL = "kernel_calibration_error"
CROSS_ENTROPY = "test_cross_entropy"


class Measured(NamedTuple):
    """Everything that is measured.

    Attributes:
      values: ``(seeds,)`` by measure, by calibrator, by loss.
    """

    values: dict[str, dict[str, dict[str, np.ndarray]]]


def losses(config: Config) -> dict[str, Callable[..., jax.Array]]:
    """The losses, ``loss(logits, labels, mixed, mixed_labels)``, one for each example.

    Args:
      config: the size of the study.

    Returns:
      They, by name.
    """
    integer = optax.softmax_cross_entropy_with_integer_labels
    return {
        PLAIN: lambda z, y, m, s: integer(z, y),
        "mixup": lambda z, y, m, s: optax.softmax_cross_entropy(m[:, 0], s[:, 0]),
        "RankMixup, margin": lambda z, y, m, s: mixup_ranking(
            z, y, mixed=m, mixed_labels=s, weight=config.weight
        ),
        "RankMixup, gain": lambda z, y, m, s: mixup_ndcg(
            z, y, mixed=m, mixed_labels=s, weight=config.weight
        ),
    }


def measure(config: Config, store: Store) -> Measured:
    """Train with every loss, fit every calibrator; see ``Experiment.measure``."""
    data = small_data.all_digits()
    rows, found = store.group("losses"), {}
    for name, loss in losses(config).items():
        names = [NONE, *(calibrators() if name == PLAIN else (TEMPERATURE,))]
        run = lambda key, x, y, loss=loss, names=names: _run(
            key, Labelled(x, y), loss, names, config
        )
        take = lambda run=run: programs.over_seeds(run, config, *data, loop=True)
        row = rows.measured(name, take)
        by: dict[str, dict[str, np.ndarray]] = {n: {} for n in names}
        for label, values in row.items():
            calibrator, measure = label.split(": ")
            by[calibrator][measure] = values
        found[name] = by
    return Measured(found)


def _run(
    key: jax.Array,
    data: Labelled,
    loss: Callable[..., jax.Array],
    names: list[str],
    config: Config,
) -> dict[str, jax.Array]:
    """The measures of one seed, by ``"calibrator: measure"``."""
    keys = jax.random.split(key, 5)
    data = small_data.noisy(keys[0], data, config.noise)
    train, val, test = small_data.parts(keys[1], data, config.train, config.validation)
    width = config.width
    start = dense_nets.dense_params(keys[2], 64, width, width, 10)
    mix = mixup(config.alpha, num_classes=10, inputs=("inputs",), label="labels")

    def of_batch(params: Any, given: tuple[Labelled, jax.Array]) -> jax.Array:
        batch, own = given
        each = jax.vmap(lambda k: mix(k, batch._asdict()), out_axes=1)(own)
        every = jnp.concatenate([batch.inputs[:, None], each["inputs"]], axis=1)
        logits = dense_nets.dense(params, every)
        return jnp.mean(loss(logits[:, 0], batch.labels, logits[:, 1:], each["labels"]))

    places = programs.picks(keys[3], config.steps, config.batch, config.train)
    mixing = jax.random.split(keys[4], (config.steps, config.mixtures))
    batches = small_data.picked(train, places), mixing
    params, _ = programs.trained(of_batch, optax.adam(config.rate), start, batches)
    fit_on = {"outputs": dense_nets.dense(params, val.inputs), "targets": val.labels}
    logits = dense_nets.dense(params, test.inputs)
    found = {}
    for name in names:
        own = logits
        if name != NONE:
            row = calibrators()[name]
            own = loaded(row.apply)(row.load()(fit_on), logits)
        values = measures(own, test.labels, config.bins)
        found |= {f"{name}: {label}": value for label, value in values.items()}
    return found


def measures(logits: jax.Array, labels: jax.Array, bins: int) -> dict[str, jax.Array]:
    """Accuracy, cross-entropy and three calibration errors.

    Args:
      logits: ``(B, C)``.
      labels: ``(B,)``.
      bins: of the two errors with bins.

    Returns:
      Numbers by name.
    """
    classes = logits.shape[1]
    metric = together(
        accuracy(),
        expected_calibration_error(bins=bins),
        classwise_calibration_error(classes=classes, bins=bins),
    )
    batch = {"outputs": logits, "targets": labels}
    entropy = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return {
        **metric.compute(metric.update(metric.init(), batch)),
        CROSS_ENTROPY: jnp.mean(entropy),
        KERNEL: kernel_calibration_error(logits, labels).value,
    }
