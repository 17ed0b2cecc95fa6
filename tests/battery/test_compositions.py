"""Every method in every composition: right, or refused in one line."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from battery.reach import reaches
from battery.transform import faults_support
from battery.transform.compositions import COMPOSITIONS, START, fault, stack
from battery.transform.subject import Subject
from jaxopt_lab.catalog import of_kind

PLAIN = ("sam", "lookbehind", "adam_cm", "adamw8bit")
KNOWN = {
    ("sm3", "complex"): "optax refuses them with a ValueError of its own",
    ("sm3", "empty leaf"): "optax reduces over a leaf without rows",
    ("muon", "empty leaf"): "optax divides by the size of a leaf without rows",
}
"""Compositions that are wrong, with the reason; none of ours."""


STACKED = ("sam", "adam_cm", "adamw8bit")
"""Methods whose stack is compiled in the plain run."""


def _rows(plain):
    for row in of_kind("transform").values():
        marks = [reaches(row)]
        if row.name not in plain:
            marks.append(pytest.mark.full)
        yield pytest.param(row, id=row.name, marks=marks)


@pytest.mark.parametrize("row", list(_rows(PLAIN)))
def test_compositions_are_right_or_refused_in_one_line(row):
    subject = Subject(row, apart=True)
    found = {name: fault(subject, name) for name in COMPOSITIONS}
    wrong = {n: text for n, text in found.items() if text}
    known = {n for (r, n) in KNOWN if r == row.name}
    assert set(wrong) == known, wrong


@pytest.mark.parametrize("row", list(_rows(STACKED)))
def test_deep_inside_of_others_a_method_does_its_part(row):
    found, alone = stack(Subject(row, apart=True))
    for name, expected in alone.items():
        # In float32; numbers that are traced are rounded otherwise.
        np.testing.assert_allclose(found[name], expected, rtol=2e-5, atol=1e-6)
        assert np.max(np.abs(found[name] - START[name])) > 1e-6
    assert alone or row.name not in STACKED


def _raises(updates, state, params=None, **extra):
    return jax.tree.map(lambda u, p: u["missing"], updates, params), state


def _widens(updates, state, params=None, **extra):
    wide = jax.tree.map(lambda u: -0.1 * u.astype(jnp.float64), updates)
    return wide, state._replace(count=state.count.astype(jnp.float32))


@pytest.mark.parametrize(
    ("update", "words"),
    [(_raises, "TypeError|IndexError|Error"), (_widens, "change.* types")],
    ids=["a foreign error", "another type"],
)
def test_a_planted_fault_is_found(update, words):
    class Faulty(Subject):
        @property
        def tx(self):
            return optax.GradientTransformationExtraArgs(
                faults_support.sound_init, update
            )

    assert re.search(words, fault(Faulty(faults_support.OPTIMIZER), "alone"))
    assert fault(Subject(faults_support.OPTIMIZER), "alone") == ""
