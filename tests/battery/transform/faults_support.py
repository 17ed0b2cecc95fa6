"""What the planted faults are planted in: a sound optimizer and a sound link."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from battery import faults
from jaxopt_lab.catalog import Neutral, Transform
from jaxopt_lab.core.options import DECAY, NON_NEGATIVE, POSITIVE, Option
from jaxopt_lab.core.typing import ScalarOrSchedule
from jaxopt_lab.transforms import sharpness


class TraceState(NamedTuple):
    """Number of updates so far, and the momentum."""

    count: jax.Array
    trace: Any


def at(rate: ScalarOrSchedule, count: jax.Array) -> Any:
    """A hyper-parameter at a step."""
    return rate(count) if callable(rate) else rate


def sound_init(params: Any) -> TraceState:
    """A state without fault."""
    return TraceState(jnp.zeros((), jnp.int32), jax.tree.map(jnp.zeros_like, params))


def sound_update(
    learning_rate: ScalarOrSchedule,
    momentum: float,
    updates: Any,
    state: TraceState,
) -> tuple[Any, TraceState]:
    """Heavy-ball momentum without fault."""
    trace = jax.tree.map(lambda t, u: momentum * t + u, state.trace, updates)
    rate = at(learning_rate, state.count)
    steps = jax.tree.map(lambda t: -rate * t, trace)
    return steps, TraceState(state.count + 1, trace)


def sound(
    learning_rate: ScalarOrSchedule = 0.05, momentum: float = 0.9
) -> optax.GradientTransformationExtraArgs:
    """Heavy-ball momentum without fault."""

    def update(updates, state, params=None, **extra):
        return sound_update(learning_rate, momentum, updates, state)

    return optax.GradientTransformationExtraArgs(sound_init, update)


def with_init(init: Callable[[Any], Any]) -> Callable[..., Any]:
    """The sound optimizer with another ``init``."""

    def factory(learning_rate: ScalarOrSchedule = 0.05, momentum: float = 0.9):
        return optax.GradientTransformationExtraArgs(
            init, sound(learning_rate, momentum).update
        )

    return factory


def starting_with(zeros: Callable[[Any], Any]) -> Callable[..., Any]:
    """The sound optimizer, its momentum starting as ``zeros(leaf)``."""

    def init(params):
        return TraceState(jnp.zeros((), jnp.int32), jax.tree.map(zeros, params))

    return with_init(init)


def with_gradient(
    change: Callable[[Any, Any, Any], Any],
) -> Callable[..., Any]:
    """The sound optimizer fed with ``change(updates, state, params)``."""

    def factory(learning_rate: ScalarOrSchedule = 0.05, momentum: float = 0.9):
        def update(updates, state, params=None, **extra):
            changed = change(updates, state, params)
            return sound_update(learning_rate, momentum, changed, state)

        return optax.GradientTransformationExtraArgs(sound_init, update)

    return factory


def with_updates(change: Callable[[Any], Any]) -> Callable[..., Any]:
    """The sound optimizer, each leaf of its updates changed at the end."""

    def factory(learning_rate: ScalarOrSchedule = 0.05, momentum: float = 0.9):
        def update(updates, state, params=None, **extra):
            steps, state = sound_update(learning_rate, momentum, updates, state)
            return jax.tree.map(change, steps), state

        return optax.GradientTransformationExtraArgs(sound_init, update)

    return factory


OPTIMIZER = Transform(
    name="sound optimizer",
    family="planted",
    role="optimizer",
    summary="no fault",
    build=sound,
    reduces_to=Neutral({"learning_rate": 0.0}, "optax:set_to_zero"),
    options={
        "learning_rate": Option(0.05, "step size", POSITIVE),
        "momentum": Option(0.9, "decay", DECAY),
    },
    gradients=1,
    state_bytes="4",
    temp_bytes="0",
    paper="",
)


def sound_wrapper(
    base: optax.GradientTransformation, scale: ScalarOrSchedule = 1.0
) -> optax.GradientTransformationExtraArgs:
    """Hands its base a multiple of the gradient."""
    inner = optax.with_extra_args_support(base)

    def init(params):
        return inner.init(params), jnp.zeros((), jnp.int32)

    def update(updates, state, params=None, **extra):
        factor = at(scale, state[1])
        scaled = jax.tree.map(lambda u: factor * u, updates)
        updates, base_state = inner.update(scaled, state[0], params, **extra)
        return updates, (base_state, state[1] + 1)

    return optax.GradientTransformationExtraArgs(init, update)


WRAPPER = dataclasses.replace(
    OPTIMIZER,
    name="sound wrapper",
    role="wrapper",
    build=sound_wrapper,
    reduces_to=Neutral({"scale": 1.0}, "inner"),
    options={"scale": Option(1.0, "factor of the gradient", POSITIVE)},
    state_bytes="0",
)

LINK = Transform(
    name="sound link",
    family="planted",
    role="link",
    summary="no fault",
    build=sharpness.sam,
    reduces_to=Neutral({"rho": 0.0}, "optax:identity"),
    options={"rho": Option(0.05, "radius", NON_NEGATIVE)},
    gradients=2,
    state_bytes="0",
    temp_bytes="4",
    paper="",
    needs=frozenset({"params", "grad_fn"}),
)


def plant(
    name: str,
    aim: str,
    words: str,
    factory: Callable[..., Any],
    *,
    base: Transform = OPTIMIZER,
    also: set[str] | None = None,
    **claims: Any,
) -> None:
    """Add a fault: a sound row with a broken factory, or with a false claim."""
    row = dataclasses.replace(base, name=name, build=factory, **claims)
    faults.plant("transform", name, aim, words, row, also or set())
