"""Functions whose arguments are options of a row where those of the part are not."""

from __future__ import annotations

import math
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core.options import (
    COUNT,
    NON_NEGATIVE,
    ORDER,
    STATIC,
    UNIT,
    check_arguments,
)
from jaxopt_lab.core.perturbation import NormOrder, ScalingName
from jaxopt_lab.core.typing import Scalar, ScalarOrSchedule
from jaxopt_lab.transforms import sharpness


def lookbehind(
    inner: optax.GradientTransformation,
    rho: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.05,
    *,
    k: Annotated[int, COUNT] = 2,
    alpha: Annotated[ScalarOrSchedule, UNIT] = 0.5,
    adaptive: bool = False,
    scaling: ScalingName = "identity",
    eta: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.01,
    p: Annotated[NormOrder, ORDER, STATIC] = math.inf,
    unroll: bool = True,
) -> optax.GradientTransformationExtraArgs:
    """``lookbehind`` with the word for its alpha as an option of its own.

    Args:
      inner: the optimizer of the steps down.
      rho: radius of the ascent, in units of the norm.
      k: number of inner steps.
      alpha: part of the way that is taken.
      adaptive: choose alpha for each tensor by its agreement.
      scaling: names what scales the ascent.
      eta: added to the magnitudes, with scaling abs or abs_over_range.
      p: order of the norm of a tensor.
      unroll: write the loop out instead of a scan.

    Returns:
      The wrapper.
    """
    check_arguments(lookbehind, locals())
    return sharpness.lookbehind(
        inner,
        rho,
        k=k,
        alpha="adaptive" if adaptive else alpha,
        scaling=scaling,
        eta=eta,
        p=p,
        unroll=unroll,
    )


def sm3(
    learning_rate: Any, momentum: float = 0.9
) -> optax.GradientTransformationExtraArgs:
    """``optax.sm3``, which takes no schedule and fails on scalars.

    Args:
      learning_rate: step size; a number, a traced scalar or a schedule.
      momentum: decay of the mean of the directions.

    Returns:
      The optimizer.
    """
    tx = optax.chain(
        optax.scale_by_sm3(momentum), optax.scale_by_learning_rate(learning_rate)
    )

    def update(
        updates: Any, state: Any, params: Any = None, **extra: Any
    ) -> tuple[Any, Any]:
        del params, extra
        # Scalars are vectors of one.
        moved, state = tx.update(jax.tree.map(jnp.atleast_1d, updates), state)
        reshape = lambda u, g: u.reshape(jnp.shape(g))
        return jax.tree.map(reshape, moved, updates), state

    return optax.GradientTransformationExtraArgs(
        lambda params: tx.init(jax.tree.map(jnp.atleast_1d, params)), update
    )


def add_noise(
    eta: Scalar, gamma: Scalar, key: jax.Array | int = 0
) -> optax.GradientTransformation:
    """``optax.add_noise`` with a key; clipping goes before it.

    Args:
      eta: variance of the first noise.
      gamma: in step t the variance is ``eta / t**gamma``.
      key: of the noise, in the state: replicas of one state draw the same.

    Returns:
      The link.
    """
    return optax.add_noise(eta, gamma, key)
