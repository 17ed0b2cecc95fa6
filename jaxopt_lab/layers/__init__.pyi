# What the room exports; __init__.py reads it and loads each name on first use.
from .activation.alpha_dropout import alpha_dropout
from .activation.gradient_reversal import gradient_reversal, reversed_gradient
from .activation.hilbert import hilbert_activation
from .activation.modules import (
    AlphaDropout,
    GradientReversal,
    HilbertActivation,
    NestedDropout,
    Selu,
)
from .activation.nested_dropout import nested_dropout
from .activation.selu import selu
from .attention.causal_prefix import prefix_causal_mask
from .attention.content_guided_attention import content_guided_attention
from .attention.content_guided_fusion import content_guided_fusion
from .attention.gaussian_prior import gaussian_prior, prior_deviations
from .attention.linear_attention import (
    linear_attention,
    norm_aware_features,
    rotary_angles,
)
from .attention.modules import (
    ContentGuidedAttention,
    ContentGuidedFusion,
    NormAwareLinearAttention,
    TwoWayAttention,
)
from .attention.norm_aware_attention import norm_aware_attention
from .attention.softmax_attention import softmax_attention
from .attention.two_way_attention import two_way_attention
from .block.batch_former import batch_former
from .block.hourglass import constant_lift, hourglass, hourglass_block
from .block.hourglass_budget import ParameterCount, hourglass_size, match_bottleneck
from .block.modules import BatchFormer, Hourglass, ScaledResidual, TransformerBlock
from .block.norm_placement import norm_placement
from .block.residual_scale import residual_scale, scaled_residual
from .block.transformer_block import transformer_block
from .classifier.growing import class_means, grow_proxies, imprint_proxies
from .classifier.local_similarity import local_similarity, local_similarity_classifier
from .classifier.modules import LocalSimilarityClassifier
from .compression.codebook import code_uses, codebook_lookup, replace_dead_codes
from .compression.codebook_bottleneck import codebook_bottleneck
from .compression.mixture_of_experts import mixture_of_experts, router_logits
from .compression.modules import (
    CodebookBottleneck,
    MixtureOfExperts,
    OrderedLowRank,
    ResidualVectorQuantizer,
    SparseTernary,
)
from .compression.ordered_low_rank import ordered_low_rank, ordered_rank_mask
from .compression.ordered_ranks import (
    merge_if_cheaper,
    one_layer_ranks,
    prune_ranks,
    sample_layer_rank,
    shrink_ranks,
    slice_rank,
)
from .compression.prefixes import (
    SubNetwork,
    active_units,
    evaluate_all,
    extract_subnetwork,
    mask_params,
    prefix_mask,
    sample_subnetworks,
    sub_networks,
    with_sub_networks,
)
from .compression.residual_codes import (
    ResidualCodes,
    bit_rate,
    decode_residual_codes,
    residual_vector_quantize,
)
from .compression.residual_vector_quantizer import (
    quantization_penalty,
    residual_vector_quantizer,
)
from .compression.sparse_ternary import sparse_ternary
from .compression.ternary_matrix import ternary_matmul, ternary_matrix
from .conv.blind_spot_conv import blind_spot_conv, centre_mask, masked_conv
from .conv.detail_enhanced_conv import detail_enhanced_conv, fold_differences
from .conv.difference_kernels import (
    angular_difference_kernel,
    central_difference_kernel,
    detail_enhanced_kernel,
    directional_difference_kernel,
)
from .conv.modules import (
    BlindSpotConv,
    DetailEnhancedConv,
    PyramidConv,
    SwingConv,
    WsConv,
)
from .conv.pixel_shuffle import pixel_shuffle, pixel_unshuffle
from .conv.pyramid_conv import convolve_pyramid, pyramid_conv, upsample_aligned
from .conv.space_to_batch import batch_to_space, space_to_batch
from .conv.swing_conv import swing_conv
from .conv.transformed_conv import KernelTransform
from .conv.weight_standardization import weight_standardization, ws_conv
from .feature_map.bundling import bundle, bundle_weights, solve_bundled
from .feature_map.kernel_adapter import kernel_adapter
from .feature_map.kernel_feed_forward import kernel_feed_forward
from .feature_map.modules import KernelAdapter, KernelFeedForward
from .feature_map.random_features import (
    gaussian_projection,
    kernel_features,
    relu_features,
    universal_features,
)
from .geometry.modules import PoincareBatchNorm, SPDBatchNorm
from .geometry.poincare_batch_norm import poincare_batch_norm
from .geometry.poincare_conv import poincare_conv
from .geometry.spd_batch_norm import spd_batch_norm
from .graph.distances import (
    distance_correlation,
    farthest_point_landmarks,
    landmark_features,
    sample_distance_pairs,
    shortest_path_lengths,
)
from .graph.gat_conv import gat_conv
from .graph.gcn_conv import gcn_conv, gcn_propagate
from .graph.graphs import (
    Graph,
    Hypergraph,
    graph_hyperedges,
    make_graph,
    make_hypergraph,
)
from .graph.hyperedge_distillation import (
    hyperedge_consistency,
    hyperedge_means,
    hyperedge_reliability,
    node_distillation,
)
from .graph.hypergraph_conv import hypergraph_conv, hypergraph_propagate
from .graph.modules import GATConv, GCNConv, HypergraphConv
from .graph.networkx_graphs import (
    NamedGraph,
    from_networkx,
    read_graph,
    to_networkx,
)
from .graph.padding import GraphBatch, pad_graphs, pool_nodes
from .graph.prediction_correction import (
    IncrementTracker,
    correct_memory,
    memory_coherence,
    predict_memory,
    prediction_correction,
    restarted,
    tracker_moments,
    tracker_update,
)
from .graph.searchable_conv import GraphCell, graph_cell, searchable_conv
from .graph.segments import segment_softmax
from .graph.temporal_memory import Changed, Events, Memory, MemoryState, temporal_memory
from .hypernetwork.encoding import magnitude_invariant_encoding
from .hypernetwork.graph_encoder import graph_encoder
from .hypernetwork.growth import grow_hypernetwork, new_entries
from .hypernetwork.hypernetwork import hypernetwork
from .hypernetwork.logah import logah
from .hypernetwork.low_rank_decoder import low_rank_decoder, low_rank_decoder_size
from .hypernetwork.modules import HyperNetwork, LowRankDecoder, RecurrentHyperNetwork
from .hypernetwork.recurrent import recurrent_hypernetwork
from .hypernetwork.target_graph import TargetGraph, parameter_graph
from .initializers import lecun_normal_untruncated
from .kan.bases import b_spline_basis, chebyshev_basis, fourier_basis, gaussian_basis
from .kan.modules import SelectableKAN, SelectableKANConv
from .kan.selectable_kan import selectable_kan
from .kan.selectable_kan_conv import selectable_kan_conv
from .kan.selection import (
    SelectionStage,
    select_spaces,
    selection_entropy,
    selection_stage,
)
from .linen_module import LinenLayer
from .memory_saving import (
    mesa_attention,
    mesa_dense,
    mesa_gelu,
    mesa_layer_norm,
    mesa_softmax,
    wta_crs_dense,
)
from .memory_saving.modules import (
    MesaAttention,
    MesaDense,
    MesaGelu,
    MesaLayerNorm,
    MesaSoftmax,
    WtaCrsDense,
)
from .mixer.causal_mixer import causal_mixer
from .mixer.hydra_mixer import hydra_mixer
from .mixer.modules import CausalMixer, HydraMixer
from .mixer.quasiseparable import (
    Direction,
    quasiseparable_matrix,
    quasiseparable_mix,
    selective_scan,
    semiseparable_matrix,
)
from .nnx_module import NnxLayer
from .norm.adab2n import adab2n, at_task, statistics_penalty
from .norm.alpha_bn import alpha_bn
from .norm.batch_channel_norm import batch_channel_norm
from .norm.evonorm import evonorm_b0, evonorm_s0
from .norm.ghost_batch_norm import ghost_batch_norm
from .norm.integrated_batch_norm import integrated_batch_norm
from .norm.layernorm_scaling import layer_norm_scale, layernorm_scaling
from .norm.modules import (
    AdaB2N,
    AlphaBatchNorm,
    BatchChannelNorm,
    EvoNormB0,
    EvoNormS0,
    GhostBatchNorm,
    GroupNorm,
    InstanceNorm,
    IntegratedBatchNorm,
    LayerNorm,
    LayerNormScaling,
    PowerNorm,
    RandomEffectScaleBias,
    RegionNorm,
    TimeDependentLayerNorm,
    UnifiedNorm,
    UnMixNorm,
)
from .norm.plain_norms import group_norm, instance_norm, layer_norm
from .norm.power_norm import power_norm
from .norm.random_effects import (
    random_effect_scale_bias,
    random_effects,
    random_effects_kl,
)
from .norm.region_norm import region_norm
from .norm.td_layernorm import td_layernorm, time_dependent
from .norm.unified_norm import unified_norm
from .norm.unmix_tns import components_of_source, unmix_tns
from .operator.mgno import mgno
from .operator.modules import MgConv, MgNO
from .operator.multigrid import multigrid_conv, multigrid_cycle, multigrid_shapes
from .prediction.modules import SyntheticGradient
from .prediction.synthetic_gradient import synthetic_gradient
from .restoration.deconvolution import psf_to_otf, wiener_deconvolution
from .restoration.learned_wiener import learned_wiener
from .restoration.modules import LearnedWiener
from .sine.modules import Siren
from .sine.siren import siren
from .sine.winner import (
    WinnerScales,
    spectral_centroid,
    winner,
    winner_init,
    winner_scales,
)

__all__ = [
    "AdaB2N",
    "AlphaBatchNorm",
    "AlphaDropout",
    "BatchChannelNorm",
    "BatchFormer",
    "BlindSpotConv",
    "CausalMixer",
    "Changed",
    "CodebookBottleneck",
    "ContentGuidedAttention",
    "ContentGuidedFusion",
    "DetailEnhancedConv",
    "Direction",
    "Events",
    "EvoNormB0",
    "EvoNormS0",
    "GATConv",
    "GCNConv",
    "GhostBatchNorm",
    "GradientReversal",
    "Graph",
    "GraphBatch",
    "GraphCell",
    "GroupNorm",
    "HilbertActivation",
    "Hourglass",
    "HydraMixer",
    "HyperNetwork",
    "Hypergraph",
    "HypergraphConv",
    "IncrementTracker",
    "InstanceNorm",
    "IntegratedBatchNorm",
    "KernelAdapter",
    "KernelFeedForward",
    "KernelTransform",
    "LayerNorm",
    "LayerNormScaling",
    "LearnedWiener",
    "LinenLayer",
    "LocalSimilarityClassifier",
    "LowRankDecoder",
    "Memory",
    "MemoryState",
    "MesaAttention",
    "MesaDense",
    "MesaGelu",
    "MesaLayerNorm",
    "MesaSoftmax",
    "MgConv",
    "MgNO",
    "MixtureOfExperts",
    "NamedGraph",
    "NestedDropout",
    "NnxLayer",
    "NormAwareLinearAttention",
    "OrderedLowRank",
    "ParameterCount",
    "PoincareBatchNorm",
    "PowerNorm",
    "PyramidConv",
    "RandomEffectScaleBias",
    "RecurrentHyperNetwork",
    "RegionNorm",
    "ResidualCodes",
    "ResidualVectorQuantizer",
    "SPDBatchNorm",
    "ScaledResidual",
    "SelectableKAN",
    "SelectableKANConv",
    "SelectionStage",
    "Selu",
    "Siren",
    "SparseTernary",
    "SubNetwork",
    "SwingConv",
    "SyntheticGradient",
    "TargetGraph",
    "TimeDependentLayerNorm",
    "TransformerBlock",
    "TwoWayAttention",
    "UnMixNorm",
    "UnifiedNorm",
    "WinnerScales",
    "WsConv",
    "WtaCrsDense",
    "active_units",
    "adab2n",
    "alpha_bn",
    "alpha_dropout",
    "angular_difference_kernel",
    "at_task",
    "b_spline_basis",
    "batch_channel_norm",
    "batch_former",
    "batch_to_space",
    "bit_rate",
    "blind_spot_conv",
    "bundle",
    "bundle_weights",
    "causal_mixer",
    "central_difference_kernel",
    "centre_mask",
    "chebyshev_basis",
    "class_means",
    "code_uses",
    "codebook_bottleneck",
    "codebook_lookup",
    "components_of_source",
    "constant_lift",
    "content_guided_attention",
    "content_guided_fusion",
    "convolve_pyramid",
    "correct_memory",
    "decode_residual_codes",
    "detail_enhanced_conv",
    "detail_enhanced_kernel",
    "directional_difference_kernel",
    "distance_correlation",
    "evaluate_all",
    "evonorm_b0",
    "evonorm_s0",
    "extract_subnetwork",
    "farthest_point_landmarks",
    "fold_differences",
    "fourier_basis",
    "from_networkx",
    "gat_conv",
    "gaussian_basis",
    "gaussian_prior",
    "gaussian_projection",
    "gcn_conv",
    "gcn_propagate",
    "ghost_batch_norm",
    "gradient_reversal",
    "graph_cell",
    "graph_encoder",
    "graph_hyperedges",
    "group_norm",
    "grow_hypernetwork",
    "grow_proxies",
    "hilbert_activation",
    "hourglass",
    "hourglass_block",
    "hourglass_size",
    "hydra_mixer",
    "hyperedge_consistency",
    "hyperedge_means",
    "hyperedge_reliability",
    "hypergraph_conv",
    "hypergraph_propagate",
    "hypernetwork",
    "imprint_proxies",
    "instance_norm",
    "integrated_batch_norm",
    "kernel_adapter",
    "kernel_features",
    "kernel_feed_forward",
    "landmark_features",
    "layer_norm",
    "layer_norm_scale",
    "layernorm_scaling",
    "learned_wiener",
    "lecun_normal_untruncated",
    "linear_attention",
    "local_similarity",
    "local_similarity_classifier",
    "logah",
    "low_rank_decoder",
    "low_rank_decoder_size",
    "magnitude_invariant_encoding",
    "make_graph",
    "make_hypergraph",
    "mask_params",
    "masked_conv",
    "match_bottleneck",
    "memory_coherence",
    "merge_if_cheaper",
    "mesa_attention",
    "mesa_dense",
    "mesa_gelu",
    "mesa_layer_norm",
    "mesa_softmax",
    "mgno",
    "mixture_of_experts",
    "multigrid_conv",
    "multigrid_cycle",
    "multigrid_shapes",
    "nested_dropout",
    "new_entries",
    "node_distillation",
    "norm_aware_attention",
    "norm_aware_features",
    "norm_placement",
    "one_layer_ranks",
    "ordered_low_rank",
    "ordered_rank_mask",
    "pad_graphs",
    "parameter_graph",
    "pixel_shuffle",
    "pixel_unshuffle",
    "poincare_batch_norm",
    "poincare_conv",
    "pool_nodes",
    "power_norm",
    "predict_memory",
    "prediction_correction",
    "prefix_causal_mask",
    "prefix_mask",
    "prior_deviations",
    "prune_ranks",
    "psf_to_otf",
    "pyramid_conv",
    "quantization_penalty",
    "quasiseparable_matrix",
    "quasiseparable_mix",
    "random_effect_scale_bias",
    "random_effects",
    "random_effects_kl",
    "read_graph",
    "recurrent_hypernetwork",
    "region_norm",
    "relu_features",
    "replace_dead_codes",
    "residual_scale",
    "residual_vector_quantize",
    "residual_vector_quantizer",
    "restarted",
    "reversed_gradient",
    "rotary_angles",
    "router_logits",
    "sample_distance_pairs",
    "sample_layer_rank",
    "sample_subnetworks",
    "scaled_residual",
    "searchable_conv",
    "segment_softmax",
    "select_spaces",
    "selectable_kan",
    "selectable_kan_conv",
    "selection_entropy",
    "selection_stage",
    "selective_scan",
    "selu",
    "semiseparable_matrix",
    "shortest_path_lengths",
    "shrink_ranks",
    "siren",
    "slice_rank",
    "softmax_attention",
    "solve_bundled",
    "space_to_batch",
    "sparse_ternary",
    "spd_batch_norm",
    "spectral_centroid",
    "statistics_penalty",
    "sub_networks",
    "swing_conv",
    "synthetic_gradient",
    "td_layernorm",
    "temporal_memory",
    "ternary_matmul",
    "ternary_matrix",
    "time_dependent",
    "to_networkx",
    "tracker_moments",
    "tracker_update",
    "transformer_block",
    "two_way_attention",
    "unified_norm",
    "universal_features",
    "unmix_tns",
    "upsample_aligned",
    "weight_standardization",
    "wiener_deconvolution",
    "winner",
    "winner_init",
    "winner_scales",
    "with_sub_networks",
    "ws_conv",
    "wta_crs_dense",
]
