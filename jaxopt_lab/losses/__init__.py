"""Losses of one example, regularizers, and losses with state (kind ``loss``)."""

from jaxopt_lab.losses.cross_entropy import cross_entropy
from jaxopt_lab.losses.emo import emo
from jaxopt_lab.losses.rank_mixup import mixup_ndcg, mixup_ranking
from jaxopt_lab.losses.reweighting import (
    loss_weights,
    reweighted,
    reweighted_cross_entropy,
)
from jaxopt_lab.losses.shade import ShadeState, shade
from jaxopt_lab.losses.soft_labels import with_soft_labels
from jaxopt_lab.losses.stateful import StatefulLoss

__all__ = [
    "ShadeState",
    "StatefulLoss",
    "cross_entropy",
    "emo",
    "loss_weights",
    "mixup_ndcg",
    "mixup_ranking",
    "reweighted",
    "reweighted_cross_entropy",
    "shade",
    "with_soft_labels",
]
