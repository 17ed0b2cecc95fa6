"""The rows of searches."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Neutral, Search

ROWS: tuple[Search, ...] = (
    Search(
        name="random_search",
        summary="independent candidates, the best of which counts",
        build="jaxopt_lab.search:random_search",
        reduces_to=Neutral(
            {}, "jaxopt_lab.search:candidate_at", note="in a space of one candidate"
        ),
        topic="hyper-parameters",
        example="jaxopt_lab.catalog.examples.decisions:small_space",
        space="intervals, also logarithmic, whole numbers, choices",
        budget="tens to hundreds",
        paper="Bergstra and Bengio 2012",
    ),
    Search(
        name="regularized_evolution",
        summary="tournaments, one change a child, the oldest member dies",
        build="jaxopt_lab.search:regularized_evolution",
        reduces_to=Neutral(
            {}, "jaxopt_lab.search:candidate_at", note="in a space of one candidate"
        ),
        topic="hyper-parameters",
        options=("population", "tournament"),
        example="jaxopt_lab.catalog.examples.decisions:small_space",
        space="intervals, also logarithmic, whole numbers, choices",
        budget="hundreds to thousands",
        paper="Real et al. 2019",
    ),
)
