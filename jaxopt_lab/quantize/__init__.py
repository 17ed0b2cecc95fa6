"""Quantizing trained parameters: grids, rounding, calibration, whole models."""

from jaxopt_lab.core.qarray import QArray
from jaxopt_lab.quantize.batch_norm_selection import (
    BatchNormSelection,
    Moments,
    average_statistics,
    select_by_batch_norm,
)
from jaxopt_lab.quantize.batch_statistics import Normalized, batch_statistics_loss
from jaxopt_lab.quantize.bit_allocation import (
    BitAllocation,
    allocate_bits,
    sensitivities,
)
from jaxopt_lab.quantize.block_reconstruction import (
    ReconstructedBlock,
    reconstruct_block,
)
from jaxopt_lab.quantize.distilled_inputs import DistilledInputs, distill_inputs
from jaxopt_lab.quantize.expert_merging import (
    ExpertGroups,
    RouterStatistics,
    align_experts,
    group_experts,
    merge_experts,
    permute_experts,
    router_statistics,
)
from jaxopt_lab.quantize.fake_quant import fake_quant, fake_quant_tree
from jaxopt_lab.quantize.generated_inputs import (
    distill_with_generator,
    generate_images,
    image_generator,
    init_generator,
)
from jaxopt_lab.quantize.genie import genie
from jaxopt_lab.quantize.genie_grid import GenieGrid
from jaxopt_lab.quantize.gptq import gptq
from jaxopt_lab.quantize.gptq_grid import GPTQGrid
from jaxopt_lab.quantize.grid import Grid
from jaxopt_lab.quantize.group_product import group_product, shift_product
from jaxopt_lab.quantize.input_grams import gram_function
from jaxopt_lab.quantize.jlcm import CodebookArray, jlcm
from jaxopt_lab.quantize.joint_codebook import (
    JointCodebook,
    codebook_weights,
    joint_codebook,
)
from jaxopt_lab.quantize.joint_codebook_fit import (
    JointCodebookFit,
    fit_joint_codebook,
)
from jaxopt_lab.quantize.joint_rounding import (
    SoftRounding,
    init_rounding,
    rectified_sigmoid,
    rounding_regularizer,
    rounding_schedule,
    soft_round_weights,
)
from jaxopt_lab.quantize.learned_step import LearnedStep, init_step, learned_step
from jaxopt_lab.quantize.linear_grid import LinearGrid
from jaxopt_lab.quantize.llm_int8 import Int8Product, llm_int8
from jaxopt_lab.quantize.low_rank_sparse import (
    LowRankSparse,
    compress_experts,
    expert_kernels,
    low_rank_sparse,
)
from jaxopt_lab.quantize.minmax_axis import (
    MinmaxCodes,
    entropy_bits,
    minmax_best_axis,
)
from jaxopt_lab.quantize.monte_carlo import monte_carlo
from jaxopt_lab.quantize.outlier_tune import FoldedLayer, outlier_tune
from jaxopt_lab.quantize.packed_codebook import (
    PackedCodebook,
    codebook_bits,
    pack_codebook,
)
from jaxopt_lab.quantize.params import QuantizedParams, Rule, quantize_params
from jaxopt_lab.quantize.quant_convolution import quant_convolution
from jaxopt_lab.quantize.quant_dot_general import (
    ProductGrids,
    quant_dot_general,
    quant_matmul,
)
from jaxopt_lab.quantize.quantease import quantease
from jaxopt_lab.quantize.quantease_outliers import (
    QArrayWithOutliers,
    quantease_outliers,
)
from jaxopt_lab.quantize.quantized_products import product_grids, quantized_products
from jaxopt_lab.quantize.qwix_grid import QwixGrid
from jaxopt_lab.quantize.qwix_model import qwix_model
from jaxopt_lab.quantize.report import QuantizerReport, calibration_error
from jaxopt_lab.quantize.round_to_nearest import named_grid, round_to_nearest
from jaxopt_lab.quantize.row_groups import group_rows, permute_layer_chain
from jaxopt_lab.quantize.row_pruning import (
    RowImportance,
    kept_share,
    prune_rows,
    row_importance,
)
from jaxopt_lab.quantize.sparse_masks import (
    SparseGradient,
    cosine_prune_fraction,
    magnitude_masks,
    masked,
    noisy_layer_densities,
    prune_grow,
    sum_sparse,
    top_k_sparse,
)
from jaxopt_lab.quantize.swinging import swinging
from jaxopt_lab.quantize.updates import QuantizeUpdatesState, quantize_updates
from jaxopt_lab.quantize.zeroq_grid import ZeroQGrid

__all__ = [
    "BatchNormSelection",
    "BitAllocation",
    "CodebookArray",
    "DistilledInputs",
    "ExpertGroups",
    "FoldedLayer",
    "GPTQGrid",
    "GenieGrid",
    "Grid",
    "Int8Product",
    "JointCodebook",
    "JointCodebookFit",
    "LearnedStep",
    "LinearGrid",
    "LowRankSparse",
    "MinmaxCodes",
    "Moments",
    "Normalized",
    "PackedCodebook",
    "ProductGrids",
    "QArray",
    "QArrayWithOutliers",
    "QuantizeUpdatesState",
    "QuantizedParams",
    "QuantizerReport",
    "QwixGrid",
    "ReconstructedBlock",
    "RouterStatistics",
    "RowImportance",
    "Rule",
    "SoftRounding",
    "SparseGradient",
    "ZeroQGrid",
    "align_experts",
    "allocate_bits",
    "average_statistics",
    "batch_statistics_loss",
    "calibration_error",
    "codebook_bits",
    "codebook_weights",
    "compress_experts",
    "cosine_prune_fraction",
    "distill_inputs",
    "distill_with_generator",
    "entropy_bits",
    "expert_kernels",
    "fake_quant",
    "fake_quant_tree",
    "fit_joint_codebook",
    "generate_images",
    "genie",
    "gptq",
    "gram_function",
    "group_experts",
    "group_product",
    "group_rows",
    "image_generator",
    "init_generator",
    "init_rounding",
    "init_step",
    "jlcm",
    "joint_codebook",
    "kept_share",
    "learned_step",
    "llm_int8",
    "low_rank_sparse",
    "magnitude_masks",
    "masked",
    "merge_experts",
    "minmax_best_axis",
    "monte_carlo",
    "named_grid",
    "noisy_layer_densities",
    "outlier_tune",
    "pack_codebook",
    "permute_experts",
    "permute_layer_chain",
    "product_grids",
    "prune_grow",
    "prune_rows",
    "quant_convolution",
    "quant_dot_general",
    "quant_matmul",
    "quantease",
    "quantease_outliers",
    "quantize_params",
    "quantize_updates",
    "quantized_products",
    "qwix_model",
    "reconstruct_block",
    "rectified_sigmoid",
    "round_to_nearest",
    "rounding_regularizer",
    "rounding_schedule",
    "router_statistics",
    "row_importance",
    "select_by_batch_norm",
    "sensitivities",
    "shift_product",
    "soft_round_weights",
    "sum_sparse",
    "swinging",
    "top_k_sparse",
]
