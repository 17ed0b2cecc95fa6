"""Beside, inside and around other transformations."""

from __future__ import annotations

import jax
import numpy as np
import optax
import pytest

from battery.registry import check
from battery.transform import abstract, comparison, parts, problems
from battery.transform.deferred import tier
from battery.transform.subject import Subject
from jaxopt_lab.core.errors import InputError


@check("transform")
def extras(subject: Subject) -> None:
    """Extra arguments that it does not know are ignored, and handed on."""
    more = abstract.program(subject, never_heard_of=object())
    assert more == abstract.program(subject), "an unknown argument changes the update"
    if subject.row.own:
        kind = optax.GradientTransformationExtraArgs
        assert isinstance(subject.parts()[0], kind), "it takes no extra arguments"
    if subject.row.role == "wrapper":
        heard = abstract.heard_by_the_base(subject)
        assert heard, "the base is not asked"
        assert all("never_heard_of" in names for names in heard), heard


@check("transform", tier=tier)
def schedules(subject: Subject) -> None:
    """Where the annotation says so, a schedule stands for a number."""
    names = subject.annotated()
    for name in names:  # one alone, as a plain function to a number
        value = subject.defaults()[name]
        constant = subject.transform(**{name: lambda count, v=value: v})
        abstract.one_step(constant, np.float64)
    if not names:
        return
    *changing, same = (
        jax.tree.map(lambda x, i=i: x[i], subject.value("schedules"))
        for i in range(len(names) + 1)
    )
    at = lambda path, t: jax.tree.map(lambda x: x[t], path)
    tolerance = comparison.tolerance(subject.row)
    comparison.assert_close(at(same, 1), subject.path[1][0], **tolerance)
    for name, path in zip(names, changing, strict=True):
        comparison.assert_close(at(path, 0), subject.path[0][0], **tolerance)
        gap = comparison.gap(at(path, 1), at(same, 1))
        if gap <= 1e-9:  # some act every few steps only
            gap = comparison.gap(at(path, -1), at(same, -1))
        assert gap > 1e-9, f"a changing schedule of {name} changes nothing"


@check("transform", tier=tier)
def chained(subject: Subject) -> None:
    """After clipping and before weight decay, each does its own part.

    Those that train perturbed parameters refuse what stands behind them.
    """
    if subject.row.eval_params:
        with pytest.raises(InputError, match="a transform stands behind"):
            abstract.decayed_behind(subject)
    clipped, opposite = (
        jax.tree.map(lambda x, i=i: x[i], subject.value("chained")) for i in range(2)
    )
    comparison.assert_close(
        clipped, subject.value("by hand"), **comparison.tolerance(subject.row)
    )
    bare, _ = subject.path[1]
    assert comparison.gap(clipped, bare) > 1e-9, "what stands around has no effect"
    if "shards" in subject.row.needs:
        return  # it takes its first gradients from the shards, by design
    gap = comparison.gap(opposite, bare)
    assert gap > 1e-9, "what stands in front of it has no effect"


@check("transform", tier=tier)
def groups(subject: Subject) -> None:
    """In a group of its own it does what it does on that part of the tree alone."""
    expected, gradient = subject.value("alone")
    rest = {"masked": np.stack([gradient] * 2), "partition": np.zeros((2, 2))}
    for name, outside in rest.items():
        comparison.assert_close(
            subject.value(name),
            {"in": expected, "out": outside},
            **comparison.tolerance(subject.row),
            custom_message=name,
        )


@check("transform", tier=tier)
def multi_steps(subject: Subject) -> None:
    """Inside ``MultiSteps``: right for one gradient, refused for several."""
    if subject.row.gradients > 1:
        with pytest.raises(InputError, match="MultiSteps.*micro_batches"):
            abstract.accumulated(subject)
        return
    half, whole = (
        jax.tree.map(lambda x, i=i: x[i], subject.value("multi_steps"))
        for i in range(2)
    )
    comparison.assert_equal(half, problems.params())
    comparison.assert_close(
        whole, subject.path[0][0], **comparison.tolerance(subject.row)
    )


@check("transform", tier=tier)
def inject(subject: Subject) -> None:
    """With hyper-parameters in the state: the same, all there, and they count."""
    (found,) = abstract.hyperparams(subject)
    assert found >= set(subject.row.numeric), sorted(found)
    after, changed = (
        jax.tree.map(lambda x, i=i: x[i], subject.value("inject")) for i in range(2)
    )
    end = jax.tree.map(lambda x: x[-1], after)
    comparison.assert_close(end, subject.looped[0], **comparison.tolerance(subject.row))
    first = jax.tree.map(lambda x: x[0], changed)
    comparison.assert_close(
        first, subject.value("others"), **comparison.tolerance(subject.row)
    )
    narrow, _, _ = abstract.one_step(subject.injected(), np.float32)
    for leaf in jax.tree.leaves(narrow):
        assert leaf.dtype == np.float32, f"float32 became {leaf.dtype}"


@check("transform", tier=tier)
def apply_if_finite(subject: Subject) -> None:
    """Inside ``apply_if_finite`` a bad step is as if it had not been."""
    params, state = subject.value("apply_if_finite")
    assert int(state.total_notfinite) == 1
    comparison.assert_close(
        (params, state.inner_state),
        subject.path[1],
        **comparison.tolerance(subject.row),
    )


@check("transform", parts.has_radius, tier=tier)
def neutral(subject: Subject) -> None:
    """A radius of zero gives the base optimizer, exactly."""
    found = subject.value("neutral")
    for way in ("number", "array"):
        comparison.assert_equal(found[way], found["base"])
