"""Curvature: Hessian products, Lanczos, densities, traces and what they measure."""

from jaxopt_lab.curvature.criteria import LlaCriteria, effective_rank, lla_criteria
from jaxopt_lab.curvature.density import SpectralDensity, spectral_density
from jaxopt_lab.curvature.diagonal import DiagonalEstimate, hutchinson_diagonal
from jaxopt_lab.curvature.fishers import empirical_fisher, fisher
from jaxopt_lab.curvature.gauss_newton import ggn
from jaxopt_lab.curvature.hessian import hessian
from jaxopt_lab.curvature.hutchpp import hutchpp_trace
from jaxopt_lab.curvature.lanczos import LanczosResult, lanczos
from jaxopt_lab.curvature.operators import Operator, linear_operator
from jaxopt_lab.curvature.power import PowerResult, power_iteration
from jaxopt_lab.curvature.preconditioning import adam_diagonal, preconditioned
from jaxopt_lab.curvature.quadrature import broadened
from jaxopt_lab.curvature.top import TopEigenvalues, top_eigenvalues
from jaxopt_lab.curvature.trace import TraceEstimate, hutchinson_trace

__all__ = [
    "DiagonalEstimate",
    "LanczosResult",
    "LlaCriteria",
    "Operator",
    "PowerResult",
    "SpectralDensity",
    "TopEigenvalues",
    "TraceEstimate",
    "adam_diagonal",
    "broadened",
    "effective_rank",
    "empirical_fisher",
    "fisher",
    "ggn",
    "hessian",
    "hutchinson_diagonal",
    "hutchinson_trace",
    "hutchpp_trace",
    "lanczos",
    "linear_operator",
    "lla_criteria",
    "power_iteration",
    "preconditioned",
    "spectral_density",
    "top_eigenvalues",
]
