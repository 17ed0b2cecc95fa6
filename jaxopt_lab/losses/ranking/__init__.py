"""Losses of ranked lists of documents, by pairs and by lists.

The cross-entropy of a whole list (ListNet) is ``optax.losses.ranking_softmax_loss``.
"""

from jaxopt_lab.losses.ranking.pairs import pairwise_hinge, ranknet
from jaxopt_lab.losses.ranking.plackett_luce import list_mle
from jaxopt_lab.losses.ranking.soft_ranks import approx_ndcg
from jaxopt_lab.losses.ranking.weighted_pairs import lambdarank

__all__ = ["approx_ndcg", "lambdarank", "list_mle", "pairwise_hinge", "ranknet"]
