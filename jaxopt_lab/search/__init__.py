"""Search: candidates from a space, asked for and told their scores."""

from jaxopt_lab.search.driver import Search, run
from jaxopt_lab.search.random_search import random_search
from jaxopt_lab.search.regularized_evolution import regularized_evolution
from jaxopt_lab.search.space import Choice, Integers, Interval, candidate_at

__all__ = [
    "Choice",
    "Integers",
    "Interval",
    "Search",
    "candidate_at",
    "random_search",
    "regularized_evolution",
    "run",
]
