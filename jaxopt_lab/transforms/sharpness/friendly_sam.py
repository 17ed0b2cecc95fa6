"""Friendly sharpness-aware minimization (F-SAM)."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike

from jaxopt_lab.core.checks import value_at
from jaxopt_lab.core.options import NON_NEGATIVE, UNIT, check_arguments
from jaxopt_lab.core.perturbation import NormOver
from jaxopt_lab.core.typing import MaskOrFn, Scalar, ScalarOrSchedule, Updates
from jaxopt_lab.transforms.sharpness.link import averaging_link, running_average
from jaxopt_lab.transforms.sharpness.perturbation import Perturbation


def friendly_sam(
    rho: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.05,
    *,
    sigma: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 1.0,
    decay: Annotated[ScalarOrSchedule, UNIT] = 0.9,
    perturb_mask: MaskOrFn | None = None,
    norm_over: NormOver = "perturbed",
    axis_name: str | None = None,
    compute_dtype: DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Ascend along the noise of the mini-batch, without the full gradient.

    A link ``g(w) -> g'(w)`` that stands FIRST in a chain. The running average e of
    the gradients estimates the gradient of the whole data set, and the ascent leaves
    it out:

    .. math::
        d_t = g_t - \sigma e_{t-1}, \quad e_t = \lambda e_{t-1} + (1 - \lambda) g_t,
        \quad g'_t = \nabla L\Big(w + \rho \frac{d_t}{\|d_t\|_2}\Big),

    with ``d_0 = e_0 = g_0``.

    Args:
      rho: radius of the ascent, in the units of the parameters' norm; a number, a
        traced scalar, or a schedule of the number of updates. 0 gives the base
        optimizer exactly.
      sigma: how much of the average is left out; number, traced scalar or schedule.
        0 is ``sam``.
      decay: decay of the average, in [0, 1]; number, traced scalar or schedule.
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
      InputError: ``params`` or ``grad_fn`` is missing, ``rho`` or ``sigma`` is
        negative, ``decay`` is out of [0, 1], a mask does not fit, a perturbed
        parameter is narrower than float32, or ``norm_over`` is unknown.

    Gradient evaluations: 2 a step. Memory: 4 bytes per float32 parameter, the
    average, and one perturbed copy during the second pass. Differentiable in all
    numbers and in the parameters, also at zero gradients.

    Decisions: we follow the authors' code, whose average is one of the RAW gradients
    (a much used port averages the differences ``d``, which gives other numbers). The
    denominator is the bare norm; theirs adds 1e-12.

    >>> import jaxopt_lab
    >>> link = jaxopt_lab.friendly_sam(rho=0.5, sigma=0.5)
    >>> grad_fn = jaxopt_lab.batch_grad(lambda w, x: jnp.mean(x * w), jnp.ones(2))
    >>> w = jnp.array(1.0)
    >>> _, state = link.update(grad_fn(w), link.init(w), w, grad_fn=grad_fn)
    >>> float(state.average)  # the first gradient
    1.0

    Reference: Li, Zhou, He, Cheng and Huang, "Friendly Sharpness-Aware Minimization",
    CVPR 2024, arXiv:2403.12350. Code followed: nblt/F-SAM.
    """
    check_arguments(friendly_sam, locals())
    perturbation = Perturbation(
        "friendly_sam",
        rho,
        perturb_mask=perturb_mask,
        norm_over=norm_over,
        compute_dtype=compute_dtype,
    )

    def direction_fn(
        average: Updates, grad_at_params: Updates, count: jax.Array
    ) -> tuple[Updates, Updates]:
        # The average starts at zero, which gives d_0 = g_0 without a special case.
        part = value_at(sigma, count)
        direction = jax.tree.map(
            lambda g, e: _minus(g, part, e), grad_at_params, average
        )
        keep = value_at(decay, count)
        return direction, running_average(average, grad_at_params, keep, count)

    return averaging_link(perturbation, direction_fn, axis_name)


def _minus(g: jax.Array, part: Scalar, e: jax.Array) -> jax.Array:
    wide = jnp.promote_types(g.dtype, e.dtype)
    return g.astype(wide) - jnp.asarray(part, wide) * e.astype(wide)
