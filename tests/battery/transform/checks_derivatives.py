"""Derivatives of a whole run, and gradients that are not numbers."""

from __future__ import annotations

import chex
import jax
import numpy as np

from battery.registry import check
from battery.transform import parts
from battery.transform.deferred import tier
from battery.transform.subject import Subject


def _finite(subject: Subject, point: str) -> None:
    value, gradients = parts.differentiated_at(subject)[point]
    chex.assert_tree_all_finite(value)
    for path, leaf in jax.tree.leaves_with_path(gradients):
        name = jax.tree_util.keystr(path)
        assert np.all(np.isfinite(leaf)), f"derivative {name} is {leaf}"


@check("transform")
def finite_at_zero_gradients(subject: Subject) -> None:
    """Derivatives of three steps where every gradient is zero."""
    _finite(subject, "zero gradients")


@check("transform")
def finite_at_a_product(subject: Subject) -> None:
    """Derivatives of three steps of ``a * b`` from ``b = 0``."""
    _finite(subject, "a product")


@check("transform")
def finite_at_zero_parameters(subject: Subject) -> None:
    """Derivatives of three steps from zero parameters."""
    _finite(subject, "zero parameters")


@check("transform", lambda row: row.differentiable)
def finite_differences(subject: Subject) -> None:
    """Derivatives of three steps equal central differences."""
    found = parts.differentiated_at(subject)
    leaves = jax.tree.leaves(found["others"][1])
    floating = [leaf for leaf in leaves if leaf.dtype.kind == "f"]
    exact = np.concatenate([leaf.ravel() for leaf in floating])
    assert np.all(np.isfinite(exact)), exact
    assert len(found) == 5 + 2 * exact.size
    for i, derivative in enumerate(exact):
        up, down = (found[f"{i} {sign}"][0] for sign in (1, -1))
        measured = float(up - down) / (2 * parts.H)
        scale = max(abs(derivative), abs(measured), 1e-2)
        assert abs(measured - derivative) <= 1e-6 * scale, (
            f"coordinate {i}: derivative {derivative}, central difference {measured}"
        )


@check("transform", tier=tier)
def nan_gradient(subject: Subject) -> None:
    """A gradient that is no number shows in the updates, or the step is skipped."""
    _, state = subject.donated.path[0]
    _, after, updates = subject.donated.after_nan
    if not np.all(np.isfinite(updates["w"])):
        return
    assert not any(np.any(u) for u in jax.tree.leaves(updates)), (
        "finite updates other than zero from a gradient that is no number"
    )
    for old, new in zip(jax.tree.leaves(state), jax.tree.leaves(after), strict=True):
        if jax.numpy.issubdtype(old.dtype, np.floating):
            assert np.array_equal(old, new), "the state has changed silently"
