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
from jaxopt_lab.recipes.continual_hypernetwork import (
    OldTasks,
    fisher_importance,
    init_continual_hypernetwork,
    make_continual_hypernetwork_step,
    output_regulariser,
)
from jaxopt_lab.recipes.decoupled import init_decoupled, make_decoupled_step
from jaxopt_lab.recipes.decoupling import (
    WindowGradients,
    decouple,
    inject_gradient,
    regression_loss,
    window_gradients,
)
from jaxopt_lab.recipes.discopatch import init_discopatch, make_discopatch_step
from jaxopt_lab.recipes.distillation import (
    init_distillation,
    make_distillation_step,
    soft_divergence,
)
from jaxopt_lab.recipes.dual_losses import DualOutputs
from jaxopt_lab.recipes.dualdis import init_dualdis, make_dualdis_step
from jaxopt_lab.recipes.ensemble import init_ensemble, make_ensemble_step, of_members
from jaxopt_lab.recipes.federated import init_federated, make_federated_step
from jaxopt_lab.recipes.fixmatch import init_fixmatch, make_fixmatch_step
from jaxopt_lab.recipes.flow_matching import init_flow_matching, make_flow_matching_step
from jaxopt_lab.recipes.flow_sampler import integrate_flow
from jaxopt_lab.recipes.gan import init_gan, make_gan_step
from jaxopt_lab.recipes.ghost import init_ghost, make_ghost_step
from jaxopt_lab.recipes.ghosts import (
    Ghosts,
    draw_ghosts,
    fit_separator,
    ghost_generator_loss,
    latent_margin,
)
from jaxopt_lab.recipes.guided import init_guided, make_guided_step
from jaxopt_lab.recipes.hybridnet import (
    HybridOutputs,
    init_hybridnet,
    make_hybridnet_step,
)
from jaxopt_lab.recipes.natra import init_natra, make_natra_step
from jaxopt_lab.recipes.oracle_matching import (
    init_oracle_matching,
    make_oracle_matching_step,
)
from jaxopt_lab.recipes.osuda import init_osuda, make_osuda_step
from jaxopt_lab.recipes.patches import VaeOutputs, patch_score, random_patches
from jaxopt_lab.recipes.podnet import PodOutputs, init_podnet, make_podnet_step
from jaxopt_lab.recipes.replay import init_replay, make_replay_step
from jaxopt_lab.recipes.replay_memory import Memory, empty_memory, fixed_memory
from jaxopt_lab.recipes.sortednet import init_sortednet, make_sortednet_step

__all__ = [
    "AdaptingNorms",
    "DualOutputs",
    "Ghosts",
    "HybridOutputs",
    "Memory",
    "OldTasks",
    "PodOutputs",
    "VaeOutputs",
    "WindowGradients",
    "adapting_norms",
    "decouple",
    "draw_ghosts",
    "edit_attribute",
    "empty_memory",
    "fisher_importance",
    "fit_separator",
    "fixed_memory",
    "ghost_generator_loss",
    "init_adversarial",
    "init_co_teaching",
    "init_conadv",
    "init_continual_hypernetwork",
    "init_decoupled",
    "init_discopatch",
    "init_distillation",
    "init_dualdis",
    "init_ensemble",
    "init_federated",
    "init_fixmatch",
    "init_flow_matching",
    "init_gan",
    "init_ghost",
    "init_guided",
    "init_hybridnet",
    "init_natra",
    "init_oracle_matching",
    "init_osuda",
    "init_podnet",
    "init_replay",
    "init_sortednet",
    "inject_gradient",
    "integrate_flow",
    "latent_margin",
    "make_adversarial_step",
    "make_co_teaching_step",
    "make_conadv_step",
    "make_continual_hypernetwork_step",
    "make_decoupled_step",
    "make_discopatch_step",
    "make_distillation_step",
    "make_dualdis_step",
    "make_ensemble_step",
    "make_federated_step",
    "make_fixmatch_step",
    "make_flow_matching_step",
    "make_gan_step",
    "make_ghost_step",
    "make_guided_step",
    "make_hybridnet_step",
    "make_natra_step",
    "make_oracle_matching_step",
    "make_osuda_step",
    "make_podnet_step",
    "make_replay_step",
    "make_sortednet_step",
    "of_both",
    "of_members",
    "orthogonality",
    "output_regulariser",
    "patch_score",
    "random_patches",
    "regression_loss",
    "soft_divergence",
    "window_gradients",
]
