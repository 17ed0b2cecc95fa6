"""The checks of losses, beside the common ones."""

from __future__ import annotations

import jax
import numpy as np

from battery.loss.subject import INVARIANCES, LossSubject
from battery.parts.common import register_common
from battery.parts.compare import TIGHT, assert_close, assert_finite
from battery.registry import check

register_common(LossSubject)


@check("loss")
def shape(subject: LossSubject) -> None:
    """One number per target; a scalar of losses that couple examples."""
    got, wanted = subject.shape(), subject.leading()
    assert got == wanted, f"losses of shape {got} instead of {wanted}"


@check("loss")
def extreme_outputs(subject: LossSubject) -> None:
    """Huge outputs give finite losses and gradients."""
    assert_finite(subject.values["extreme"], "of huge outputs")


@check("loss", lambda row: row.perfect is not None)
def perfect_answer(subject: LossSubject) -> None:
    """The perfect answer gives the value of the row, and no gradient."""
    losses, slope = subject.values["perfect"]
    gap = np.max(np.abs(losses - subject.row.perfect))
    assert gap <= 1e-9, f"the perfect answer is {gap:.3g} off the row's value"
    assert np.max(np.abs(slope)) <= 1e-9, "the perfect answer has a gradient"


@check("loss")
def lower_bound(subject: LossSubject) -> None:
    """No value lies below the row's bound."""
    for name in ("plain", "zeros", "constants"):
        losses = jax.tree.leaves(subject.values[name])[0]
        least = float(np.min(losses))
        bound = subject.row.lower_bound
        assert least >= bound - 1e-12, f"{least:.3g} lies below {bound}"


@check("loss")
def permutation(subject: LossSubject) -> None:
    """Permuting the examples permutes the values."""
    words = "the order of the examples matters"
    assert_close(*subject.values["permuted"], words, **TIGHT)


@check("loss")
def dropped_example(subject: LossSubject) -> None:
    """``where=0`` drops an example, even one that is NaN; ones change nothing."""
    found = subject.values["dropped"]
    nan, zero = found["filled"]
    assert_finite(nan, "a dropped example is not a number, and so")
    assert_close(nan, zero, "a dropped example is seen", **TIGHT)
    assert_close(*found["ones"], "where=1 changes something", **TIGHT)
    losses, slope = nan
    assert not np.any(slope[1]), "a dropped example has a gradient"
    if not subject.row.couples:
        assert not np.any(losses[1]), "the loss of a dropped example is not zero"


@check("loss", lambda row: bool(row.invariance))
def invariance(subject: LossSubject) -> None:
    """Changes of the inputs that the row names leave it as it is."""
    for words in subject.row.invariance.split(";"):
        assert words.strip() in INVARIANCES, f"no such change is known: {words}"
    losses, changed = subject.values["invariant"]
    for words, other in changed.items():
        assert_close(other, losses, f"{words} changes it", rtol=1e-9, atol=1e-10)


@check("loss", lambda row: row.stateful)
def state_types(subject: LossSubject) -> None:
    """Structure, shapes and types of the state stay."""
    before, after = subject.state_types()
    one, two = (
        jax.tree.map(lambda x: f"{x.dtype}{x.shape}", tree) for tree in (before, after)
    )
    assert one == two, f"the state {one} becomes {two}"
