"""Metrics of predictions: mergeable sums, measures of sets, calibration."""

from jaxopt_lab.metrics.accuracy import accuracy
from jaxopt_lab.metrics.dual_bank import (
    dual_inverted_softmax,
    hubness_skewness,
    inverted_softmax,
    recall_at,
)
from jaxopt_lab.metrics.expected_calibration_error import expected_calibration_error
from jaxopt_lab.metrics.knn_balls import KnnCoverage, knn_coverage
from jaxopt_lab.metrics.mark_recapture import MarkEvaluate, mark_evaluate
from jaxopt_lab.metrics.mergeable import MergeableMetric
from jaxopt_lab.metrics.sets import Estimate
from jaxopt_lab.metrics.temperature_scaling import (
    FittedTemperature,
    apply_temperature,
    fit_temperature,
)

__all__ = [
    "Estimate",
    "FittedTemperature",
    "KnnCoverage",
    "MarkEvaluate",
    "MergeableMetric",
    "accuracy",
    "apply_temperature",
    "dual_inverted_softmax",
    "expected_calibration_error",
    "fit_temperature",
    "hubness_skewness",
    "inverted_softmax",
    "knn_coverage",
    "mark_evaluate",
    "recall_at",
]
