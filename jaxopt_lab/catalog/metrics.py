"""The rows of metrics."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Metric, Neutral

_ROOM = "jaxopt_lab.metrics"
_SETS = "jaxopt_lab.catalog.examples.sets:two_sets"
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
    Metric(
        name="classwise_calibration_error",
        summary="mean over classes of probability less frequency, in bins",
        build=f"{_ROOM}.classwise_calibration_error:classwise_calibration_error",
        reduces_to=Neutral(
            {"bins": 1}, f"{_ROOM}.classwise_calibration_error:frequency_gap"
        ),
        topic="calibration",
        options=("classes", "bins"),
        example="jaxopt_lab.catalog.examples.predictions:measured_in_two_classes",
        range=(0.0, 1.0),
        direction="lower",
        reference="a loop over classes and bins",
        paper="Kull et al. 2019",
    ),
    # Of two sets
    Metric(
        name="knn_coverage",
        summary="precision, recall, density and coverage of a set, by k-NN balls",
        build=f"{_ROOM}.knn_balls:knn_coverage",
        reduces_to=Neutral({"k": 1}, f"{_ROOM}.knn_balls:nearest_ball_coverage"),
        topic="generative models",
        options=("k",),
        example=_SETS,
        range=(0.0, 1.0),
        direction="higher",
        mergeable=False,
        reference="all distances",
        paper="Kynkaanniemi et al. 2019, Naeem et al. 2020",
        full="dear; recorded counts, ends and planted faults are plain",
    ),
)
