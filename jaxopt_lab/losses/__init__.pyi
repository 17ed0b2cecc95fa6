# What the room exports; __init__.py reads it and loads each name on first use.
from .blind_spot import (
    blind_spot_loss,
    downsampled_invariance,
    random_subsample,
    subsample,
)
from .codiemb import multi_positive_retrieval, similarity_ranking
from .coding_rate import coding_rate, coding_rate_reduction
from .confident_cross_entropy import confident_cross_entropy
from .cross_entropy import cross_entropy
from .emo import emo
from .ensembles import ensemble_cross_entropy, ensemble_diversity
from .flow_errors import gibbs_weights, weighted_flow_matching
from .guidance import guidance, linear_cka
from .info_nce import info_nce
from .isometric import isometric_loss
from .margin_nca import margin_nca
from .masked_tokens import (
    masked_share,
    masked_token_loss,
    masked_token_metrics,
)
from .mdcs import MDCSState, mdcs
from .mlc import mlc
from .mmd import mmd
from .multi_source import multi_source_distillation, source_weights
from .ordinal import (
    fidelity_loss,
    gaussian_soft_label,
    level_score,
    ordinal_cross_entropy,
)
from .pooled_distillation import (
    cosine_distillation,
    pooled_distillation,
)
from .rank_mixup import mixup_ndcg, mixup_ranking
from .ranking import (
    approx_ndcg,
    lambdarank,
    list_mle,
    pairwise_hinge,
    ranknet,
)
from .reweighting import (
    loss_weights,
    reweighted,
    reweighted_cross_entropy,
)
from .row_divergence import row_entropy, symmetric_row_divergence
from .shade import ShadeState, shade
from .shrinkmatch import ShrinkMatchState, shrinkmatch
from .soft_labels import with_soft_labels
from .stateful import StatefulLoss
from .structural_similarity import ssim, ssim_loss
from .supremix import supervised_contrastive_regression, supremix
from .threshold_margin import threshold_consistent_margin
from .unnormalized import MecoState, meco, noise_contrastive

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
