"""The same numbers however the update is run: jit, scan, vmap, donated, twice."""

from __future__ import annotations

import jax

from battery.registry import check
from battery.transform import comparison, parts, problems
from battery.transform.deferred import tier
from battery.transform.subject import Subject


@check("transform", tier=tier)
def jit(subject: Subject) -> None:
    """In and out of jit, on device arrays and on numpy arrays."""
    for inside, outside in zip(subject.donated.path, subject.path, strict=True):
        comparison.assert_close(inside, outside, **comparison.tolerance(subject.row))
    comparison.assert_close(
        subject.on_numpy, subject.path[0], **comparison.tolerance(subject.row)
    )


@check("transform", tier=tier)
def scan(subject: Subject) -> None:
    """A scan over steps is a loop over steps."""
    comparison.assert_close(
        subject.value("scan"), subject.looped, **comparison.tolerance(subject.row)
    )


@check("transform", tier=tier)
def vmap_seeds(subject: Subject) -> None:
    """Several initial points at once, init included, are a loop over them."""
    together = subject.value("seeds")
    for i, shift in enumerate(parts.SHIFTS):
        start = jax.tree.map(lambda p, s=shift: p + s, problems.params())
        mine = jax.tree.map(lambda x, i=i: x[i], together)
        comparison.assert_close(
            mine, subject.path_from(start, 2)[-1], **comparison.tolerance(subject.row)
        )


@check("transform", tier=tier)
def vmap_hyper(subject: Subject) -> None:
    """Several values of every numeric hyper-parameter are a loop over them."""
    together = subject.value("hyper")
    for i, name in enumerate(("default", "others")):
        mine = jax.tree.map(lambda x, i=i: x[i], together)
        comparison.assert_close(
            mine, parts.run_at(subject, name)[1], **comparison.tolerance(subject.row)
        )
    # Traced numbers give what Python's own give.
    comparison.assert_close(
        parts.run_at(subject, "default")[2],
        subject.looped,
        **comparison.tolerance(subject.row),
    )


@check("transform", tier=tier)
def recompilation(subject: Subject) -> None:
    """The second call finds the program of the first."""
    traces = subject.donated.traces
    assert traces == 1, f"the step was traced {traces} times"


@check("transform", tier=tier)
def donation(subject: Subject) -> None:
    """Parameters and state can be given away: used, without a warning, rightly."""
    donated = subject.donated
    assert not donated.said, donated.said
    assert donated.deleted and subject.given_away(), "not every argument is used"
    comparison.assert_close(
        donated.path[-1], subject.looped, **comparison.tolerance(subject.row)
    )
