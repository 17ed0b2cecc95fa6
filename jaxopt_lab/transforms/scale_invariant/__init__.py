"""Optimizers for weights whose scale does not change the loss."""

from jaxopt_lab.transforms.scale_invariant.adamp import (
    ScaleByAdamPState,
    adamp,
    scale_by_adamp,
)
from jaxopt_lab.transforms.scale_invariant.invariance import scale_invariant_mask
from jaxopt_lab.transforms.scale_invariant.norms import (
    NormalizeAndProjectState,
    normalize_and_project,
)
from jaxopt_lab.transforms.scale_invariant.project_radial import project_radial
from jaxopt_lab.transforms.scale_invariant.sgdp import (
    ScaleBySGDPState,
    scale_by_sgdp,
    sgdp,
)

__all__ = [
    "NormalizeAndProjectState",
    "ScaleByAdamPState",
    "ScaleBySGDPState",
    "adamp",
    "normalize_and_project",
    "project_radial",
    "scale_by_adamp",
    "scale_by_sgdp",
    "scale_invariant_mask",
    "sgdp",
]
