"""Curvature: operators, spectra, measures, stability, landscapes, probe."""

from jaxopt_lab.curvature.landscape.directions import (
    cosine,
    hessian_directions,
    normalize_direction,
    random_direction,
)
from jaxopt_lab.curvature.landscape.planes import (
    Line,
    Surface,
    grid,
    interpolation,
    line,
    plane,
)
from jaxopt_lab.curvature.landscape.trajectory import (
    TrajectoryDirections,
    trajectory_directions,
)
from jaxopt_lab.curvature.measures.average_sharpness import average_direction_sharpness
from jaxopt_lab.curvature.measures.batch_means import Estimate
from jaxopt_lab.curvature.measures.batch_sharpness import (
    batch_sharpness,
    log_stability_ratio,
    stability_ratio,
)
from jaxopt_lab.curvature.measures.epsilon_sharpness import (
    EpsilonSharpness,
    epsilon_sharpness,
)
from jaxopt_lab.curvature.measures.gradient_noise import (
    example_noise_scale,
    noise_scale,
)
from jaxopt_lab.curvature.measures.noise_scale import NoiseScale, two_batch_noise_scale
from jaxopt_lab.curvature.measures.sharpness import (
    asam_sharpness,
    ascent_sharpness,
    sam_sharpness,
)
from jaxopt_lab.curvature.operators.fishers import empirical_fisher, fisher
from jaxopt_lab.curvature.operators.gauss_newton import ggn
from jaxopt_lab.curvature.operators.hessian import hessian
from jaxopt_lab.curvature.operators.operator import Operator, linear_operator
from jaxopt_lab.curvature.operators.preconditioning import adam_diagonal, preconditioned
from jaxopt_lab.curvature.probe import ProbeResult, probe
from jaxopt_lab.curvature.probe_hook import ProbeHook
from jaxopt_lab.curvature.spectrum.criteria import (
    LlaCriteria,
    effective_rank,
    lla_criteria,
)
from jaxopt_lab.curvature.spectrum.density import SpectralDensity, spectral_density
from jaxopt_lab.curvature.spectrum.diagonal import DiagonalEstimate, hutchinson_diagonal
from jaxopt_lab.curvature.spectrum.hutchpp import hutchpp_trace
from jaxopt_lab.curvature.spectrum.lanczos import LanczosResult, lanczos
from jaxopt_lab.curvature.spectrum.power import PowerResult, power_iteration
from jaxopt_lab.curvature.spectrum.quadrature import broadened
from jaxopt_lab.curvature.spectrum.top import TopEigenvalues, top_eigenvalues
from jaxopt_lab.curvature.spectrum.trace import TraceEstimate, hutchinson_trace
from jaxopt_lab.curvature.stability.batch_hessian import (
    adam_max_learning_rate,
    batch_eigenvalue,
    critical_batch_size,
    sgd_max_learning_rate,
)
from jaxopt_lab.curvature.stability.element_variance import element_variance
from jaxopt_lab.curvature.stability.gram import ggn_factors, ggn_hessians, gram_matrix
from jaxopt_lab.curvature.stability.polyak import polyak
from jaxopt_lab.curvature.stability.sample_hessians import (
    SampleHessians,
    compress,
    from_factors,
    from_gram,
    from_hessians,
)
from jaxopt_lab.curvature.stability.second_moment import (
    Sampling,
    exact_threshold,
    second_moment_map,
    spectral_radius,
)
from jaxopt_lab.curvature.stability.simulator import (
    PlainRuns,
    batch_weights,
    growth_rate,
    linear_step,
    plain_runs,
)
from jaxopt_lab.curvature.stability.thresholds import (
    coherence,
    simple_thresholds,
    stable_lr,
)

__all__ = [
    "DiagonalEstimate",
    "EpsilonSharpness",
    "Estimate",
    "LanczosResult",
    "Line",
    "LlaCriteria",
    "NoiseScale",
    "Operator",
    "PlainRuns",
    "PowerResult",
    "ProbeHook",
    "ProbeResult",
    "SampleHessians",
    "Sampling",
    "SpectralDensity",
    "Surface",
    "TopEigenvalues",
    "TraceEstimate",
    "TrajectoryDirections",
    "adam_diagonal",
    "adam_max_learning_rate",
    "asam_sharpness",
    "ascent_sharpness",
    "average_direction_sharpness",
    "batch_eigenvalue",
    "batch_sharpness",
    "batch_weights",
    "broadened",
    "coherence",
    "compress",
    "cosine",
    "critical_batch_size",
    "effective_rank",
    "element_variance",
    "empirical_fisher",
    "epsilon_sharpness",
    "exact_threshold",
    "example_noise_scale",
    "fisher",
    "from_factors",
    "from_gram",
    "from_hessians",
    "ggn",
    "ggn_factors",
    "ggn_hessians",
    "gram_matrix",
    "grid",
    "growth_rate",
    "hessian",
    "hessian_directions",
    "hutchinson_diagonal",
    "hutchinson_trace",
    "hutchpp_trace",
    "interpolation",
    "lanczos",
    "line",
    "linear_operator",
    "linear_step",
    "lla_criteria",
    "log_stability_ratio",
    "noise_scale",
    "normalize_direction",
    "plain_runs",
    "plane",
    "polyak",
    "power_iteration",
    "preconditioned",
    "probe",
    "random_direction",
    "sam_sharpness",
    "second_moment_map",
    "sgd_max_learning_rate",
    "simple_thresholds",
    "spectral_density",
    "spectral_radius",
    "stability_ratio",
    "stable_lr",
    "top_eigenvalues",
    "trajectory_directions",
    "two_batch_noise_scale",
]
