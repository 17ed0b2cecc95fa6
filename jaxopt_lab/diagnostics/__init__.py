"""Diagnostics without a Hessian: weight matrices, theory of wide networks."""

from jaxopt_lab.diagnostics.activations.degeneracy import (
    Degeneracy,
    Synchronized,
    degeneracy_report,
    synchronized_units,
)
from jaxopt_lab.diagnostics.activations.interaction_basis import (
    Basis,
    InteractionBases,
    folded_layer,
    interaction_basis,
)
from jaxopt_lab.diagnostics.activations.interaction_edges import (
    edge_share,
    interaction_edges,
)
from jaxopt_lab.diagnostics.attribution.datamodel import (
    Datamodel,
    datamodel_change,
    fit_datamodel,
)
from jaxopt_lab.diagnostics.attribution.klom import KLoM, klom, margins
from jaxopt_lab.diagnostics.theory.activations import (
    critical_init,
    critical_weight_variance,
)
from jaxopt_lab.diagnostics.theory.deep_kernels import (
    DeepKernel,
    DepthLimit,
    deep_ntk,
    depth_limit,
    koenigs_function,
)
from jaxopt_lab.diagnostics.theory.depth_recursion import (
    FiniteWidth,
    Susceptibilities,
    correlations,
    finite_width,
    input_kernel,
    kernels_through_depth,
    susceptibilities,
    variances_through_depth,
)
from jaxopt_lab.diagnostics.theory.duals import (
    Dual,
    classify_kernel,
    dual_activation,
    hermite_coefficients,
    hilbert_dual,
    relu_dual,
    singular_exponent,
    solve_activation,
)
from jaxopt_lab.diagnostics.theory.gaussian_expectations import (
    gaussian_mean,
    gaussian_pair_mean,
)
from jaxopt_lab.diagnostics.theory.kernel_classifiers import (
    kernel_classifier,
    lift_to_sphere,
    nadaraya_watson,
)
from jaxopt_lab.diagnostics.theory.linear_student import (
    Errors,
    LinearTask,
    linear_student_errors,
    optimal_stopping_time,
    simulate_linear_student,
)
from jaxopt_lab.diagnostics.theory.marchenko_pastur import (
    Spectrum,
    marchenko_pastur,
    marchenko_pastur_density,
    marchenko_pastur_edges,
)
from jaxopt_lab.diagnostics.theory.residual_expansion import (
    Expansion,
    expansion_sum,
    path_count,
    residual_expansion,
)
from jaxopt_lab.diagnostics.theory.wide_networks import simulate_kernels
from jaxopt_lab.diagnostics.weights.filter_quality import (
    FilterQuality,
    filter_quality,
    random_entropy,
)
from jaxopt_lab.diagnostics.weights.filters import (
    FilterBasis,
    collect_filters,
    filter_basis,
    filter_shift,
    filters_of,
)
from jaxopt_lab.diagnostics.weights.heavy_tails import (
    farms_blocks,
    farms_eigenvalues,
    layer_spectra,
    layer_spectrum,
)
from jaxopt_lab.diagnostics.weights.matrix_norms import (
    TokenMatrixMetrics,
    column_norm_sum,
    matrix_entropy,
    normalise_tokens,
    nuclear_norm,
    token_matrix_metrics,
)
from jaxopt_lab.diagnostics.weights.power_law import (
    SpectrumMetrics,
    spectrum_metrics,
    squared_singular_values,
)
from jaxopt_lab.diagnostics.weights.temp_balance_refresh import refresh_temp_balance
from jaxopt_lab.diagnostics.weights.weight_noise import with_weight_noise

__all__ = [
    "Basis",
    "Datamodel",
    "DeepKernel",
    "Degeneracy",
    "DepthLimit",
    "Dual",
    "Errors",
    "Expansion",
    "FilterBasis",
    "FilterQuality",
    "FiniteWidth",
    "InteractionBases",
    "KLoM",
    "LinearTask",
    "Spectrum",
    "SpectrumMetrics",
    "Susceptibilities",
    "Synchronized",
    "TokenMatrixMetrics",
    "classify_kernel",
    "collect_filters",
    "column_norm_sum",
    "correlations",
    "critical_init",
    "critical_weight_variance",
    "datamodel_change",
    "deep_ntk",
    "degeneracy_report",
    "depth_limit",
    "dual_activation",
    "edge_share",
    "expansion_sum",
    "farms_blocks",
    "farms_eigenvalues",
    "filter_basis",
    "filter_quality",
    "filter_shift",
    "filters_of",
    "finite_width",
    "fit_datamodel",
    "folded_layer",
    "gaussian_mean",
    "gaussian_pair_mean",
    "hermite_coefficients",
    "hilbert_dual",
    "input_kernel",
    "interaction_basis",
    "interaction_edges",
    "kernel_classifier",
    "kernels_through_depth",
    "klom",
    "koenigs_function",
    "layer_spectra",
    "layer_spectrum",
    "lift_to_sphere",
    "linear_student_errors",
    "marchenko_pastur",
    "marchenko_pastur_density",
    "marchenko_pastur_edges",
    "margins",
    "matrix_entropy",
    "nadaraya_watson",
    "normalise_tokens",
    "nuclear_norm",
    "optimal_stopping_time",
    "path_count",
    "random_entropy",
    "refresh_temp_balance",
    "relu_dual",
    "residual_expansion",
    "simulate_kernels",
    "simulate_linear_student",
    "singular_exponent",
    "solve_activation",
    "spectrum_metrics",
    "squared_singular_values",
    "susceptibilities",
    "synchronized_units",
    "token_matrix_metrics",
    "variances_through_depth",
    "with_weight_noise",
]
