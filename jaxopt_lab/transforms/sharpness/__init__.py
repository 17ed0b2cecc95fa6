"""Sharpness-aware methods: links ``g(w) -> g'(w)``, and wrappers of an optimizer."""

from jaxopt_lab.transforms.sharpness.asam import asam
from jaxopt_lab.transforms.sharpness.bsam import BsamState, bsam
from jaxopt_lab.transforms.sharpness.esam import EsamState, esam
from jaxopt_lab.transforms.sharpness.evaluation import eval_params
from jaxopt_lab.transforms.sharpness.friendly_sam import friendly_sam
from jaxopt_lab.transforms.sharpness.gsam import gsam, rho_following
from jaxopt_lab.transforms.sharpness.link import AverageState, SamState
from jaxopt_lab.transforms.sharpness.lookahead import LookaheadState, lookahead
from jaxopt_lab.transforms.sharpness.lookbehind import LookbehindState, lookbehind
from jaxopt_lab.transforms.sharpness.looksam import LookSamState, looksam
from jaxopt_lab.transforms.sharpness.masks import fisher_mask, norm_only
from jaxopt_lab.transforms.sharpness.momentum_sam import MomentumSamState, momentum_sam
from jaxopt_lab.transforms.sharpness.msam import msam
from jaxopt_lab.transforms.sharpness.multistep_sam import multistep_sam
from jaxopt_lab.transforms.sharpness.sam import sam
from jaxopt_lab.transforms.sharpness.samson import samson
from jaxopt_lab.transforms.sharpness.stale_sam import StaleSamState, stale_sam
from jaxopt_lab.transforms.sharpness.vasso import vasso
from jaxopt_lab.transforms.sharpness.wsam import WsamState, wsam

__all__ = [
    "AverageState",
    "BsamState",
    "EsamState",
    "LookSamState",
    "LookaheadState",
    "LookbehindState",
    "MomentumSamState",
    "SamState",
    "StaleSamState",
    "WsamState",
    "asam",
    "bsam",
    "esam",
    "eval_params",
    "fisher_mask",
    "friendly_sam",
    "gsam",
    "lookahead",
    "lookbehind",
    "looksam",
    "momentum_sam",
    "msam",
    "multistep_sam",
    "norm_only",
    "rho_following",
    "sam",
    "samson",
    "stale_sam",
    "vasso",
    "wsam",
]
