"""jaxopt_lab: methods of the literature as composable optax transformations."""

from jaxopt_lab._version import __version__
from jaxopt_lab.gradients import batch_grad
from jaxopt_lab.injection import inject_hyperparams
from jaxopt_lab.masking import masked, partition
from jaxopt_lab.sharpness import (
    asam,
    bsam,
    esam,
    eval_params,
    fisher_mask,
    friendly_sam,
    gsam,
    lookahead,
    lookbehind,
    looksam,
    momentum_sam,
    msam,
    multistep_sam,
    norm_only,
    rho_following,
    sam,
    samson,
    stale_sam,
    vasso,
    wsam,
)

__all__ = [
    "__version__",
    "asam",
    "batch_grad",
    "bsam",
    "esam",
    "eval_params",
    "fisher_mask",
    "friendly_sam",
    "gsam",
    "inject_hyperparams",
    "lookahead",
    "lookbehind",
    "looksam",
    "masked",
    "momentum_sam",
    "msam",
    "multistep_sam",
    "norm_only",
    "partition",
    "rho_following",
    "sam",
    "samson",
    "stale_sam",
    "vasso",
    "wsam",
]
