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


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_complex_initial_values_are_refused_or_complex(dtype):
    found = {
        s.row.name: said(s, {**s.inputs, "like": np.zeros((), dtype)})
        for s in subjects("initializer")
    }
    bad = {n: r for n, r in found.items() if not keeps_imaginary_parts(r)}
    assert bad == {}


WEIGHTS = {"loss": "where", "metric": "weight"}


@pytest.mark.parametrize("kind", WEIGHTS)
def test_booleans_say_which_examples_count(kind):
    bad = {}
    for subject in subjects(kind):
        single = subject.cast(np.float32)
        outputs, targets = (single.get(n) for n in ("outputs", "targets"))
        if outputs is None:
            continue
        leading = np.shape(outputs)[:1]
        if kind == "loss" and targets is not None:
            leading = np.shape(targets)
        numbers = {**single, WEIGHTS[kind]: np.ones(leading, np.float32)}
        booleans = {**single, WEIGHTS[kind]: np.ones(leading, bool)}
        with jax.numpy_dtype_promotion("strict"):
            one, two = (said(subject, given) for given in (numbers, booleans))
        if isinstance(two, Exception) or str(one) != str(two):
            bad[subject.row.name] = (str(one), str(two))
    assert bad == {}


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
