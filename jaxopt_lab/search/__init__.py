"""Search: candidates from a space, asked for and told their scores."""

from jaxopt_lab.search.conservative_explorer import conservative_explorer, guide_classes
from jaxopt_lab.search.driver import Search, run
from jaxopt_lab.search.einspace.evolution import einspace_evolution
from jaxopt_lab.search.einspace.grammar import (
    Grammar,
    mutate_architecture,
    sample_architecture,
)
from jaxopt_lab.search.einspace.network import (
    count_parameters,
    einspace_network,
    module_function,
)
from jaxopt_lab.search.einspace.nodes import Node, as_text, from_text, infer_shape
from jaxopt_lab.search.gradient_search import (
    QuantSearch,
    QuantSearchState,
    quant_search,
)
from jaxopt_lab.search.kernel_ridge import (
    KernelRidge,
    fit_kernel_ridge,
    leave_one_out_errors,
    predict_kernel_ridge,
)
from jaxopt_lab.search.layer_genomes import (
    apply_genome,
    as_genome,
    genome_of,
    genome_params,
    genome_space,
    reads_input,
)
from jaxopt_lab.search.linas import linas, masked_encoding
from jaxopt_lab.search.network_compression import (
    ConvSpec,
    apply_actions,
    chain_parameters,
    compression_reward,
    constrained_reward,
    conv_chain,
    removable,
    removal_space,
    shrink_space,
)
from jaxopt_lab.search.network_ensemble import (
    NetworkEnsemble,
    fit_network_ensemble,
    predict_network_ensemble,
)
from jaxopt_lab.search.nsga2 import nsga2
from jaxopt_lab.search.pareto import (
    crowding_distance,
    dominates,
    hypervolume,
    nondominated_sort,
)
from jaxopt_lab.search.predictor_guided import predictor_guided
from jaxopt_lab.search.program_text import (
    Operation,
    ProgramGraph,
    graph_text,
    hashed_ngrams,
    program_graph,
    program_text,
    text_graph,
)
from jaxopt_lab.search.quantization_noise import (
    architecture_entropy,
    bit_operations,
    entropy_weight,
    mixed_bit_weights,
    quantization_noise,
)
from jaxopt_lab.search.quantized_supernet import (
    chosen_operation,
    edge_bit_operations,
    mixed_operations,
    rescaled_branch,
)
from jaxopt_lab.search.random_search import random_search
from jaxopt_lab.search.regularized_evolution import regularized_evolution
from jaxopt_lab.search.reinforce import (
    choice_entropy,
    choice_probabilities,
    reinforce,
    reinforce_gradient,
)
from jaxopt_lab.search.space import (
    Choice,
    Integers,
    Interval,
    candidate_at,
    encode,
    fraction_of,
)
from jaxopt_lab.search.weight_sharing import Ancestor, inherit_weights

__all__ = [
    "Ancestor",
    "Choice",
    "ConvSpec",
    "Grammar",
    "Integers",
    "Interval",
    "KernelRidge",
    "NetworkEnsemble",
    "Node",
    "Operation",
    "ProgramGraph",
    "QuantSearch",
    "QuantSearchState",
    "Search",
    "apply_actions",
    "apply_genome",
    "architecture_entropy",
    "as_genome",
    "as_text",
    "bit_operations",
    "candidate_at",
    "chain_parameters",
    "choice_entropy",
    "choice_probabilities",
    "chosen_operation",
    "compression_reward",
    "conservative_explorer",
    "constrained_reward",
    "conv_chain",
    "count_parameters",
    "crowding_distance",
    "dominates",
    "edge_bit_operations",
    "einspace_evolution",
    "einspace_network",
    "encode",
    "entropy_weight",
    "fit_kernel_ridge",
    "fit_network_ensemble",
    "fraction_of",
    "from_text",
    "genome_of",
    "genome_params",
    "genome_space",
    "graph_text",
    "guide_classes",
    "hashed_ngrams",
    "hypervolume",
    "infer_shape",
    "inherit_weights",
    "leave_one_out_errors",
    "linas",
    "masked_encoding",
    "mixed_bit_weights",
    "mixed_operations",
    "module_function",
    "mutate_architecture",
    "nondominated_sort",
    "nsga2",
    "predict_kernel_ridge",
    "predict_network_ensemble",
    "predictor_guided",
    "program_graph",
    "program_text",
    "quant_search",
    "quantization_noise",
    "random_search",
    "reads_input",
    "regularized_evolution",
    "reinforce",
    "reinforce_gradient",
    "removable",
    "removal_space",
    "rescaled_branch",
    "run",
    "sample_architecture",
    "shrink_space",
    "text_graph",
]
