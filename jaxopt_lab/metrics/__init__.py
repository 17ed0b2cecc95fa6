"""Metrics of predictions: mergeable sums, measures of sets, calibration."""

from jaxopt_lab.metrics.accuracy import accuracy
from jaxopt_lab.metrics.average_precision import mean_average_precision
from jaxopt_lab.metrics.bootstrap import Band, bootstrap_band, wilson_band
from jaxopt_lab.metrics.classwise_calibration_error import classwise_calibration_error
from jaxopt_lab.metrics.compare import SetScore, SetTable, compare_sets
from jaxopt_lab.metrics.corruption_score import CorruptionScore, mean_corruption_score
from jaxopt_lab.metrics.discounted_gain import ndcg
from jaxopt_lab.metrics.dual_bank import (
    dual_inverted_softmax,
    hubness_skewness,
    inverted_softmax,
    recall_at,
)
from jaxopt_lab.metrics.error_uncertainty import (
    ErrorCalibration,
    Sparsification,
    error_calibration,
    sparsification,
)
from jaxopt_lab.metrics.expected_calibration_error import expected_calibration_error
from jaxopt_lab.metrics.fuzzy_topology import FuzzyTopologyImpact, fuzzy_topology_impact
from jaxopt_lab.metrics.h_calibration import (
    HCalibrator,
    apply_h_calibration,
    fit_h_calibration,
)
from jaxopt_lab.metrics.h_calibration_loss import h_calibration_loss
from jaxopt_lab.metrics.h_score import h_score, leave_one_out_accuracy
from jaxopt_lab.metrics.hash_tables import HashTables
from jaxopt_lab.metrics.kernel_calibration_error import (
    KernelCalibrationError,
    kernel_calibration_error,
)
from jaxopt_lab.metrics.knn_balls import KnnCoverage, knn_coverage
from jaxopt_lab.metrics.label_transfer import leep, negative_conditional_entropy
from jaxopt_lab.metrics.lsh_coverage import LshPrecisionRecall, lsh_precision_recall
from jaxopt_lab.metrics.mark_recapture import MarkEvaluate, mark_evaluate
from jaxopt_lab.metrics.mergeable import MergeableMetric, together
from jaxopt_lab.metrics.naive_bayes import (
    LinearProbe,
    NaiveBayesSums,
    apply_naive_bayes,
    fit_naive_bayes,
    merge_naive_bayes,
    naive_bayes_probe,
    naive_bayes_sums,
)
from jaxopt_lab.metrics.operating_points import (
    OperatingPoints,
    operating_point_inconsistency,
)
from jaxopt_lab.metrics.parc import parc, representation_similarity
from jaxopt_lab.metrics.predictive_moments import (
    PredictiveMoments,
    input_sensitivity,
    predictive_moments,
)
from jaxopt_lab.metrics.reciprocal_rank import mean_reciprocal_rank
from jaxopt_lab.metrics.sets import Estimate
from jaxopt_lab.metrics.temperature_scaling import (
    FittedTemperature,
    apply_temperature,
    fit_temperature,
)
from jaxopt_lab.metrics.vector_scaling import (
    FittedVectorScaling,
    apply_vector_scaling,
    fit_vector_scaling,
)

__all__ = [
    "Band",
    "CorruptionScore",
    "ErrorCalibration",
    "Estimate",
    "FittedTemperature",
    "FittedVectorScaling",
    "FuzzyTopologyImpact",
    "HCalibrator",
    "HashTables",
    "KernelCalibrationError",
    "KnnCoverage",
    "LinearProbe",
    "LshPrecisionRecall",
    "MarkEvaluate",
    "MergeableMetric",
    "NaiveBayesSums",
    "OperatingPoints",
    "PredictiveMoments",
    "SetScore",
    "SetTable",
    "Sparsification",
    "accuracy",
    "apply_h_calibration",
    "apply_naive_bayes",
    "apply_temperature",
    "apply_vector_scaling",
    "bootstrap_band",
    "classwise_calibration_error",
    "compare_sets",
    "dual_inverted_softmax",
    "error_calibration",
    "expected_calibration_error",
    "fit_h_calibration",
    "fit_naive_bayes",
    "fit_temperature",
    "fit_vector_scaling",
    "fuzzy_topology_impact",
    "h_calibration_loss",
    "h_score",
    "hubness_skewness",
    "input_sensitivity",
    "inverted_softmax",
    "kernel_calibration_error",
    "knn_coverage",
    "leave_one_out_accuracy",
    "leep",
    "lsh_precision_recall",
    "mark_evaluate",
    "mean_average_precision",
    "mean_corruption_score",
    "mean_reciprocal_rank",
    "merge_naive_bayes",
    "naive_bayes_probe",
    "naive_bayes_sums",
    "ndcg",
    "negative_conditional_entropy",
    "operating_point_inconsistency",
    "parc",
    "predictive_moments",
    "recall_at",
    "representation_similarity",
    "sparsification",
    "together",
    "wilson_band",
]
