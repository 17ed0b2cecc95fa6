"""Search: candidates from a space, asked for and told their scores."""

from jaxopt_lab.search.driver import Search, run
from jaxopt_lab.search.layer_genomes import (
    apply_genome,
    as_genome,
    genome_of,
    genome_params,
    genome_space,
    reads_input,
)
from jaxopt_lab.search.random_search import random_search
from jaxopt_lab.search.regularized_evolution import regularized_evolution
from jaxopt_lab.search.space import Choice, Integers, Interval, candidate_at

__all__ = [
    "Choice",
    "Integers",
    "Interval",
    "Search",
    "apply_genome",
    "as_genome",
    "candidate_at",
    "genome_of",
    "genome_params",
    "genome_space",
    "random_search",
    "reads_input",
    "regularized_evolution",
    "run",
]
