# What the room exports; __init__.py reads it and loads each name on first use.
from .accuracy import accuracy
from .average_precision import mean_average_precision
from .bootstrap import Band, bootstrap_band, wilson_band
from .classwise_calibration_error import classwise_calibration_error
from .compare import SetScore, SetTable, compare_sets
from .corruption_score import CorruptionScore, mean_corruption_score
from .discounted_gain import ndcg
from .dual_bank import (
    dual_inverted_softmax,
    hubness_skewness,
    inverted_softmax,
    recall_at,
)
from .error_uncertainty import (
    ErrorCalibration,
    Sparsification,
    error_calibration,
    sparsification,
)
from .expected_calibration_error import expected_calibration_error
from .fuzzy_topology import FuzzyTopologyImpact, fuzzy_topology_impact
from .h_calibration import (
    HCalibrator,
    apply_h_calibration,
    fit_h_calibration,
)
from .h_calibration_loss import h_calibration_loss
from .h_score import h_score, leave_one_out_accuracy
from .hash_tables import HashTables
from .kernel_calibration_error import (
    KernelCalibrationError,
    kernel_calibration_error,
)
from .knn_balls import KnnCoverage, knn_coverage
from .label_transfer import leep, negative_conditional_entropy
from .lsh_coverage import LshPrecisionRecall, lsh_precision_recall
from .mark_recapture import MarkEvaluate, mark_evaluate
from .mergeable import MergeableMetric, together
from .naive_bayes import (
    LinearProbe,
    NaiveBayesSums,
    apply_naive_bayes,
    fit_naive_bayes,
    merge_naive_bayes,
    naive_bayes_probe,
    naive_bayes_sums,
)
from .operating_points import (
    OperatingPoints,
    operating_point_inconsistency,
)
from .parc import parc, representation_similarity
from .predictive_moments import (
    PredictiveMoments,
    input_sensitivity,
    predictive_moments,
)
from .reciprocal_rank import mean_reciprocal_rank
from .sets import Estimate
from .temperature_scaling import (
    FittedTemperature,
    apply_temperature,
    fit_temperature,
)
from .vector_scaling import (
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
