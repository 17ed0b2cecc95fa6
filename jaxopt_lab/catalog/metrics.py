"""The rows of metrics."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Metric, Neutral

_ROOM = "jaxopt_lab.metrics"
_EXAMPLE = "jaxopt_lab.catalog.examples.predictions:measured"

ROWS: tuple[Metric, ...] = (
    Metric(
        name="accuracy",
        summary="share of the examples whose label is among the largest logits",
        build=f"{_ROOM}.accuracy:accuracy",
        reduces_to=Neutral({"top": 1}, f"{_ROOM}.accuracy:top_one_accuracy"),
        options=("top",),
        example=_EXAMPLE,
        range=(0.0, 1.0),
        direction="higher",
        reference="a loop over examples",
    ),
    Metric(
        name="expected_calibration_error",
        summary="mean difference of confidence and accuracy, in bins",
        build=f"{_ROOM}.expected_calibration_error:expected_calibration_error",
        reduces_to=Neutral(
            {"bins": 1}, f"{_ROOM}.expected_calibration_error:confidence_gap"
        ),
        topic="calibration",
        options=("bins",),
        example=_EXAMPLE,
        range=(0.0, 1.0),
        direction="lower",
        reference="a loop over bins",
        paper="Guo et al. 2017",
    ),
)
