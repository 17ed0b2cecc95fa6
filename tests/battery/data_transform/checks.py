"""The checks of data transforms, beside the common ones."""

from __future__ import annotations

import numpy as np

from battery.data_transform.subject import DataTransformSubject
from battery.parts.common import register_common
from battery.parts.compare import assert_equal
from battery.registry import check

# Repeated for eight devices, a batch is another batch, with other draws.
WITHOUT = ("derivatives", "devices")
register_common(DataTransformSubject, without=WITHOUT)


@check("data transform")
def key_matters(subject: DataTransformSubject) -> None:
    """Another key gives another batch."""
    one, two = (subject.values[name] for name in ("plain", "other key"))
    same = all(np.array_equal(one[name], two[name]) for name in one)
    assert not same, "another key gives the same batch"


@check("data transform")
def labels(subject: DataTransformSubject) -> None:
    """Labels are kept where the row says so, and else they are not."""
    kept = all(subject.kept(name) for name in subject.labels)
    says = subject.row.keeps_labels
    assert kept == says, f"the row says keeps_labels={says}; kept: {kept}"


@check("data transform")
def shapes(subject: DataTransformSubject) -> None:
    """Shapes change where the row says so, and else they do not."""
    changed, says = not subject.same_shapes(), subject.row.changes_shapes
    assert changed == says, f"the row says changes_shapes={says}; changed: {changed}"


@check("data transform")
def other_entries(subject: DataTransformSubject) -> None:
    """Entries of the batch that it does not know stay as they are."""
    assert_equal(*subject.values["extra"], "an unknown entry of the batch is changed")
