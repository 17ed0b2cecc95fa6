# What the package exports; __init__.py reads it and loads each name on first use.
from . import bilevel as bilevel
from . import catalog as catalog
from . import controllers as controllers
from . import core as core
from . import curvature as curvature
from . import data as data
from . import diagnostics as diagnostics
from . import inference as inference
from . import lab as lab
from . import layers as layers
from . import losses as losses
from . import metrics as metrics
from . import plotting as plotting
from . import quantize as quantize
from . import recipes as recipes
from . import runtime as runtime
from . import search as search
from . import training as training
from . import transforms as transforms
from ._version import __version__
from .bilevel import (
    InnerProblem,
    differentiable,
    from_train_step,
    hypergrad,
    imaml,
    implicit_solution,
    maml,
    plan_unroll,
    reptile,
    unroll,
)
from .core import trees as trees
from .core.batch_gradients import BatchGrad
from .core.errors import InputError
from .core.gradients import batch_grad
from .core.injection import inject_hyperparams
from .core.masking import masked, partition
from .layers.initializers import lecun_normal_untruncated
from .layers.norm.ghost_batch_norm import ghost_batch_norm
from .layers.norm.layernorm_scaling import layernorm_scaling
from .losses import emo, shade
from .metrics import apply_temperature, expected_calibration_error, fit_temperature
from .transforms.batching import agvm, regime_adaptation, scale_lr
from .transforms.compressed import (
    adam_mini,
    adamw4bit,
    adamw8bit,
    adamw_fp8,
    adamw_linear,
    apollo,
    ldadam,
    microadam,
    quantize_state,
    scale_by_adam_mini,
    scale_by_apollo,
    scale_by_ldadam,
    scale_by_microadam,
    scale_by_soap,
    soap,
)
from .transforms.memory import (
    adam_cg,
    adam_cm,
    adamw_cm,
    critical_gradients,
    rmsprop_cg,
    rmsprop_cm,
    scale_by_critical_momenta,
    sgd_cg,
    sgd_cm,
)
from .transforms.scale_invariant import (
    adamp,
    normalize_and_project,
    project_radial,
    scale_by_adamp,
    scale_by_sgdp,
    scale_invariant_mask,
    sgdp,
)
from .transforms.sharpness import (
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
    "BatchGrad",
    "InnerProblem",
    "InputError",
    "__version__",
    "adam_cg",
    "adam_cm",
    "adam_mini",
    "adamp",
    "adamw4bit",
    "adamw8bit",
    "adamw_cm",
    "adamw_fp8",
    "adamw_linear",
    "agvm",
    "apollo",
    "apply_temperature",
    "asam",
    "batch_grad",
    "bsam",
    "critical_gradients",
    "differentiable",
    "emo",
    "esam",
    "eval_params",
    "expected_calibration_error",
    "fisher_mask",
    "fit_temperature",
    "friendly_sam",
    "from_train_step",
    "ghost_batch_norm",
    "gsam",
    "hypergrad",
    "imaml",
    "implicit_solution",
    "inject_hyperparams",
    "layernorm_scaling",
    "ldadam",
    "lecun_normal_untruncated",
    "lookahead",
    "lookbehind",
    "looksam",
    "maml",
    "masked",
    "microadam",
    "momentum_sam",
    "msam",
    "multistep_sam",
    "norm_only",
    "normalize_and_project",
    "partition",
    "plan_unroll",
    "project_radial",
    "quantize_state",
    "regime_adaptation",
    "reptile",
    "rho_following",
    "rmsprop_cg",
    "rmsprop_cm",
    "sam",
    "samson",
    "scale_by_adam_mini",
    "scale_by_adamp",
    "scale_by_apollo",
    "scale_by_critical_momenta",
    "scale_by_ldadam",
    "scale_by_microadam",
    "scale_by_sgdp",
    "scale_by_soap",
    "scale_invariant_mask",
    "scale_lr",
    "sgd_cg",
    "sgd_cm",
    "sgdp",
    "shade",
    "soap",
    "stale_sam",
    "unroll",
    "vasso",
    "wsam",
]
