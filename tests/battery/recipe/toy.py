"""A sound recipe, small enough to be broken in one place."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax

from battery.recipe.cases import Case
from jaxopt_lab.catalog.examples.batches import student_and_teacher
from jaxopt_lab.catalog.schema import Neutral, Recipe
from jaxopt_lab.training import TrainState, init_state, make_train_step

RATE = 0.1


def anchored(weight: float = 0.5, micro_batches: int = 1, micro_loop: str = "auto"):
    """Least squares, pulled towards an anchor.

    Args:
      weight: of the pull.
      micro_batches: parts of the batch.
      micro_loop: how they are run.

    Returns:
      The step.

    >>> callable(anchored())
    True
    """

    def step(state: Any, batch: Any) -> Any:
        anchor = state.params["anchor"]

        def loss_fn(params: Any, model_state: Any, batch: Any, key: Any) -> Any:
            loss, rest = fit_loss(params, model_state, batch, key)
            pull = jnp.sum((params - anchor) ** 2)
            return loss + jnp.asarray(weight, loss.dtype) * pull, rest

        inner = make_train_step(
            loss_fn, tx(), micro_batches=micro_batches, micro_loop=micro_loop
        )
        own = TrainState(
            state.step, state.params["free"], {}, state.opt_state["free"], state.key
        )
        after, metrics = inner(own, batch)
        params = {"free": after.params, "anchor": anchor}
        opt_state = {"free": after.opt_state, "anchor": ()}
        return TrainState(after.step, params, {}, opt_state, after.key), metrics

    return step


def tx() -> Any:
    """Momentum."""
    return optax.sgd(RATE, momentum=0.9)


def fit_loss(params: Any, model_state: Any, batch: Any, key: Any) -> Any:
    """Mean square of the outputs."""
    return jnp.mean((batch["image"] @ params) ** 2), (model_state, {})


def init(params: Any, key: Any) -> TrainState:
    """A fresh state."""
    state = init_state(tx(), params["student"], key)
    roles = {"free": params["student"], "anchor": params["teacher"]}
    return state._replace(
        params=roles, opt_state={"free": state.opt_state, "anchor": ()}
    )


CASE = Case(
    step=lambda build, options, **more: build(**options, **more),
    state=init,
    plain=lambda make: make(fit_loss, tx()),
    plain_state=lambda params, key: init_state(tx(), params["student"], key),
    plain_part=lambda state: (state.params["free"], state.opt_state["free"]),
)


def example() -> dict[str, Any]:
    """Eight examples."""
    given = student_and_teacher()
    return {"batch": given["batch"], "params": given["params"], "weight": 0.3}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Toy(Recipe):
    """A row that brings its own case."""

    case: Case = CASE


TOY = Toy(
    name="anchored",
    summary="the toy",
    build=anchored,
    reduces_to=Neutral({"weight": 0.0}, make_train_step),  # type: ignore[arg-type]
    options=("weight",),
    example=example,
    roles=("free", "anchor"),
    gradients={"free": 1, "anchor": 0},
    frozen=("anchor",),
)
TOYS = (TOY,)
Change = Callable[..., Any]


def with_step(change: Change, *, state: Any = init, **header: Any) -> Recipe:
    """The toy whose results go through ``change(after, metrics, before, options)``."""

    def build(weight: float = 0.5, micro_batches: int = 1, micro_loop: str = "auto"):
        sound = anchored(weight, micro_batches, micro_loop)
        options = {"weight": weight, "micro_batches": micro_batches}

        def step(before: Any, batch: Any) -> Any:
            after, metrics = sound(before, batch)
            return change(after, metrics, before, {**options, "batch": batch})

        return step

    build.__doc__ = anchored.__doc__
    case = CASE._replace(state=state)
    return dataclasses.replace(TOY, name="broken", build=build, case=case, **header)


def moved(state: Any, by: Any) -> Any:
    """A state with its free parameters moved."""
    free = state.params["free"]
    return state._replace(
        params={**state.params, "free": free + jnp.asarray(by, free.dtype)}
    )
