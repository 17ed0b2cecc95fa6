"""The rows of metrics."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Metric, Neutral

_ROOM = "jaxopt_lab.metrics"
_EXAMPLES = "jaxopt_lab.catalog.examples.sets"
_SETS = f"{_EXAMPLES}:two_sets"
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
        full="the sums of expected_calibration_error, class by class",
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
    Metric(
        name="mark_evaluate",
        summary="quality and diversity of a set by mark and recapture",
        build=f"{_ROOM}.mark_recapture:mark_evaluate",
        reduces_to=Neutral({"k": 1}, f"{_ROOM}.nearest_recapture:nearest_recapture"),
        topic="generative models",
        options=("k",),
        example=_SETS,
        range=(0.0, 1.0),
        direction="higher",
        mergeable=False,
        reference="loops over points",
        vectors="mark_evaluate",
        paper="Mordido and Meinel 2020, arXiv:2010.04606",
        known_failures={
            "ends": "CAPTURE of equal sets and Schnabel of disjoint ones lie inside",
        },
        full="dear; its vectors, order and planted sets are plain",
    ),
    Metric(
        name="fuzzy_topology_impact",
        summary="quality and diversity of a set by fuzzy neighbourhoods",
        build=f"{_ROOM}.fuzzy_topology:fuzzy_topology_impact",
        reduces_to=Neutral({"k": 1}, f"{_ROOM}.fuzzy_topology:nearest_ball_impact"),
        topic="generative models",
        options=("k", "combine"),
        example=f"{_EXAMPLES}:fuzzy_sets",
        range=(0.0, 1.0),
        direction="higher",
        mergeable=False,
        reference="loops over points",
        vectors="fti",
        paper="Mordido, Niedermeier and Meinel 2021",
        full="dear; its vectors, ends and planted sets are plain",
    ),
    Metric(
        name="lsh_precision_recall",
        summary="precision and recall of a set by locality-sensitive hashing",
        build=f"{_ROOM}.lsh_coverage:lsh_precision_recall",
        reduces_to=Neutral(
            {"family": "pstable", "width": 1e30, "k": 1, "members": 1},
            f"{_ROOM}.lsh_coverage:nearest_precision_recall",
        ),
        topic="generative models",
        options=("family", "k", "members", "tables", "bits", "width"),
        example=f"{_EXAMPLES}:hashed_sets",
        range=(0.0, 1.0),
        direction="higher",
        mergeable=False,
        reference="dicts of buckets",
        vectors="lsh_precision_recall",
        paper="precision and recall by LSH, from a description",
        full="dear; its vectors, buckets and planted sets are plain",
    ),
)
