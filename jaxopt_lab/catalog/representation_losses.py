"""The rows of losses of embeddings and representations."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Loss, Neutral

_EXAMPLES = "jaxopt_lab.catalog.examples.predictions"

ROWS: tuple[Loss, ...] = (
    Loss(
        name="guidance",
        summary="representations near those of a frozen guide, by linear CKA",
        build="jaxopt_lab.losses.guidance:guidance",
        reduces_to=Neutral({"weight": 0.0}, "jaxopt_lab.losses.targets:no_loss"),
        topic="representations",
        options=("weight", "debiased"),
        example=f"{_EXAMPLES}:guided",
        couples=True,
        regularizer=True,
        aligned=("guide",),
        lower_bound=0.0,
        invariance="scale of the outputs",
        vectors="guidance_cka",
        paper="Subramaniam et al. 2024, arXiv:2410.20035",
        code="vsubramaniam851/untrainable-networks",
    ),
    Loss(
        name="similarity_ranking",
        summary="correlation, ranks and preferences of similarities (CoDiEmb)",
        build="jaxopt_lab.losses.codiemb:similarity_ranking",
        reduces_to=Neutral(
            {"pearson": 1.0, "rank": 0.0, "preference": 0.0},
            "jaxopt_lab.losses.codiemb:pearson_loss",
        ),
        topic="representations",
        options=("pearson", "rank", "preference", "temperature"),
        example=f"{_EXAMPLES}:similarities",
        couples=True,
        lower_bound=0.0,
        vectors="codiemb",
        paper="Zhang et al. 2025, arXiv:2508.11442",
    ),
    Loss(
        name="multi_positive_retrieval",
        summary="contrastive loss of queries with several positives each (CoDiEmb)",
        build="jaxopt_lab.losses.codiemb:multi_positive_retrieval",
        reduces_to=Neutral(
            {"positives": 2, "temperature": 0.5},
            "jaxopt_lab.losses.codiemb:mean_info_nce",
            given={"temperature": 0.5},
        ),
        topic="representations",
        options=("positives", "temperature"),
        example=f"{_EXAMPLES}:retrieved",
        aligned=("passages",),
        lower_bound=0.0,
        vectors="codiemb",
        paper="Zhang et al. 2025, arXiv:2508.11442",
    ),
    Loss(
        name="threshold_consistent_margin",
        summary="hard pairs of embeddings kept within margins of their cosine (TCM)",
        build="jaxopt_lab.losses.threshold_margin:threshold_consistent_margin",
        reduces_to=Neutral(
            {"positive_weight": 0.0, "negative_weight": 0.0},
            "jaxopt_lab.losses.targets:no_loss",
        ),
        topic="retrieval",
        options=(
            "positive_margin",
            "negative_margin",
            "positive_weight",
            "negative_weight",
        ),
        example=f"{_EXAMPLES}:embedded",
        couples=True,
        lower_bound=0.0,
        perfect=0.0,
        invariance="scale of the outputs",
        paper="Zhang et al. 2023, arXiv:2307.04047",
    ),
    Loss(
        name="mlc",
        summary="features on subspaces and their soft clusters, by coding rates (MLC)",
        build="jaxopt_lab.losses.mlc:mlc",
        reduces_to=Neutral({"eta": float("inf")}, "jaxopt_lab.losses.targets:no_loss"),
        topic="clustering",
        options=("eps", "eta", "iterations"),
        example=f"{_EXAMPLES}:clustered",
        couples=True,
        regularizer=True,
        aligned=("clusters",),
        invariance="scale of the outputs",
        paper="Ding et al. 2023, arXiv:2301.01805",
    ),
)
