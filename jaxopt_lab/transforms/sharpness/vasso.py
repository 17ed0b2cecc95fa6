"""Variance-suppressed sharpness-aware optimization (VaSSO)."""

from __future__ import annotations

from typing import Annotated

import jax
import optax
from jax.typing import DTypeLike

from jaxopt_lab.core.checks import value_at
from jaxopt_lab.core.options import NON_NEGATIVE, UNIT, check_arguments
from jaxopt_lab.core.perturbation import NormOver
from jaxopt_lab.core.typing import MaskOrFn, Scalar, ScalarOrSchedule, Updates
from jaxopt_lab.transforms.sharpness.link import averaging_link, running_average
from jaxopt_lab.transforms.sharpness.perturbation import Perturbation


def vasso(
    rho: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.05,
    *,
    theta: Annotated[ScalarOrSchedule, UNIT] = 0.4,
    eps: Annotated[Scalar, NON_NEGATIVE] = 1e-7,
    perturb_mask: MaskOrFn | None = None,
    norm_over: NormOver = "perturbed",
    axis_name: str | None = None,
    compute_dtype: DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Ascend along a running average of the gradients.

    A link ``g(w) -> g'(w)`` that stands FIRST in a chain. The noise of one mini-batch
    no longer decides where the worst point is sought:

    .. math::
        e_t = (1 - \theta) e_{t-1} + \theta g_t, \quad
        g'_t = \nabla L\Big(w + \rho \frac{e_t}{\|e_t\|_2 + \epsilon}\Big),

    with ``e_0 = g_0``.

    Args:
      rho: radius of the ascent, in the units of the parameters' norm; a number, a
        traced scalar, or a schedule of the number of updates. 0 gives the base
        optimizer exactly.
      theta: weight of the newest gradient, in [0, 1]; number, traced scalar or
        schedule. 1 is ``sam``.
      eps: added to the norm, in its units; a number or a traced scalar.
      perturb_mask: leaves that move: a tree of booleans, or a function of the
        parameters that gives one. Default: all.
      norm_over: ``"perturbed"``, norm over the leaves that move; or ``"all"``.
      axis_name: the devices' axis, needed only with a plain ``grad_fn``; see ``sam``.
      compute_dtype: ``jnp.float32`` to perturb float16 or bfloat16 parameters in it;
        ``grad_fn`` then gets float32 parameters at the perturbed point, which the loss
        must take, and its gradients are cast back. Default: they are refused.

    Returns:
      A link. Its ``update`` takes ``params`` and the extra argument ``grad_fn``.

    Raises:
      InputError: ``params`` or ``grad_fn`` is missing, ``rho`` or ``eps`` is
        negative, ``theta`` is out of [0, 1], a mask does not fit, a perturbed
        parameter is narrower than float32, or ``norm_over`` is unknown.

    Gradient evaluations: 2 a step. Memory: 4 bytes per float32 parameter, the
    average, and one perturbed copy during the second pass. Differentiable in all
    numbers and in the parameters, also at zero gradients.

    Decisions: we follow the authors' code, whose 1e-7 in the denominator is large
    enough to be seen in the tenth digit, so it is kept as ``eps``. A zero average
    gives no perturbation and a zero derivative.

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> link = jaxopt_lab.vasso(rho=0.5, theta=0.25)
    >>> w, state = jnp.array(1.0), link.init(jnp.array(1.0))
    >>> for slope in (1.0, 5.0):
    ...     grad_fn = lambda p, i=0: jnp.array(slope)
    ...     _, state = link.update(grad_fn(w), state, w, grad_fn=grad_fn)
    >>> float(state.average)  # 0.75 * 1 + 0.25 * 5
    2.0

    Reference: Li and Giannakis, "Enhancing Sharpness-Aware Optimization Through
    Variance Suppression", NeurIPS 2023, arXiv:2309.15639. Code followed:
    BingcongLi/VaSSO.
    """
    check_arguments(vasso, locals())
    perturbation = Perturbation(
        "vasso",
        rho,
        perturb_mask=perturb_mask,
        norm_over=norm_over,
        damping=eps,
        compute_dtype=compute_dtype,
    )

    def direction_fn(
        average: Updates, grad_at_params: Updates, count: jax.Array
    ) -> tuple[Updates, Updates]:
        keep = 1 - value_at(theta, count)
        average = running_average(average, grad_at_params, keep, count)
        return average, average

    return averaging_link(perturbation, direction_fn, axis_name)
