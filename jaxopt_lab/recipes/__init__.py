"""Recipes: training steps of several roles beyond the plain one."""

from jaxopt_lab.recipes.adapting_norms import AdaptingNorms, adapting_norms
from jaxopt_lab.recipes.adversarial import init_adversarial, make_adversarial_step
from jaxopt_lab.recipes.attribute_heads import edit_attribute, orthogonality
from jaxopt_lab.recipes.co_teaching import (
    init_co_teaching,
    make_co_teaching_step,
    of_both,
)
from jaxopt_lab.recipes.conadv import init_conadv, make_conadv_step
from jaxopt_lab.recipes.distillation import (
    init_distillation,
    make_distillation_step,
    soft_divergence,
)
from jaxopt_lab.recipes.dual_losses import DualOutputs
from jaxopt_lab.recipes.dualdis import init_dualdis, make_dualdis_step
from jaxopt_lab.recipes.ensemble import init_ensemble, make_ensemble_step, of_members
from jaxopt_lab.recipes.fixmatch import init_fixmatch, make_fixmatch_step
from jaxopt_lab.recipes.flow_matching import (
    init_flow_matching,
    make_flow_matching_step,
)
from jaxopt_lab.recipes.flow_sampler import integrate_flow
from jaxopt_lab.recipes.gan import init_gan, make_gan_step
from jaxopt_lab.recipes.guided import init_guided, make_guided_step
from jaxopt_lab.recipes.hybridnet import (
    HybridOutputs,
    init_hybridnet,
    make_hybridnet_step,
)
from jaxopt_lab.recipes.natra import init_natra, make_natra_step

__all__ = [
    "AdaptingNorms",
    "DualOutputs",
    "HybridOutputs",
    "adapting_norms",
    "edit_attribute",
    "init_adversarial",
    "init_co_teaching",
    "init_conadv",
    "init_distillation",
    "init_dualdis",
    "init_ensemble",
    "init_fixmatch",
    "init_flow_matching",
    "init_gan",
    "init_guided",
    "init_hybridnet",
    "init_natra",
    "integrate_flow",
    "make_adversarial_step",
    "make_co_teaching_step",
    "make_conadv_step",
    "make_distillation_step",
    "make_dualdis_step",
    "make_ensemble_step",
    "make_fixmatch_step",
    "make_flow_matching_step",
    "make_gan_step",
    "make_guided_step",
    "make_hybridnet_step",
    "make_natra_step",
    "of_both",
    "of_members",
    "orthogonality",
    "soft_divergence",
]
