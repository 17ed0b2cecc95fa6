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
    "bilevel.hypergradient",
    "bilevel.metalearning",
    "bilevel.metalearning.imaml",
    "bilevel.metalearning.tasks",
    "core.codecs",
    "core.codecs.dynamic_map",
    "curvature.landscape.directions",
    "curvature.stability.gram",
    "curvature.stability.sample_hessians",
    "curvature.stability.second_moment",
    "curvature.stability.simulator",
    "curvature.stability.thresholds",
    "data.augment",
    "diagnostics.theory.depth_recursion",
    "diagnostics.theory.linear_student",
    "diagnostics.weights.filter_quality",
    "diagnostics.weights.filters",
    "diagnostics.weights.heavy_tails",
    "diagnostics.weights.matrix_norms",
    "layers.linen_module",
    "losses.shade",
    "transforms.compressed.adamw_quantized",
    "transforms.compressed.ldadam",
    "transforms.compressed.low_rank",
    "transforms.compressed.microadam",
    "transforms.compressed.soap.kernel",
    "transforms.memory.critical_gradients",
    "transforms.temp_balance",
}
"""Modules of the package whose examples take more than a second; their tests compile
the same programs on other shapes, so that the examples wait for ``--full``."""


def modules():
    """All modules whose text has an example, each a case that depends on it alone."""
    for root in ROOTS:
        for path in sorted(root.rglob("*.py")):
            if ">>>" in path.read_text():
                parts = path.relative_to(root.parent).with_suffix("").parts
                name = ".".join(parts).removesuffix(".__init__")
                marks = [pytest.mark.reaches(name)]
                if name.removeprefix("jaxopt_lab.") in DEAR:
                    marks.append(pytest.mark.full)
                yield pytest.param(name, marks=marks)


@pytest.mark.parametrize("name", list(modules()))
def test_examples(name):
    module = importlib.import_module(name)
    # As in a notebook: 32 bits, and no promise of strict ranks.
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        failed, tried = doctest.testmod(module)
    assert tried > 0 and failed == 0
