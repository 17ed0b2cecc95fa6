"""The rows of estimators."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Estimator, Neutral

_ROOM = "jaxopt_lab.metrics.temperature_scaling"

ROWS: tuple[Estimator, ...] = (
    Estimator(
        name="temperature_scaling",
        summary="one temperature that calibrates the probabilities of a classifier",
        build=f"{_ROOM}:fit_temperature",
        apply=f"{_ROOM}:apply_temperature",
        reduces_to=Neutral({"lowest": 1.0, "highest": 1.0}, "jax.numpy:asarray"),
        topic="calibration",
        options=("lowest", "highest"),
        example="jaxopt_lab.catalog.examples.predictions:fitted",
        form="oracle",
        monotone="the cross-entropy",
        paper="Guo et al. 2017",
    ),
)
