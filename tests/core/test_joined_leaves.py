"""Small leaves updated as one: which, their arrays, what is compiled."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core import computed_once, joined_leaves


class Method(NamedTuple):
    size: int
    most: int = 8

    def joined(self, number):
        return self._replace(size=number * self.size) if number <= self.most else None


@pytest.fixture
def one_cpu(monkeypatch):
    for module in (joined_leaves, computed_once):
        monkeypatch.setattr(module, "for_one_cpu", lambda *_: True)


def groups(methods, shapes, decays=None, dtypes=None):
    dtypes = dtypes or [jnp.float32] * len(shapes)
    grads = [jax.ShapeDtypeStruct(*x) for x in zip(shapes, dtypes, strict=True)]
    weights = [None] * len(grads) if decays is None else grads
    decays = [None] * len(grads) if decays is None else decays
    return joined_leaves.groups(methods, grads, weights, decays)


def test_leaves_of_one_method_shape_type_and_decay_are_together(one_cpu):
    a, b = Method(4), Method(6)
    shapes = [(4,), (6,), (4,), (6,), (4,)]
    assert groups([a, b, a, b, a], shapes) == [[0, 2, 4], [1, 3]]
    assert groups([a, b, a, b, a], shapes, [True, True, True, False, False]) == [
        [0, 2],
        [1],
        [3],
        [4],
    ]
    half = [jnp.float32, jnp.float32, jnp.bfloat16, jnp.float32, jnp.float32]
    assert groups([a, b, a, b, a], shapes, dtypes=half) == [[0, 4], [1, 3], [2]]


def test_a_decay_that_only_the_program_knows_leaves_its_leaf_alone(one_cpu):
    decays = [jnp.asarray(True), True, jnp.asarray(True), True]
    assert groups([Method(4)] * 4, [(4,)] * 4, decays) == [[0], [1, 3], [2]]


def test_a_group_ends_where_the_method_says_that_they_are_too_many(one_cpu):
    assert groups([Method(4, 2)] * 5, [(4,)] * 5) == [[0, 1], [2, 3], [4]]


def test_methods_that_cannot_be_joined_are_alone(one_cpu):
    assert groups([object()] * 3, [(4,)] * 3) == [[0], [1], [2]]


def test_on_several_devices_and_outside_of_a_program_all_are_alone():
    assert groups([Method(4)] * 3, [(4,)] * 3) == [[0], [1], [2]]


def test_apart_takes_back_what_end_to_end_has_joined():
    draw = np.random.default_rng(0)
    tree = lambda: {
        "x": jnp.asarray(draw.normal(size=6)),
        "y": jnp.ones((2, 3)),
        "z": None,
    }
    for number in (1, 2, 5):
        trees = [tree() for _ in range(number)]
        run = lambda *x: joined_leaves.apart(joined_leaves.end_to_end(x), len(x))
        chex.assert_trees_all_equal(jax.jit(run)(*trees), trees)


def test_slices_of_all_leaves_are_one_kernel():
    """The place is an operand of each: equal programs, which XLA compiles once."""
    run = lambda x: joined_leaves.apart(jnp.sort(x), 6)
    text = (
        jax.jit(run).lower(jax.ShapeDtypeStruct((48,), jnp.float32)).compile().as_text()
    )
    slices = [x for x in text.splitlines() if " dynamic-slice(" in x]
    assert len(slices) == 6 and " slice(" not in text
