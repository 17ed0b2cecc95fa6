"""Perturbation rule shared by the sharpness-aware methods."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxopt_lab.core import checks, perturbation, trees
from jaxopt_lab.core.checks import value_at
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.perturbation import (
    NormOrder,
    NormOver,
    ScalingName,
    scaling_tree,
)
from jaxopt_lab.core.tree_paths import warn_of_idle_mask
from jaxopt_lab.core.typing import (
    MaskOrFn,
    Params,
    PyTree,
    Scalar,
    ScalarOrSchedule,
    Updates,
)

# perturb(point, direction) -> perturbed point
PerturbFn = Callable[[Params, Updates], Params]


@dataclasses.dataclass(frozen=True)
class Perturbation:
    """Perturbation rule of a method: resolved at each step.

    Attributes:
      link: name of the method, for error messages.
      rho: radius; number, traced scalar or schedule.
      scaling: name of the diagonal T, recomputed at the start of every ascent.
      eta: added to the magnitudes in T.
      p: order of SAMSON's norm.
      adapt_mask: leaves that T scales; ``None``: all but those called ``bias``.
      perturb_mask: leaves that move; ``None``: all.
      norm_over: leaves over which the norm is taken.
      damping: added to the norm; ``None``: nothing.
      compute_dtype: floating type in which narrower parameters are perturbed, and
        given to the gradient function; ``None``: they are refused.

    Raises:
      InputError: ``compute_dtype`` is none of float32 and float64.
    """

    link: str
    rho: ScalarOrSchedule
    scaling: ScalingName = "identity"
    eta: ScalarOrSchedule = 0.0
    p: NormOrder = math.inf
    adapt_mask: MaskOrFn | None = None
    perturb_mask: MaskOrFn | None = None
    norm_over: NormOver = "perturbed"
    damping: Scalar | None = None
    compute_dtype: DTypeLike | None = None

    def __post_init__(self) -> None:
        wide = self.compute_dtype
        if wide is not None and jnp.dtype(wide) not in (np.float32, np.float64):
            raise InputError(
                f"compute_dtype must be float32, float64 or None; got {wide!r}"
            )

    def state_zeros(self, params: Params) -> Updates:
        """Zeros like the parameters, narrower ones in ``compute_dtype``."""
        return jax.tree.map(lambda p: jnp.zeros_like(self._widened(p)), params)

    def _widened(self, p: jax.Array) -> jax.Array:
        wide = self.compute_dtype
        if wide is None or not jnp.issubdtype(jnp.result_type(p), jnp.floating):
            return p
        narrow = jnp.finfo(p.dtype).bits < jnp.finfo(wide).bits
        return p.astype(wide) if narrow else p

    def at(self, params: Params, count: jax.Array) -> PerturbFn:
        """The perturbation function of one update.

        Args:
          params: the parameters of the update; masks are resolved against them.
          count: number of updates so far, the argument of schedules.

        Returns:
          ``perturb(point, direction)``, which takes T from ``point``.

        Raises:
          InputError: a mask does not fit, or a leaf that moves is narrower than
            float32.
        """
        mask = trees.resolve_mask(self.perturb_mask, params, "perturb_mask")
        warn_of_idle_mask("perturb_mask", mask)
        if self.compute_dtype is None:
            checks.require_float32(self.link, params, mask, castable=True)
        adapt: PyTree = None
        if self.scaling != "identity":
            chosen = self.adapt_mask
            default = trees.everything_but("bias")
            adapt = trees.resolve_mask(
                default if chosen is None else chosen, params, "adapt_mask"
            )
        rho, eta = value_at(self.rho, count), value_at(self.eta, count)

        def perturb(point: Params, direction: Updates) -> Params:
            point = jax.tree.map(self._widened, point)
            scaling = scaling_tree(self.scaling, point, adapt, eta, self.p)
            return perturbation.perturb(
                point,
                direction,
                rho,
                mask,
                self.norm_over,
                scaling=scaling,
                damping=self.damping,
            )

        return perturb
