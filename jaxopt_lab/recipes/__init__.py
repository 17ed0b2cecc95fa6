"""Recipes: training steps of several roles beyond the plain one."""

from jaxopt_lab.recipes.adapting_norms import AdaptingNorms, adapting_norms
from jaxopt_lab.recipes.adversarial import init_adversarial, make_adversarial_step
from jaxopt_lab.recipes.conadv import init_conadv, make_conadv_step
from jaxopt_lab.recipes.distillation import (
    init_distillation,
    make_distillation_step,
    soft_divergence,
)
from jaxopt_lab.recipes.ensemble import init_ensemble, make_ensemble_step, of_members
from jaxopt_lab.recipes.fixmatch import init_fixmatch, make_fixmatch_step

__all__ = [
    "AdaptingNorms",
    "adapting_norms",
    "init_adversarial",
    "init_conadv",
    "init_distillation",
    "init_ensemble",
    "init_fixmatch",
    "make_adversarial_step",
    "make_conadv_step",
    "make_distillation_step",
    "make_ensemble_step",
    "make_fixmatch_step",
    "of_members",
    "soft_divergence",
]
