"""Every example in a docstring runs and prints what it says."""

import doctest
import importlib
import pathlib

import jax
import pytest

import jaxopt_lab

PACKAGE = pathlib.Path(jaxopt_lab.__file__).parent
ROOTS = (PACKAGE, PACKAGE.parent / "experiments")
DEAR = {
    "bilevel.differentiable",
    "bilevel.from_train_step",
    "bilevel.hypergradient",
    "bilevel.implicit",
    "bilevel.metalearning",
    "bilevel.metalearning.imaml",
    "bilevel.metalearning.sinusoids",
    "bilevel.metalearning.tasks",
    "bilevel.unroll",
    "controllers.projected_variance",
    "core.codecs",
    "core.codecs.dynamic_map",
    "core.neighbours",
    "core.statistics",
    "core.trees",
    "curvature.landscape.directions",
    "curvature.landscape.trajectory",
    "curvature.measures.average_sharpness",
    "curvature.measures.gradient_noise",
    "curvature.probe",
    "curvature.probe_hook",
    "curvature.spectrum.density",
    "curvature.spectrum.hutchpp",
    "curvature.spectrum.top",
    "curvature.stability.element_variance",
    "curvature.stability.gram",
    "curvature.stability.sample_hessians",
    "curvature.stability.second_moment",
    "curvature.stability.simulator",
    "curvature.stability.thresholds",
    "data.augment",
    "data.batch_styles",
    "data.cutmix",
    "data.erase",
    "data.mixup",
    "data.recombine",
    "data.views",
    "diagnostics.hardware.crossbar_conv",
    "diagnostics.hardware.gmax",
    "diagnostics.hardware.memse",
    "diagnostics.hardware.weight_noise",
    "diagnostics.theory.depth_recursion",
    "diagnostics.theory.gaussian_expectations",
    "diagnostics.theory.linear_student",
    "diagnostics.theory.wide_networks",
    "diagnostics.weights.filter_quality",
    "diagnostics.weights.filters",
    "diagnostics.weights.heavy_tails",
    "diagnostics.weights.matrix_norms",
    "diagnostics.weights.power_law",
    "inference.credit_decoder",
    "inference.credits",
    "inference.t3",
    "lab.quant_recipe",
    "layers.attention.linear_attention",
    "layers.block.batch_former",
    "layers.block.modules",
    "layers.block.transformer_block",
    "layers.compression.codebook",
    "layers.compression.codebook_bottleneck",
    "layers.compression.modules",
    "layers.compression.ordered_low_rank",
    "layers.compression.ordered_ranks",
    "layers.compression.prefixes",
    "layers.compression.sparse_ternary",
    "layers.compression.ternary_matrix",
    "layers.conv.modules",
    "layers.conv.weight_standardization",
    "layers.geometry.poincare",
    "layers.geometry.poincare_batch_norm",
    "layers.geometry.spd",
    "layers.geometry.spd_batch_norm",
    "layers.hypernetwork.hypernetwork",
    "layers.hypernetwork.modules",
    "layers.linen_module",
    "layers.memory_saving.mesa_attention",
    "layers.mixer.modules",
    "layers.mixer.quasiseparable",
    "layers.nnx_module",
    "layers.norm.adab2n",
    "layers.norm.alpha_bn",
    "layers.norm.batch_channel_norm",
    "layers.norm.evonorm",
    "layers.norm.ghost_batch_norm",
    "layers.norm.modules",
    "layers.norm.plain_norms",
    "layers.norm.power_norm",
    "layers.norm.region_norm",
    "layers.norm.unified_norm",
    "layers.norm.unmix_tns",
    "layers.sine.winner",
    "losses.codiemb",
    "losses.coding_rate",
    "losses.emo",
    "losses.mdcs",
    "losses.mlc",
    "losses.ordinal",
    "losses.reweighting",
    "losses.shade",
    "losses.shrinkmatch",
    "losses.supremix",
    "losses.supremix_candidates",
    "metrics.accuracy",
    "metrics.dual_bank",
    "metrics.expected_calibration_error",
    "metrics.h_calibration",
    "metrics.h_calibration_loss",
    "metrics.mark_recapture",
    "metrics.temperature_scaling",
    "metrics.vector_scaling",
    "quantize.distilled_inputs",
    "quantize.genie_grid",
    "quantize.gptq",
    "quantize.gptq_grid",
    "quantize.group_product",
    "quantize.joint_codebook",
    "quantize.block_reconstruction",
    "quantize.generated_inputs",
    "quantize.genie",
    "quantize.jlcm",
    "quantize.joint_codebook_fit",
    "quantize.k_means",
    "quantize.low_rank_sparse",
    "quantize.monte_carlo",
    "quantize.packed_codebook",
    "quantize.params",
    "quantize.row_groups",
    "recipes.conadv",
    "recipes.distillation",
    "recipes.ensemble",
    "recipes.hybridnet",
    "recipes.natra",
    "recipes.sortednet",
    "search.layer_genomes",
    "training.adapters",
    "training.flax_loops",
    "transforms.compressed.adam_mini",
    "transforms.compressed.adamw_quantized",
    "transforms.compressed.householder",
    "transforms.compressed.ldadam",
    "transforms.compressed.low_rank",
    "transforms.compressed.microadam",
    "transforms.compressed.min_max",
    "transforms.compressed.quantize_state",
    "transforms.compressed.soap.kernel",
    "transforms.memory.buffer",
    "transforms.memory.critical_gradients",
    "transforms.memory.critical_momenta",
    "transforms.proximal_group_lasso",
    "transforms.scale_invariant.adamp",
    "transforms.sharpness.esam",
    "transforms.temp_balance",
}
"""Modules of the package whose examples take more than two thirds of a second; their
tests compile the same programs on other shapes, so that the examples wait for
``--full``, or for a change that reaches few of them."""


def modules():
    """All modules whose text has an example, each a case that depends on it alone."""
    for root in ROOTS:
        for path in sorted(root.rglob("*.py")):
            if ">>>" in path.read_text():
                parts = path.relative_to(root.parent).with_suffix("").parts
                name = ".".join(parts).removesuffix(".__init__")
                marks = [pytest.mark.reaches(name)]
                if name.removeprefix("jaxopt_lab.") in DEAR:
                    marks.append(pytest.mark.full(near=name))
                yield pytest.param(name, marks=marks)


@pytest.mark.parametrize("name", list(modules()))
def test_examples(name):
    module = importlib.import_module(name)
    # As in a notebook: 32 bits, and no promise of strict ranks.
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        failed, tried = doctest.testmod(module)
    assert tried > 0 and failed == 0
