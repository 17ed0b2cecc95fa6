"""Denoisers in closed form, against which a network's locality is measured."""

from jaxopt_lab.diagnostics.denoising.agreement import denoising_agreement
from jaxopt_lab.diagnostics.denoising.local import local_denoise, local_masks
from jaxopt_lab.diagnostics.denoising.optimal import optimal_denoise
from jaxopt_lab.diagnostics.denoising.sampler import ddim_sample
from jaxopt_lab.diagnostics.denoising.wiener import (
    WienerDenoiser,
    fit_wiener,
    wiener_denoise,
    wiener_filter,
)

__all__ = [
    "WienerDenoiser",
    "ddim_sample",
    "denoising_agreement",
    "fit_wiener",
    "local_denoise",
    "local_masks",
    "optimal_denoise",
    "wiener_denoise",
    "wiener_filter",
]
