"""Derivatives of a whole run, and gradients that are not numbers."""

from __future__ import annotations

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from battery import problems
from battery.registry import check
from battery.subject import Subject, step


def _finite(subject: Subject, params: Any, batch: Any) -> None:
    hyper = jax.tree.map(jnp.asarray, subject.defaults())
    value, gradients = subject.outer(hyper, params, batch)
    chex.assert_tree_all_finite(value)
    for path, leaf in jax.tree.leaves_with_path(gradients):
        name = jax.tree_util.keystr(path)
        assert bool(jnp.all(jnp.isfinite(leaf))), f"derivative {name} is {leaf}"


@check()
def finite_at_zero_gradients(subject: Subject) -> None:
    """Derivatives of three steps where every gradient is zero."""
    batch = {**problems.batch(), "s": jnp.zeros(4)}
    _finite(subject, problems.params(), batch)


@check()
def finite_at_a_product(subject: Subject) -> None:
    """Derivatives of three steps of ``a * b`` from ``b = 0``."""
    _finite(subject, {**problems.params(), "b": jnp.zeros(())}, problems.batch())


@check()
def finite_at_zero_parameters(subject: Subject) -> None:
    """Derivatives of three steps from zero parameters."""
    zeros = jax.tree.map(jnp.zeros_like, problems.params())
    _finite(subject, zeros, problems.batch())


@check(lambda row: row.differentiable)
def finite_differences(subject: Subject) -> None:
    """Derivatives of three steps equal central differences."""
    batch = problems.batch()
    hyper = jax.tree.map(jnp.asarray, subject.others())
    hyper = {k: v for k, v in hyper.items() if jnp.issubdtype(v.dtype, jnp.floating)}
    flat, unravel = jax.flatten_util.ravel_pytree((hyper, problems.params()))
    _, gradients = subject.outer(*unravel(flat), batch)
    exact = np.asarray(jax.flatten_util.ravel_pytree(gradients)[0])
    assert np.all(np.isfinite(exact)), exact
    h = 1e-5
    for i in range(flat.size):
        up, _ = subject.outer(*unravel(flat.at[i].add(h)), batch)
        down, _ = subject.outer(*unravel(flat.at[i].add(-h)), batch)
        measured = float(up - down) / (2 * h)
        scale = max(abs(exact[i]), abs(measured), 1e-2)
        assert abs(measured - exact[i]) <= 1e-6 * scale, (
            f"coordinate {i}: derivative {exact[i]}, central difference {measured}"
        )


@check()
def nan_gradient(subject: Subject) -> None:
    """A gradient that is no number shows in the updates, or the step is skipped."""
    params, batch = problems.params(), problems.batch()
    params, state, _ = step(subject.tx, params, subject.tx.init(params), batch)
    bad = {**batch, "x": batch["x"].at[0, 0].set(jnp.nan)}
    _, after, updates = step(subject.tx, params, state, bad)
    if not bool(jnp.all(jnp.isfinite(updates["w"]))):
        return
    assert all(not bool(jnp.any(u)) for u in jax.tree.leaves(updates)), (
        "finite updates other than zero from a gradient that is no number"
    )
    for old, new in zip(jax.tree.leaves(state), jax.tree.leaves(after), strict=True):
        if jnp.issubdtype(old.dtype, jnp.floating):
            assert bool(jnp.array_equal(old, new)), "the state has changed silently"
