"""The step to the perturbed point that the sharpness methods share."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from jaxopt_lab import requirements, trees
from jaxopt_lab.errors import InputError
from jaxopt_lab.sharpness.scaling import (
    NormOrder,
    ScalingName,
    check_order,
    check_scaling,
    scaling_tree,
)
from jaxopt_lab.typing import MaskOrFn, Params, Scalar, ScalarOrSchedule, Updates

NormOver = Literal["perturbed", "all"]

# climb(point, direction) -> perturbed point
Climb = Callable[[Params, Updates], Params]


def value_at(value: ScalarOrSchedule, count: jax.Array) -> Scalar:
    """A hyper-parameter at a step.

    Args:
      value: a number, a traced scalar, or a schedule.
      count: number of updates so far.

    Returns:
      The number, or what the schedule gives.
    """
    return value(count) if callable(value) else value


def check_non_negative(name: str, value: Any) -> None:
    """Refuse a Python number below zero; schedules and traced values pass.

    Args:
      name: name of the argument, for the message.
      value: what was given.

    Raises:
      InputError: it is negative or NaN.
    """
    if isinstance(value, int | float) and not value >= 0:
        raise InputError(f"{name} must be at least 0; got {value}")


def check_unit(name: str, value: Any) -> None:
    """Refuse a Python number outside of [0, 1]; schedules and traced values pass.

    Args:
      name: name of the argument, for the message.
      value: what was given.

    Raises:
      InputError: it is out of range or NaN.
    """
    if isinstance(value, int | float) and not 0 <= value <= 1:
        raise InputError(f"{name} must lie in [0, 1]; got {value}")


def check_positive_count(name: str, value: Any) -> None:
    """Refuse anything but a whole number of at least 1.

    Args:
      name: name of the argument, for the message.
      value: what was given.

    Raises:
      InputError: it is no ``int``, or less than 1.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"{name} must be a whole number of at least 1; got {value!r}")


def perturb(
    params: Params,
    direction: Updates,
    rho: Scalar,
    mask: PyTree,
    norm_over: NormOver,
    *,
    scaling: PyTree | None = None,
    damping: Scalar | None = None,
) -> Params:
    r"""``params + rho * T^2 d / ||T d||`` on the leaves under the mask.

    The norm is the Euclidean one over all tensors together, accumulated in float32
    or better. Where it is zero the perturbation is zero, and so is its derivative:
    dividing by ``norm + tiny`` gives the same values but a derivative of
    ``rho / tiny``, which destroys a gradient taken through the training run.

    Args:
      params: the point to start from.
      direction: ascent direction ``d``, a tree like ``params``.
      rho: radius, in the units of the parameters' norm.
      mask: tree of booleans, which leaves (or which of their entries) move.
      norm_over: ``"perturbed"``: the norm over the leaves that move, so that the
        perturbation has length ``rho`` where T is 1; ``"all"``: over every leaf.
      scaling: the diagonal T, a tree like ``params``; ``None`` for 1.
      damping: added to the norm where the norm is not zero.

    Returns:
      The perturbed parameters, in their own dtypes.
    """
    scaled = direction
    if scaling is not None:
        scaled = jax.tree.map(lambda t, d: t * d.astype(t.dtype), scaling, direction)
    moved = jax.tree.map(lambda m, d: jnp.where(m, d, jnp.zeros_like(d)), mask, scaled)
    norm = trees.global_norm(moved if norm_over == "perturbed" else scaled)
    if damping is not None:
        norm = jnp.where(norm == 0, norm, norm + jnp.asarray(damping, norm.dtype))
    scale = trees.safe_divide(jnp.asarray(rho, norm.dtype), norm)

    def step(p: jax.Array, d: jax.Array, t: jax.Array | None = None) -> jax.Array:
        wide = trees.accumulation_dtype(d.dtype)
        length = scale.astype(wide) * d.astype(wide)
        return p + (length if t is None else t * length).astype(p.dtype)

    if scaling is None:
        return jax.tree.map(step, params, moved)
    return jax.tree.map(step, params, moved, scaling)


@dataclasses.dataclass(frozen=True)
class Ascent:
    """How a method climbs: checked once, resolved at each step.

    Attributes:
      link: name of the method, for error messages.
      rho: radius; number, traced scalar or schedule.
      scaling: name of the diagonal T, recomputed at every point that is left.
      eta: added to the magnitudes in T.
      p: order of SAMSON's norm.
      adapt_mask: leaves that T scales; ``None``: all but those called ``bias``.
      perturb_mask: leaves that move; ``None``: all.
      norm_over: leaves over which the norm is taken.
      damping: added to the norm; ``None``: nothing.
    """

    link: str
    rho: ScalarOrSchedule
    scaling: ScalingName = "sam"
    eta: ScalarOrSchedule = 0.0
    p: NormOrder = math.inf
    adapt_mask: MaskOrFn | None = None
    perturb_mask: MaskOrFn | None = None
    norm_over: NormOver = "perturbed"
    damping: Scalar | None = None

    def __post_init__(self) -> None:
        if self.norm_over not in ("perturbed", "all"):
            raise InputError(
                f"norm_over must be 'perturbed' or 'all'; got {self.norm_over!r}"
            )
        check_scaling(self.scaling)
        check_order(self.p)
        check_non_negative("rho", self.rho)
        check_non_negative("eta", self.eta)

    def at(self, params: Params, count: jax.Array) -> Climb:
        """The climb of one update.

        Args:
          params: the parameters of the update; masks are resolved against them.
          count: number of updates so far, the argument of schedules.

        Returns:
          ``climb(point, direction)``, which takes T from ``point``.

        Raises:
          InputError: a mask does not fit, or a leaf that moves is narrower than
            float32.
        """
        mask = trees.resolve_mask(self.perturb_mask, params, "perturb_mask")
        requirements.require_float32(self.link, params, mask)
        adapt: PyTree = None
        if self.scaling != "sam":
            chosen = self.adapt_mask
            default = trees.everything_but("bias")
            adapt = trees.resolve_mask(
                default if chosen is None else chosen, params, "adapt_mask"
            )
        rho, eta = value_at(self.rho, count), value_at(self.eta, count)

        def climb(point: Params, direction: Updates) -> Params:
            scaling = scaling_tree(self.scaling, point, adapt, eta, self.p)
            return perturb(
                point,
                direction,
                rho,
                mask,
                self.norm_over,
                scaling=scaling,
                damping=self.damping,
            )

        return climb
