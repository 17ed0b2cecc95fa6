"""Losses of one example, regularizers, and losses with state (kind ``loss``)."""

from jaxopt_lab.losses.blind_spot import (
    blind_spot_loss,
    downsampled_invariance,
    random_subsample,
    subsample,
)
from jaxopt_lab.losses.codiemb import multi_positive_retrieval, similarity_ranking
from jaxopt_lab.losses.coding_rate import coding_rate, coding_rate_reduction
from jaxopt_lab.losses.confident_cross_entropy import confident_cross_entropy
from jaxopt_lab.losses.cross_entropy import cross_entropy
from jaxopt_lab.losses.emo import emo
from jaxopt_lab.losses.ensembles import ensemble_cross_entropy, ensemble_diversity
from jaxopt_lab.losses.flow_errors import gibbs_weights, weighted_flow_matching
from jaxopt_lab.losses.guidance import guidance, linear_cka
from jaxopt_lab.losses.info_nce import info_nce
from jaxopt_lab.losses.isometric import isometric_loss
from jaxopt_lab.losses.margin_nca import margin_nca
from jaxopt_lab.losses.masked_tokens import (
    masked_share,
    masked_token_loss,
    masked_token_metrics,
)
from jaxopt_lab.losses.mdcs import MDCSState, mdcs
from jaxopt_lab.losses.mlc import mlc
from jaxopt_lab.losses.mmd import mmd
from jaxopt_lab.losses.multi_source import multi_source_distillation, source_weights
from jaxopt_lab.losses.ordinal import (
    fidelity_loss,
    gaussian_soft_label,
    level_score,
    ordinal_cross_entropy,
)
from jaxopt_lab.losses.pooled_distillation import (
    cosine_distillation,
    pooled_distillation,
)
from jaxopt_lab.losses.rank_mixup import mixup_ndcg, mixup_ranking
from jaxopt_lab.losses.ranking import (
    approx_ndcg,
    lambdarank,
    list_mle,
    pairwise_hinge,
    ranknet,
)
from jaxopt_lab.losses.reweighting import (
    loss_weights,
    reweighted,
    reweighted_cross_entropy,
)
from jaxopt_lab.losses.row_divergence import row_entropy, symmetric_row_divergence
from jaxopt_lab.losses.shade import ShadeState, shade
from jaxopt_lab.losses.shrinkmatch import ShrinkMatchState, shrinkmatch
from jaxopt_lab.losses.soft_labels import with_soft_labels
from jaxopt_lab.losses.stateful import StatefulLoss
from jaxopt_lab.losses.structural_similarity import ssim, ssim_loss
from jaxopt_lab.losses.supremix import supervised_contrastive_regression, supremix
from jaxopt_lab.losses.threshold_margin import threshold_consistent_margin
from jaxopt_lab.losses.unnormalized import MecoState, meco, noise_contrastive

__all__ = [
    "MDCSState",
    "MecoState",
    "ShadeState",
    "ShrinkMatchState",
    "StatefulLoss",
    "approx_ndcg",
    "blind_spot_loss",
    "coding_rate",
    "coding_rate_reduction",
    "confident_cross_entropy",
    "cosine_distillation",
    "cross_entropy",
    "downsampled_invariance",
    "emo",
    "ensemble_cross_entropy",
    "ensemble_diversity",
    "fidelity_loss",
    "gaussian_soft_label",
    "gibbs_weights",
    "guidance",
    "info_nce",
    "isometric_loss",
    "lambdarank",
    "level_score",
    "linear_cka",
    "list_mle",
    "loss_weights",
    "margin_nca",
    "masked_share",
    "masked_token_loss",
    "masked_token_metrics",
    "mdcs",
    "meco",
    "mixup_ndcg",
    "mixup_ranking",
    "mlc",
    "mmd",
    "multi_positive_retrieval",
    "multi_source_distillation",
    "noise_contrastive",
    "ordinal_cross_entropy",
    "pairwise_hinge",
    "pooled_distillation",
    "random_subsample",
    "ranknet",
    "reweighted",
    "reweighted_cross_entropy",
    "row_entropy",
    "shade",
    "shrinkmatch",
    "similarity_ranking",
    "source_weights",
    "ssim",
    "ssim_loss",
    "subsample",
    "supervised_contrastive_regression",
    "supremix",
    "symmetric_row_divergence",
    "threshold_consistent_margin",
    "weighted_flow_matching",
    "with_soft_labels",
]
