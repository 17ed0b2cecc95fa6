"""The rows of losses of ranked lists of documents."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Loss, Neutral

_EXAMPLE = "jaxopt_lab.catalog.examples.predictions:ranked"
_ROOM = "jaxopt_lab.losses.ranking"
_SHIFT = "one constant added to all outputs"

ROWS: tuple[Loss, ...] = (
    Loss(
        name="pairwise_hinge",
        summary="hinge of the differences of scores of ordered pairs",
        build=f"{_ROOM}.pairs:pairwise_hinge",
        reduces_to=Neutral({"margin": 0.0}, f"{_ROOM}.pairs:perceptron_pairs"),
        topic="retrieval",
        options=("margin",),
        example=_EXAMPLE,
        couples=True,
        lower_bound=0.0,
        perfect=0.0,
        invariance=_SHIFT,
        paper="Herbrich, Graepel and Obermayer 2000",
        full="dear; its loop over pairs is plain",
    ),
    Loss(
        name="ranknet",
        summary="logistic loss of the differences of scores of ordered pairs",
        build=f"{_ROOM}.pairs:ranknet",
        reduces_to=Neutral({"sigma": 1.0}, f"{_ROOM}.pairs:logistic_pairs"),
        topic="retrieval",
        options=("sigma",),
        example=_EXAMPLE,
        couples=True,
        lower_bound=0.0,
        perfect=0.0,
        invariance=_SHIFT,
        paper="Burges et al. 2005",
        full="3 s of processor time cold; its loop over pairs is plain",
    ),
    Loss(
        name="lambdarank",
        summary="RankNet, pairs weighted by what their exchange does to NDCG",
        build=f"{_ROOM}.weighted_pairs:lambdarank",
        reduces_to=Neutral({"share": 0.0}, "ranknet"),
        topic="retrieval",
        options=("top", "sigma", "share"),
        example=_EXAMPLE,
        couples=True,
        lower_bound=0.0,
        perfect=0.0,
        invariance=_SHIFT,
        constant_factors="the changes of NDCG",
        paper="Burges, Ragno and Le 2006",
        full="dear; its loop over pairs is plain",
    ),
    Loss(
        name="list_mle",
        summary="likelihood of the order of the labels (Plackett and Luce)",
        build=f"{_ROOM}.plackett_luce:list_mle",
        reduces_to=Neutral({"top": 1}, f"{_ROOM}.plackett_luce:top_one_cross_entropy"),
        topic="retrieval",
        options=("top",),
        example=_EXAMPLE,
        couples=True,
        lower_bound=0.0,
        perfect=0.0,
        invariance=_SHIFT,
        paper="Xia et al. 2008",
        full="dear; the likelihoods of all orders are plain",
    ),
    Loss(
        name="approx_ndcg",
        summary="one less NDCG, at soft ranks",
        build=f"{_ROOM}.soft_ranks:approx_ndcg",
        reduces_to=Neutral({"temperature": 1e-12}, f"{_ROOM}.soft_ranks:missing_ndcg"),
        topic="retrieval",
        options=("temperature",),
        example=_EXAMPLE,
        couples=True,
        lower_bound=0.0,
        perfect=0.0,
        invariance=_SHIFT,
        paper="Qin, Liu and Li 2010",
        full="dear; its formula and its limit are plain",
    ),
)
