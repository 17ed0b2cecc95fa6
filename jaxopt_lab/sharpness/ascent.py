"""The step to the perturbed point that the sharpness links share."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from jaxopt_lab import trees
from jaxopt_lab.typing import Params, Scalar, Updates

NormOver = Literal["perturbed", "all"]


def perturb(
    params: Params,
    direction: Updates,
    rho: Scalar,
    mask: PyTree,
    norm_over: NormOver,
) -> Params:
    """``params + rho * direction / ||direction||`` on the leaves under the mask.

    The norm is the Euclidean one over all tensors together, accumulated in float32
    or better. Where it is zero the perturbation is zero, and so is its derivative:
    dividing by ``norm + tiny`` gives the same values but a derivative of
    ``rho / tiny``, which destroys a gradient taken through the training run.

    Args:
      params: the point to start from.
      direction: ascent direction, a tree like ``params``.
      rho: radius, in the units of the parameters' norm.
      mask: tree of booleans, which leaves move.
      norm_over: ``"perturbed"``: the norm over the leaves that move, so that the
        perturbation has length ``rho``; ``"all"``: over every leaf.

    Returns:
      The perturbed parameters, in their own dtypes.
    """
    moved = jax.tree.map(
        lambda m, d: jnp.where(m, d, jnp.zeros_like(d)), mask, direction
    )
    norm = trees.global_norm(moved if norm_over == "perturbed" else direction)
    scale = trees.safe_divide(jnp.asarray(rho, norm.dtype), norm)

    def step(p: jax.Array, d: jax.Array) -> jax.Array:
        wide = trees.accumulation_dtype(d.dtype)
        return p + (scale.astype(wide) * d.astype(wide)).astype(p.dtype)

    return jax.tree.map(step, params, moved)
