"""The checks of recipes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from battery.parts.common import register_common
from battery.parts.compare import TIGHT, assert_close, assert_equal
from battery.parts.host import OF_FUNCTIONS
from battery.recipe.subject import STEPS, RecipeSubject
from battery.registry import check
from jaxopt_lab.core.errors import InputError

register_common(RecipeSubject, without=OF_FUNCTIONS)
CLOSE = {"rtol": 1e-9, "atol": 1e-10}


@check("recipe")
def scan(subject: RecipeSubject) -> None:
    """Steps in a scan are steps one after the other."""
    found, steps = subject.values["scan"], subject.values["steps"][1]
    assert_close(found, steps, "in a scan it trains otherwise", **CLOSE)


@check("recipe", tier="full")
def seeds(subject: RecipeSubject) -> None:
    """Several seeds by vmap are runs one after the other."""
    assert_close(*subject.rare["seeds"], "vmap over seeds is not a loop", **CLOSE)


@check("recipe", tier="full")
def micro_batches(subject: RecipeSubject) -> None:
    """Two micro-batches are the whole batch, or are refused where examples couple."""
    if subject.row.couples:
        try:
            subject.step(micro_batches=2)
        except InputError:
            return
        raise AssertionError("in micro-batches it couples other examples")
    found, whole = subject.rare["micro"], subject.values["steps"][1]
    assert_close(found, whole, "in micro-batches it trains otherwise", **CLOSE)


@check("recipe")
def neutral(subject: RecipeSubject) -> None:
    """At its neutral setting it is the plain step."""
    words = f"at its neutral setting it is not {subject.row.reduces_to.equals}"
    assert_close(*subject.values["neutral"], words, **CLOSE)


@check("recipe")
def roles(subject: RecipeSubject) -> None:
    """Parameters and optimizer state are dicts by role; frozen roles stay."""
    first, (last, metrics) = subject.values["steps"]
    wanted = set(subject.row.roles)
    for name in ("params", "opt_state"):
        found = set(getattr(first, name))
        assert found == wanted, f"{name} has the roles {sorted(found)}"
    for role in wanted:
        before, after = first.params[role], last.params[role]
        same = all(
            np.array_equal(a, b)
            for a, b in zip(
                jax.tree.leaves(before), jax.tree.leaves(after), strict=True
            )
        )
        frozen = role in subject.row.frozen
        assert same == frozen, f"{role} {'is' if frozen else 'is not'} frozen"
    assert "loss" in metrics and np.isfinite(metrics["loss"]), f"{metrics}"
    assert first.step + STEPS == last.step, "the steps are not counted"


@check("recipe")
def types(subject: RecipeSubject) -> None:
    """Shapes and types of the state stay, without an implicit change of type."""
    for dtype in (jnp.float64, jnp.float32):
        with jax.numpy_dtype_promotion("strict"):
            before, after, metrics = subject.types(dtype)
        assert before == after, f"for {jnp.dtype(dtype)} the state changes its types"
        wide = jnp.dtype(dtype).name
        kinds = {kind for _, kind in jax.tree.leaves(metrics, is_leaf=_is_type)}
        assert kinds == {wide}, f"for {wide} the metrics are {kinds}"


@check("recipe", tier="full")
def runs_under_fit(subject: RecipeSubject) -> None:
    """``fit`` trains it as a loop of its own does."""
    found, _, _ = subject.fitted
    words = "under fit it trains otherwise"
    assert_close(found, subject.values["steps"][1][0], words, **CLOSE)


@check("recipe", tier="full")
def checkpoint(subject: RecipeSubject) -> None:
    """Saved and restored, the state is the same in the same containers."""
    found, restored, structure = subject.fitted
    assert_equal(restored, found, "restored it is another state")
    assert jax.tree.structure(restored) == structure, "restored in other containers"


@check(
    "recipe", tier=lambda row: "plain" if row.name == RecipeSubject.first else "full"
)
def two_devices(subject: RecipeSubject) -> None:
    """With the batch divided over two devices it is what it is on one."""
    words = "on two devices it trains otherwise"
    assert_close(subject.on_devices(), subject.values["steps"][1], words, **TIGHT)


def _is_type(x: object) -> bool:
    return isinstance(x, tuple)
