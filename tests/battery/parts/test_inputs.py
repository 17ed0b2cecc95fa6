"""Inputs of a wrong kind, to every row: refused in one line, or right; by shapes."""

import functools

import jax
import numpy as np
import pytest

from battery.parts.kinds import SUBJECTS
from battery.parts.subject import KEY, is_float
from jaxopt_lab.catalog import of_kind
from jaxopt_lab.core.errors import InputError

# A subject of a layer is dear, and its first check of all inputs is one function.
KINDS = (
    pytest.param("layer", marks=pytest.mark.full),
    "loss",
    "metric",
    "estimator",
    "quantizer",
    "data transform",
)
OWN = ("params", "state")  # a layer makes them itself


@functools.cache
def subjects(kind):
    return [SUBJECTS[kind](row) for row in of_kind(kind).values()]


def said(subject, inputs):
    """Types and shapes of the results, or the type and text of an error."""
    try:
        return jax.eval_shape(lambda given: subject.call(given, KEY), inputs)
    except InputError as error:
        return error if "\n" not in str(error) else RuntimeError(str(error))
    except Exception as error:
        return RuntimeError(f"{type(error).__name__}: {error}")


def keeps_imaginary_parts(result):
    if isinstance(result, Exception):
        return isinstance(result, InputError)
    leaves = jax.tree.leaves(result)
    return any(np.issubdtype(x.dtype, np.complexfloating) for x in leaves)


def dropped(subject):
    """Names of the arrays whose imaginary parts are lost without a word."""
    single, found = subject.cast(np.float32), []
    leaves, tree = jax.tree.flatten({k: v for k, v in single.items() if k not in OWN})
    paths = [path for path, _ in jax.tree.leaves_with_path(tree.unflatten(leaves))]
    for i, leaf in enumerate(leaves):
        if is_float(leaf) and np.ndim(leaf):
            given = [*leaves[:i], leaf.astype(np.complex64), *leaves[i + 1 :]]
            result = said(subject, {**single, **tree.unflatten(given)})
            if not keeps_imaginary_parts(result):
                found.append(jax.tree_util.keystr(paths[i], simple=True))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_complex_inputs_are_refused_or_stay_complex(kind):
    found = {s.row.name: dropped(s) for s in subjects(kind)}
    assert {name: inputs for name, inputs in found.items() if inputs} == {}


def of_no_examples(subject):
    none = lambda x: x[:0] if np.ndim(x) else x
    single = subject.cast(np.float32)
    new = {name: jax.tree.map(none, single[name]) for name in subject.present()}
    return said(subject, {**single, **new})


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_without_examples_is_taken_or_refused_in_one_line(kind):
    found = {s.row.name: of_no_examples(s) for s in subjects(kind)}
    bad = {name: str(r) for name, r in found.items() if isinstance(r, RuntimeError)}
    assert bad == {}


def test_a_dropped_imaginary_part_is_noticed():
    class Dropping(SUBJECTS["loss"]):
        def call(self, inputs, key):
            return inputs["outputs"].astype(np.float32)

    assert dropped(Dropping(of_kind("loss")["cross_entropy"])) == ["outputs"]
