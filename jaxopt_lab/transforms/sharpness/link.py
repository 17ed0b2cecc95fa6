"""The frame of the sharpness links: whose gradient, where, and averaged how."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import devices, loops, requirements
from jaxopt_lab.core.typing import GradFn, Params, Scalar, Updates
from jaxopt_lab.transforms.sharpness.ascent import Ascent, Climb

Sync = Literal["global", "local"]

# body(grad, first) -> gradient for the base optimizer, where ``grad(params, i)`` is
# the gradient elsewhere and ``first`` the one at the parameters
Body = Callable[[GradFn, Updates], Updates]

# descend(climb, grad, params, first, count) -> gradient for the base optimizer
Descend = Callable[[Climb, GradFn, Params, Updates, jax.Array], Updates]

# aim(average, first, count) -> (direction of the ascent, new average)
Aim = Callable[[Updates, Updates, jax.Array], tuple[Updates, Updates]]


class SamState(NamedTuple):
    """State of the sharpness links that remember nothing: 0 bytes per parameter.

    Attributes:
      count: int32 scalar, number of updates so far; the argument of schedules.
    """

    count: jax.Array


@dataclasses.dataclass(frozen=True)
class Passes:
    """Over which part of the batch each perturbation is taken.

    Attributes:
      sync: ``"global"``: along the gradient averaged over all devices; ``"local"``:
        along each device's own.
      axis_name: the devices' axis, for a plain ``grad_fn``.
      num_shards: number of shards on this device, each perturbed by itself;
        ``None``: the whole batch at once.
      mode: how the loop over the shards runs.
    """

    sync: Sync = "global"
    axis_name: str | None = None
    num_shards: int | None = None
    mode: loops.Mode = "unroll"

    def run(
        self,
        link: str,
        body: Body,
        updates: Updates,
        params: Params,
        grad_fn: GradFn,
    ) -> Updates:
        """``body`` on the whole batch, or on every shard and averaged.

        Args:
          link: name of the method, for error messages.
          body: what to do with a gradient function and the gradient at ``params``.
          updates: the gradient that the link was given.
          params: the parameters.
          grad_fn: the gradient elsewhere.

        Returns:
          The gradient for the base optimizer, in the dtypes of ``updates``.
        """
        if self.sync == "local" or self.num_shards is not None:
            name = f"{link}(sync='local')" if self.num_shards is None else link
            sharded = requirements.require_shards(name, grad_fn)
            shards = sharded.shard(self.num_shards or 1)

            def on_shard(grad: Callable[[Params], Updates]) -> Updates:
                def at(params: Params, i: int | jax.Array = 0) -> Updates:
                    del i  # one batch and one key for all passes of a shard
                    return grad(params)

                return body(at, grad(params))

            sharp = shards.mean(on_shard, self.mode)
        else:
            sharp = body(averaged(grad_fn, self.axis_name), updates)
        return jax.tree.map(lambda g, u: g.astype(u.dtype), sharp, updates)


def averaged(grad_fn: GradFn, axis_name: str | None) -> GradFn:
    """A gradient function whose results are averaged over an axis.

    Args:
      grad_fn: a plain gradient function, or one that knows its axis.
      axis_name: the axis, or None.

    Returns:
      The averaging function; ``grad_fn`` itself where there is no axis.
    """
    if axis_name is None:
        return grad_fn
    return lambda params, i=0: devices.pmean(grad_fn(params, i), axis_name)


def stateless_link(
    ascent: Ascent, descend: Descend, passes: Passes
) -> optax.GradientTransformationExtraArgs:
    """A sharpness link that remembers only the number of its updates.

    Args:
      ascent: how it climbs.
      descend: what it makes of the climb; see ``Descend``.
      passes: over which part of the batch.

    Returns:
      The link; its state is a ``SamState``.
    """

    def init_fn(params: Params) -> SamState:
        del params
        return SamState(count=jnp.zeros((), jnp.int32))

    def update_fn(
        updates: Updates,
        state: Any,
        params: Params | None = None,
        *,
        grad_fn: GradFn | None = None,
        **extra: Any,
    ) -> tuple[Updates, SamState]:
        del extra
        link = ascent.link
        params, grad_fn = requirements.require_grad_fn(link, updates, params, grad_fn)
        climb = ascent.at(params, state.count)

        def body(grad: GradFn, first: Updates) -> Updates:
            return descend(climb, grad, params, first, state.count)

        sharp = passes.run(link, body, updates, params, grad_fn)
        return sharp, SamState(count=jnp.asarray(optax.safe_increment(state.count)))

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


class AverageState(NamedTuple):
    """State of the links that aim with an average: 4 bytes per float32 parameter.

    Attributes:
      count: int32 scalar, number of updates so far; the argument of schedules.
      average: like the parameters, running average of the gradients.
    """

    count: jax.Array
    average: Updates


def averaging_link(
    ascent: Ascent, aim: Aim, axis_name: str | None
) -> optax.GradientTransformationExtraArgs:
    """A sharpness link whose ascent depends on the gradients of earlier steps.

    Args:
      ascent: how it climbs.
      aim: along what, and what it remembers; see ``Aim``.
      axis_name: the devices' axis, for a plain ``grad_fn``.

    Returns:
      The link; its state is an ``AverageState``, zeros at first.
    """

    def init_fn(params: Params) -> AverageState:
        zeros = jax.tree.map(jnp.zeros_like, params)
        return AverageState(jnp.zeros((), jnp.int32), zeros)

    def update_fn(
        updates: Updates,
        state: Any,
        params: Params | None = None,
        *,
        grad_fn: GradFn | None = None,
        **extra: Any,
    ) -> tuple[Updates, AverageState]:
        del extra
        link = ascent.link
        params, grad_fn = requirements.require_grad_fn(link, updates, params, grad_fn)
        climb = ascent.at(params, state.count)
        direction, average = aim(state.average, updates, state.count)

        def body(grad: GradFn, first: Updates) -> Updates:
            del first
            return grad(climb(params, direction), 0)

        passes = Passes(axis_name=axis_name)
        sharp = passes.run(link, body, updates, params, grad_fn)
        average = jax.tree.map(lambda a, s: a.astype(s.dtype), average, state.average)
        count = jnp.asarray(optax.safe_increment(state.count))
        return sharp, AverageState(count, average)

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def running_average(
    average: Updates, gradient: Updates, decay: Scalar, count: jax.Array
) -> Updates:
    """``decay * average + (1 - decay) * gradient``; the gradient itself at first.

    Args:
      average: what was remembered.
      gradient: the newest gradient.
      decay: in [0, 1].
      count: number of updates so far.

    Returns:
      The new average.
    """

    def one(a: jax.Array, g: jax.Array) -> jax.Array:
        keep = jnp.asarray(decay, a.dtype)
        new = g.astype(a.dtype)
        return jnp.where(count == 0, new, keep * a + (1 - keep) * new)

    return jax.tree.map(one, average, gradient)


def gradient_above(
    climb: Climb, grad: GradFn, params: Params, first: Updates, count: jax.Array
) -> Updates:
    """The ``Descend`` of SAM: the gradient at the end of one climb.

    Args:
      climb: the climb of this update.
      grad: the gradient elsewhere.
      params: the parameters.
      first: the gradient at the parameters.
      count: number of updates so far.

    Returns:
      The gradient at the perturbed point.
    """
    del count
    return grad(climb(params, first), 0)
