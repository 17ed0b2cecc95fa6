# Written by `python -m support.stubs` in tests/, from the signatures.
from collections.abc import Callable, Mapping
from typing import Any

import jax

from jaxopt_lab.core.typing import Params
from jaxopt_lab.inference.agreement import jensen_shannon
from jaxopt_lab.inference.allocated_counts import allocate_counts
from jaxopt_lab.inference.bc3e import BC3EState, fit_bc3e
from jaxopt_lab.inference.c3e import C3EResult, c3e, co_association
from jaxopt_lab.inference.counts import crt, positive_poisson
from jaxopt_lab.inference.credit_decoder import credit_decoding
from jaxopt_lab.inference.credits import CreditStep, credit_step
from jaxopt_lab.inference.decoded import (
    ChunkStep,
    Decoded,
    LayeredStep,
    MaskedStep,
    ModelStep,
)
from jaxopt_lab.inference.exit_schedule import (
    active_layers,
    exit_schedule,
    masked_forward,
    speedup,
)
from jaxopt_lab.inference.filtered import filtered_logits
from jaxopt_lab.inference.fitted_chain import (
    Chain,
    apply_hidden_markov,
    fit_hidden_markov,
    scaled_likelihoods,
    transition_counts,
)
from jaxopt_lab.inference.gamma_numbers import log_gamma_numbers
from jaxopt_lab.inference.greedy import greedy
from jaxopt_lab.inference.hidden_markov import (
    Path,
    Posterior,
    forward_backward,
    viterbi,
)
from jaxopt_lab.inference.model_steps import next_step, uncached_step
from jaxopt_lab.inference.poisson_factor_sweep import sweep_poisson_factors
from jaxopt_lab.inference.poisson_factors import (
    FactorPrior,
    PoissonFactors,
    draw_poisson_factors,
    poisson_factor_rates,
    start_poisson_factors,
)
from jaxopt_lab.inference.sample import sample
from jaxopt_lab.inference.skip_decode import skip_decode
from jaxopt_lab.inference.soups import delta_soup, interpolate, uniform_soup
from jaxopt_lab.inference.speculative_decoder import speculative
from jaxopt_lab.inference.speculative_round import Draft
from jaxopt_lab.inference.t3 import FittedT3, apply_t3, t3_coefficient

__all__ = [
    "BC3EState",
    "C3EResult",
    "Chain",
    "ChunkStep",
    "CreditStep",
    "Decoded",
    "Draft",
    "FactorPrior",
    "FittedT3",
    "LayeredStep",
    "MaskedStep",
    "ModelStep",
    "Path",
    "PoissonFactors",
    "Posterior",
    "active_layers",
    "allocate_counts",
    "apply_hidden_markov",
    "apply_t3",
    "c3e",
    "co_association",
    "credit_decoding",
    "credit_step",
    "crt",
    "delta_soup",
    "draw_poisson_factors",
    "exit_schedule",
    "filtered_logits",
    "fit_bc3e",
    "fit_hidden_markov",
    "fit_t3",
    "forward_backward",
    "greedy",
    "interpolate",
    "jensen_shannon",
    "log_gamma_numbers",
    "masked_forward",
    "next_step",
    "poisson_factor_rates",
    "positive_poisson",
    "sample",
    "scaled_likelihoods",
    "skip_decode",
    "speculative",
    "speedup",
    "start_poisson_factors",
    "sweep_poisson_factors",
    "t3_coefficient",
    "t3_predict",
    "transition_counts",
    "uncached_step",
    "uniform_soup",
    "viterbi",
]

def fit_t3(
    data: Mapping[str, jax.Array],
    *,
    where: jax.Array | None = None,
    key: jax.Array | None = None,
    least: float = 0.1,
    most: float = 0.9,
    gamma: float = 0.5,
    center: float = 0.0,
) -> FittedT3: ...
def t3_predict(
    apply: Callable[[Params, Any], jax.Array],
    pretrained: Params,
    finetuned: Params,
    inputs: Any,
    *,
    chunk: int = 1,
    least: float = 0.1,
    most: float = 0.9,
    gamma: float = 0.5,
    center: float = 0.0,
) -> tuple[jax.Array, jax.Array]: ...
