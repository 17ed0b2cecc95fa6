"""Shared scaffolding of SAM-type links: perturb, evaluate, average over shards."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import checks, devices, gradients, loops, trees
from jaxopt_lab.core.checks import increment
from jaxopt_lab.core.typing import GradFn, Params, Scalar, Updates
from jaxopt_lab.transforms.sharpness.perturbation import Perturbation, PerturbFn

Sync = Literal["global", "local"]

# body(grad, grad_at_params) -> gradient for the base optimizer; ``grad(point, i)`` is
# the gradient at another point
Body = Callable[[GradFn, Updates], Updates]

# point(grad_at_params) -> where the gradient for the base optimizer is taken
PointFn = Callable[[Updates], Params]

# combine(perturb, grad, params, grad_at_params, count) -> gradient for the base
# optimizer
CombineFn = Callable[[PerturbFn, GradFn, Params, Updates, jax.Array], Updates]

# direction_fn(average, grad_at_params, count) -> (direction of the ascent, new average)
DirectionFn = Callable[[Updates, Updates, jax.Array], tuple[Updates, Updates]]


class SamState(NamedTuple):
    """State of the links without memory: 0 bytes per parameter.

    Attributes:
      count: int32 scalar, number of updates so far; the argument of schedules.
    """

    count: jax.Array


@dataclasses.dataclass(frozen=True)
class PerturbationScope:
    """Part of the batch over which each perturbation is taken (m-sharpness).

    Attributes:
      sync: ``"global"``: along the gradient averaged over all devices; ``"local"``:
        along each device's own.
      axis_name: the devices' axis, for a plain ``grad_fn``.
      num_shards: number of shards on this device, each with its own perturbation;
        ``None``: the whole batch at once.
      mode: how the loop over the shards runs.
    """

    sync: Sync = "global"
    axis_name: str | None = None
    num_shards: int | None = None
    mode: loops.ModeOrAuto = "unroll"

    @property
    def on_shards(self) -> bool:
        """Whether every part has a perturbation, and a gradient, of its own."""
        return self.sync == "local" or self.num_shards is not None

    def run(
        self,
        link: str,
        body: Body,
        updates: Updates,
        params: Params,
        grad_fn: GradFn,
        point: PointFn | None = None,
    ) -> Updates:
        """``body`` on the whole batch, or on every shard and averaged.

        Args:
          link: name of the method, for error messages.
          body: maps a gradient function and the gradient at ``params`` to a gradient.
          point: maps the gradient at ``params`` to the point whose gradient ``body``
            gives, if it gives that of one: the shards' gradients there are then summed
            as they are made.
          updates: the gradient that the link was given.
          params: the parameters.
          grad_fn: gradient function for other points.

        Returns:
          The gradient for the base optimizer, in the dtypes of ``updates``.
        """
        if self.on_shards:
            name = f"{link}(sync='local')" if self.num_shards is None else link
            sharded = checks.require_shards(name, grad_fn)
            shards = sharded.shard(self.num_shards or 1)

            def on_shard(grad: Callable[[Params], Updates]) -> Updates:
                def at(params: Params, i: int | jax.Array = 0) -> Updates:
                    del i  # all evaluations of a shard share one batch and one key
                    return grad(params)

                return body(at, grad(params))

            if point is None:
                sharp = shards.mean(on_shard, self.mode)
            else:
                sharp = shards.mean_gradient(
                    lambda grad: point(grad(params)), self.mode
                )
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
    return gradients.MappedGradFn(
        grad_fn, on_grads=lambda grads, _: devices.pmean(grads, axis_name)
    )


def stateless_link(
    perturbation: Perturbation,
    combine: CombineFn,
    scope: PerturbationScope,
    given: str = "the direction of the ascent",
) -> optax.GradientTransformationExtraArgs:
    """A sharpness link whose only state is its update count.

    Args:
      perturbation: its perturbation rule.
      combine: computes the gradient to return; see ``CombineFn``.
      scope: part of the batch of each perturbation.
      given: use that ``combine`` makes of the gradient the link is given; on shards,
        which compute their own, none.

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
        updates, params = trees.arrays((updates, params))
        link = perturbation.link
        params, grad_fn = gradients.enter_transform(
            link,
            updates,
            params,
            grad_fn,
            None if scope.on_shards else given,
            scope.axis_name,
        )
        perturb = perturbation.at(params, state.count)

        def body(grad: GradFn, grad_at_params: Updates) -> Updates:
            return combine(perturb, grad, params, grad_at_params, state.count)

        def perturbed(grad_at_params: Updates) -> Params:
            return perturb(params, grad_at_params)

        point = perturbed if combine is gradient_at_perturbed else None
        sharp = scope.run(link, body, updates, params, grad_fn, point)
        return sharp, SamState(count=increment(state.count))

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


class AverageState(NamedTuple):
    """State of the links that ascend along an average: 4 bytes per float32 parameter.

    Attributes:
      count: int32 scalar, number of updates so far; the argument of schedules.
      average: like the parameters (narrow ones in ``compute_dtype``), running average
        of the gradients.
    """

    count: jax.Array
    average: Updates


def averaging_link(
    perturbation: Perturbation, direction_fn: DirectionFn, axis_name: str | None
) -> optax.GradientTransformationExtraArgs:
    """A sharpness link whose ascent depends on the gradients of earlier steps.

    Args:
      perturbation: its perturbation rule.
      direction_fn: gives the ascent direction and the new average; see ``DirectionFn``.
      axis_name: the devices' axis, for a plain ``grad_fn``.

    Returns:
      The link; its state is an ``AverageState``, zeros at first.
    """

    def init_fn(params: Params) -> AverageState:
        return AverageState(jnp.zeros((), jnp.int32), perturbation.state_zeros(params))

    def update_fn(
        updates: Updates,
        state: Any,
        params: Params | None = None,
        *,
        grad_fn: GradFn | None = None,
        **extra: Any,
    ) -> tuple[Updates, AverageState]:
        updates, params = trees.arrays((updates, params))
        del extra
        link = perturbation.link
        given = "the running average and the direction of the ascent"
        params, grad_fn = gradients.enter_transform(
            link, updates, params, grad_fn, given, axis_name
        )
        perturb = perturbation.at(params, state.count)
        direction, average = direction_fn(state.average, updates, state.count)

        def body(grad: GradFn, grad_at_params: Updates) -> Updates:
            del grad_at_params
            return grad(perturb(params, direction), 0)

        scope = PerturbationScope(axis_name=axis_name)
        sharp = scope.run(link, body, updates, params, grad_fn)
        average = jax.tree.map(lambda a, s: a.astype(s.dtype), average, state.average)
        count = increment(state.count)
        return sharp, AverageState(count, average)

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def running_average(
    average: Updates, gradient: Updates, decay: Scalar, count: jax.Array
) -> Updates:
    """``decay * average + (1 - decay) * gradient``; the gradient itself at first.

    Args:
      average: the average so far.
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


def gradient_at_perturbed(
    perturb: PerturbFn,
    grad: GradFn,
    params: Params,
    grad_at_params: Updates,
    count: jax.Array,
) -> Updates:
    """The ``CombineFn`` of SAM: the gradient at the perturbed point.

    Args:
      perturb: the perturbation function of this update.
      grad: gradient function for other points.
      params: the parameters.
      grad_at_params: the gradient at the parameters.
      count: number of updates so far.

    Returns:
      The gradient at the perturbed point.
    """
    del count
    return grad(perturb(params, grad_at_params), 0)
