"""The calibrators of the catalog, fitted on the validation split of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.catalog import of_kind
from jaxopt_lab.catalog.part import loaded
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.metrics import (
    Band,
    MergeableMetric,
    accuracy,
    bootstrap_band,
    classwise_calibration_error,
    expected_calibration_error,
    kernel_calibration_error,
    wilson_band,
)
from jaxopt_lab.metrics.bootstrap import LEAST
from jaxopt_lab.metrics.mergeable import labelled, merge, together
from jaxopt_lab.plotting.reliability import ReliabilityBins

NONE = "none"
_SQUARES = "kernel_calibration_error"


class Calibrated(NamedTuple):
    """A run's calibrations, by name; the first one, ``"none"``, is the run as it is.

    Attributes:
      bands: values on the test and their 95 % intervals, by metric; the ends are NaN
        below 100 test examples.
      bins: of the reliability diagram.
      fitted: what each calibrator has fitted.
      validated: number of validation examples.
      tested: number of test examples.
    """

    bands: dict[str, dict[str, Band]]
    bins: dict[str, ReliabilityBins]
    fitted: dict[str, Any]
    validated: int
    tested: int


def calibrators() -> dict[str, Any]:
    """The estimators of the catalog that map logits to calibrated ones.

    Returns:
      Their rows by name.

    >>> "temperature_scaling" in calibrators()
    True
    """
    rows = of_kind("estimator").items()
    return {n: row for n, row in rows if row.topic == "calibration"}


def calibrate_run(
    run: Any, *, bins: int = 15, draws: int = 1000, seed: int = 0
) -> Calibrated:
    """Fit every calibrator on the validation split of a run; measure all on its test.

    Args:
      run: of ``lab.load``, one seed.
      bins: of the calibration errors and the diagram.
      draws: of the bootstrap over test examples, the same ones for every calibrator.
      seed: of the draws.

    Returns:
      Values with intervals, bins and fits.

    Raises:
      InputError: the run is of several seeds or no images, it has no validation split,
        or the split has examples of one class only.
    """
    if run.seeds > 1:
        raise InputError(f"a run of {run.seeds} seeds; calibrate run.seed(i)")
    if run.kind != "image":
        raise InputError(
            f"a run on {run.kind}; calibration takes a run that classifies images"
        )
    if run.program.val is None:
        raise InputError(
            "the run has no validation split to fit on; train it with val=0.1"
        )
    fit_on, test_on = (
        _outputs(run, batches) for batches in (run.program.val, run.test_batches)
    )
    seen = np.unique(fit_on["targets"])
    if len(seen) < 2:
        raise InputError(
            f"the validation split has {len(fit_on['targets'])} examples of one class, "
            f"{seen[0]}; accepted: at least two classes"
        )
    fitted = {n: row.load()(fit_on) for n, row in calibrators().items()}
    outputs = {NONE: test_on["outputs"]}
    for name, row in calibrators().items():
        outputs[name] = loaded(row.apply)(fitted[name], test_on["outputs"])
    bands, places = _measured(outputs, test_on["targets"], bins, draws, seed)
    counts = len(fit_on["targets"]), len(test_on["targets"])
    return Calibrated(bands, places, fitted, *counts)


def _outputs(run: Any, batches: Any) -> dict[str, Any]:
    """Logits and labels of all examples that are no padding."""
    logits, labels = [], []
    source: Any = batches() if callable(batches) else batches
    for batch in source:
        real = np.asarray(batch.get("weight", np.ones(len(batch["label"])))) != 0
        logits.append(np.asarray(run.apply(batch["image"]), np.float32)[real])
        labels.append(np.asarray(batch["label"])[real])
    return {
        "outputs": jnp.asarray(np.concatenate(logits)),
        "targets": jnp.asarray(np.concatenate(labels)),
    }


def _measured(
    outputs: Mapping[str, Any], labels: Any, bins: int, draws: int, seed: int
) -> tuple[dict[str, dict[str, Band]], dict[str, ReliabilityBins]]:
    """Bands and bins of every calibration, in one program."""
    classes = outputs[NONE].shape[1]
    calibration = expected_calibration_error(bins=bins)
    metric = together(
        accuracy(),
        _cross_entropy(),
        calibration,
        classwise_calibration_error(classes=classes, bins=bins),
    )
    several = len(labels) >= LEAST

    def of(logits: jax.Array) -> Any:
        batch = {"outputs": logits, "targets": labels}
        key = jax.random.key(seed)
        if several:
            bands = bootstrap_band(metric, batch, key=key, draws=draws)
        else:
            found = metric.compute(metric.update(metric.init(), batch))
            unknown = jnp.full((), jnp.nan)
            bands = {n: Band(v, unknown, unknown) for n, v in found.items()}
        squared = kernel_calibration_error(logits, labels)
        half = 1.959964 * squared.error
        low, high = squared.value - half, squared.value + half
        bands[_SQUARES] = Band(squared.value, low, high)
        sums = calibration.update(calibration.init(), batch)
        wilson = wilson_band(sums.correct, sums.weight)
        some = jnp.where(sums.weight > 0, sums.weight, 1)
        return bands, ReliabilityBins(sums.confidence / some, *wilson, sums.weight)

    run = jax.jit(lambda z: jax.lax.map(of, z))
    bands, places = jax.device_get(run(jnp.stack(list(outputs.values()))))
    pick = lambda tree, i: jax.tree.map(lambda x: x[i], tree)
    names = list(enumerate(outputs))
    return (
        {n: pick(bands, i) for i, n in names},
        {n: pick(places, i) for i, n in names},
    )


def _cross_entropy() -> MergeableMetric:
    """Mean cross-entropy in nats."""

    def update(sums: Any, batch: Mapping[str, jax.Array]) -> Any:
        logits, labels, weight = labelled(batch)
        own = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)
        return sums - jnp.stack([jnp.sum(weight * own[:, 0]), -jnp.sum(weight)])

    def compute(sums: jax.Array) -> dict[str, jax.Array]:
        return {"loss": sums[0] / sums[1]}

    init = lambda dtype=jnp.float32: jnp.zeros(2, dtype)
    return MergeableMetric(init, update, merge, compute)
