"""Values that a check may look at: not traced ones, not those of other processes."""

import pathlib
import re
import types

import jax
import jax.numpy as jnp
import numpy as np

import jaxopt_lab
from jaxopt_lab.core.known_values import known_values, out_of_range


def test_arrays_and_numbers_are_known_and_traced_ones_are_not():
    assert known_values(jnp.ones(2)).tolist() == [1.0, 1.0]
    assert known_values(3) == 3
    seen = []
    jax.eval_shape(lambda x: seen.append(known_values(x)), jnp.ones(2))
    assert seen == [None]


def test_an_array_that_other_processes_hold_parts_of_is_not_known():
    assert known_values(types.SimpleNamespace(is_fully_addressable=False)) is None


def test_labels_below_0_or_too_large_are_no_classes_but_where_they_do_not_count():
    labels = np.array([[0, 2], [-1, 5]])
    assert out_of_range(labels, 3).tolist() == [-1, 5]
    assert out_of_range(labels, 3, np.array([[1, 1], [0, 2]])).tolist() == [5]


# What they ask is whether something is traced, and no number is looked at.
NO_VALUES = {
    "core/known_values.py",
    "core/per_leaf.py",
    "core/platforms.py",
    "curvature/operators/blocks.py",
    "curvature/operators/operator.py",
    "diagnostics/weights/heavy_tails.py",
    "diagnostics/weights/temp_balance_refresh.py",
    "quantize/generated_inputs.py",
    "transforms/compressed/elementwise.py",
}


def test_checks_of_values_ask_here_instead_of_for_tracers_alone():
    folder = pathlib.Path(jaxopt_lab.__file__).parent
    asking = {
        str(path.relative_to(folder))
        for path in folder.rglob("*.py")
        if re.search(r"import Tracer|core\.Tracer|errors\.Tracer", path.read_text())
    }
    assert asking == NO_VALUES
