"""The rows of searches."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Neutral, Search

_POINT = Neutral(
    {}, "jaxopt_lab.search:candidate_at", note="in a space of one candidate"
)

ROWS: tuple[Search, ...] = (
    Search(
        name="random_search",
        summary="independent candidates, the best of which counts",
        build="jaxopt_lab.search:random_search",
        reduces_to=_POINT,
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
        reduces_to=_POINT,
        topic="hyper-parameters",
        options=("population", "tournament"),
        example="jaxopt_lab.catalog.examples.decisions:small_space",
        space="intervals, also logarithmic, whole numbers, choices",
        budget="hundreds to thousands",
        paper="Real et al. 2019",
    ),
    Search(
        name="nsga2",
        summary="generations that move towards all best compromises of several scores",
        build="jaxopt_lab.search:nsga2",
        reduces_to=_POINT,
        topic="several objectives",
        options=(
            "population",
            "crossover",
            "mutation",
            "crossover_eta",
            "mutation_eta",
        ),
        example="jaxopt_lab.catalog.examples.decisions:small_space",
        space="intervals, also logarithmic, whole numbers, choices",
        budget="hundreds to thousands",
        several=True,
        paper="Deb et al. 2002",
    ),
    Search(
        name="linas",
        summary="NSGA-II on predictors proposes what is measured (LINAS, SimQ-NAS)",
        build="jaxopt_lab.search:linas",
        reduces_to=_POINT,
        topic="several objectives",
        options=("population", "generations"),
        example="jaxopt_lab.catalog.examples.decisions:forecast_space",
        space="intervals, also logarithmic, whole numbers, choices",
        budget="tens to hundreds",
        paper="Cummings et al. 2022, arXiv:2205.10358",
        several=True,
        code="IntelLabs/DyNAS-T",
    ),
    Search(
        name="reinforce",
        summary="a distribution over candidates that follows the policy gradient",
        build="jaxopt_lab.search:reinforce",
        reduces_to=_POINT,
        topic="architectures",
        options=("learning_rate", "baseline_decay", "cells"),
        example="jaxopt_lab.catalog.examples.decisions:small_space",
        space="choices, whole numbers, intervals in cells",
        budget="hundreds to thousands",
        paper="Williams 1992",
    ),
    Search(
        name="conservative_explorer",
        summary="the best candidate, changed where its distributions are unsure",
        build="jaxopt_lab.search:conservative_explorer",
        reduces_to=_POINT,
        topic="architectures",
        options=("changed", "learning_rate", "baseline_decay"),
        example="jaxopt_lab.catalog.examples.decisions:small_choices",
        space="choices and whole numbers",
        budget="tens to hundreds",
        paper="Zhou et al. 2019, arXiv:1909.03184",
    ),
    Search(
        name="predictor_guided",
        summary="the best upper bound of a forecast, by kernel ridge or small networks",
        build="jaxopt_lab.search:predictor_guided",
        reduces_to=_POINT,
        topic="architectures",
        options=("warmup", "proposals", "kappa", "ridge", "length", "predictor"),
        example="jaxopt_lab.catalog.examples.decisions:small_space",
        space="intervals, also logarithmic, whole numbers, choices",
        budget="tens to hundreds",
        paper="Srinivas et al. 2010, arXiv:0912.3995",
    ),
)
