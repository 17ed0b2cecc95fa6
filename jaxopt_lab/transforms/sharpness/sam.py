"""Sharpness-aware minimization (SAM)."""

from __future__ import annotations

from typing import Annotated

import optax
from jax.typing import DTypeLike

from jaxopt_lab.core.options import NON_NEGATIVE, check_arguments
from jaxopt_lab.core.perturbation import NormOver
from jaxopt_lab.core.typing import MaskOrFn, ScalarOrSchedule
from jaxopt_lab.transforms.sharpness.link import (
    PerturbationScope,
    SamState,
    Sync,
    gradient_at_perturbed,
    stateless_link,
)
from jaxopt_lab.transforms.sharpness.perturbation import Perturbation

__all__ = ["SamState", "sam"]


def sam(
    rho: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.05,
    *,
    perturb_mask: MaskOrFn | None = None,
    norm_over: NormOver = "perturbed",
    sync: Sync = "global",
    axis_name: str | None = None,
    compute_dtype: DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Replace the gradient by the one at the worst point nearby.

    A link ``g(w) -> g'(w)`` that stands FIRST in a chain; what follows sees the
    parameters ``w`` and

    .. math::
        g' = \nabla L\Big(w + \rho \frac{g}{\|g\|_2}\Big),

    with the norm over all parameters together. A transform in front of it changes
    only the direction of the ascent.

    Args:
      rho: radius of the ascent, in the units of the parameters' norm; a number, a
        traced scalar, or a schedule of the number of updates. 0 gives the base
        optimizer exactly.
      perturb_mask: which leaves move: a tree of booleans, or a function of the
        parameters that gives one. Default: all.
      norm_over: ``"perturbed"``, norm over the leaves that move; or ``"all"``.
      sync: where several devices average their gradients, ``"global"`` perturbs
        along the averaged gradient (two all-reduces a step) and ``"local"`` along
        each device's own (one all-reduce; m-sharpness with one shard a device).
        ``"local"`` needs a ``grad_fn`` made by ``batch_grad`` or the train step.
      axis_name: the devices' axis, needed only with a plain ``grad_fn`` under
        ``pmap`` or ``shard_map``: its result is averaged over that axis. The ones
        that ``batch_grad`` and the train step make know their axis.
      compute_dtype: ``jnp.float32`` to perturb float16 or bfloat16 parameters in it;
        ``grad_fn`` then gets float32 parameters at the perturbed point, which the loss
        must take, and its gradients are cast back. Default: they are refused.

    Returns:
      A link. Its ``update`` takes ``params`` and, as an extra argument, ``grad_fn``:
      ``grad_fn(params) -> gradients``, or ``grad_fn(params, i=0)``, where ``i`` is the
      number of the pass. ``jax.grad(loss_fn)`` of a loss that takes a batch is none.

    Raises:
      InputError: ``params`` or ``grad_fn`` is missing, ``grad_fn`` needs other
        arguments or gives no gradients, ``rho`` is negative, a perturbed parameter is
        narrower than float32, or ``sync`` or ``norm_over`` is unknown.

    Gradient evaluations: 2 a step. Memory: no state; one perturbed copy of the
    parameters (4 bytes per parameter in float32) lives during the second pass.
    Differentiable in ``rho`` and in the parameters, also at zero gradients.

    Decisions: the denominator is the bare norm; the PyTorch codes add 1e-12 or
    1e-16 to it and the JAX code of the paper nothing, which divides 0 by 0. A zero
    gradient gives no perturbation here, as in the PyTorch codes. Weight decay that
    follows in the chain is taken at ``w``, not at the perturbed point.

    >>> import jaxopt_lab, jax.numpy as jnp
    >>> loss = lambda w, batch: jnp.sum(batch * w**2)
    >>> tx = optax.chain(jaxopt_lab.sam(rho=0.5), optax.sgd(0.1))
    >>> w, batch = jnp.array([3.0, 4.0]), jnp.array([1.0, 1.0])
    >>> grad_fn = jaxopt_lab.batch_grad(loss, batch)
    >>> updates, state = tx.update(grad_fn(w), tx.init(w), w, grad_fn=grad_fn)
    >>> [round(float(u), 4) for u in updates]  # -0.1 * 2 * 1.1 * w
    [-0.66, -0.88]

    Reference: Foret, Kleiner, Mobahi and Neyshabur, "Sharpness-Aware Minimization
    for Efficiently Improving Generalization", ICLR 2021, arXiv:2010.01412.
    """
    check_arguments(sam, locals())
    perturbation = Perturbation(
        "sam",
        rho,
        perturb_mask=perturb_mask,
        norm_over=norm_over,
        compute_dtype=compute_dtype,
    )
    return stateless_link(
        perturbation, gradient_at_perturbed, PerturbationScope(sync, axis_name)
    )
