"""Sharpness-aware minimization with several ascents in a row."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike

from jaxopt_lab.core.options import COUNT, NON_NEGATIVE, check_arguments
from jaxopt_lab.core.perturbation import NormOver
from jaxopt_lab.core.typing import GradFn, MaskOrFn, Params, ScalarOrSchedule, Updates
from jaxopt_lab.transforms.sharpness.link import PerturbationScope, Sync, stateless_link
from jaxopt_lab.transforms.sharpness.perturbation import Perturbation, PerturbFn


def multistep_sam(
    rho: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.05,
    *,
    num_ascent: Annotated[int, COUNT] = 2,
    unroll: bool = True,
    perturb_mask: MaskOrFn | None = None,
    norm_over: NormOver = "perturbed",
    sync: Sync = "global",
    axis_name: str | None = None,
    compute_dtype: DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Replace the gradient by the one after several ascents.

    A link ``g(w) -> g'(w)`` that stands FIRST in a chain:

    .. math::
        v_0 = w, \quad v_i = v_{i-1} + \rho \frac{g(v_{i-1})}{\|g(v_{i-1})\|_2}, \quad
        g' = g(v_k).

    The gradients on the way serve the ascent only; ``lookbehind`` uses them.

    Args:
      rho: radius of EACH ascent, in the units of the parameters' norm; a number, a
        traced scalar, or a schedule of the number of updates. 0 gives the base
        optimizer exactly.
      num_ascent: number of ascents k; 1 is ``sam``. The i-th gradient on the way is
        ``grad_fn(params, i)``, i from 0.
      unroll: write the ascents out one after the other. ``False`` runs them in a
        ``scan``: a smaller program, for many ascents, but XLA:CPU runs convolutions
        inside it about 40 times slower.
      perturb_mask: leaves that move: a tree of booleans, or a function of the
        parameters that gives one. Default: all.
      norm_over: ``"perturbed"``, norm over the leaves that move; or ``"all"``.
      sync: ``"global"`` perturbs along the gradient averaged over all devices,
        ``"local"`` each device along its own; see ``sam``.
      axis_name: the devices' axis, needed only with a plain ``grad_fn``; see ``sam``.
      compute_dtype: ``jnp.float32`` to perturb float16 or bfloat16 parameters in it;
        ``grad_fn`` then gets float32 parameters at the perturbed point, which the loss
        must take, and its gradients are cast back. Default: they are refused.

    Returns:
      A link. Its ``update`` takes ``params`` and the extra argument ``grad_fn``.

    Raises:
      InputError: ``params`` or ``grad_fn`` is missing, ``rho`` is negative,
        ``num_ascent`` is no whole number of at least 1, a mask does not fit, a
        perturbed parameter is narrower than float32, or ``sync`` or ``norm_over`` is
        unknown.

    Gradient evaluations: ``num_ascent + 1`` a step. Memory: no state; one perturbed
    copy of the parameters. Differentiable in ``rho`` and in the parameters, also at
    zero gradients.

    Decisions: the same trajectory as optax's opaque ``sam`` with
    ``sync_period = num_ascent + 1`` and as ``first_step`` of davda54/sam repeated.
    There is no projection back into a ball, unlike projected gradient ascent.

    >>> import jaxopt_lab
    >>> loss = lambda w, batch: jnp.sum(batch * w**2) / 2
    >>> w, batch = jnp.array([3.0, 4.0]), jnp.array([1.0, 1.0])
    >>> link = jaxopt_lab.multistep_sam(rho=2.5, num_ascent=2)
    >>> grad_fn = jaxopt_lab.batch_grad(loss, batch)
    >>> sharp, _ = link.update(grad_fn(w), link.init(w), w, grad_fn=grad_fn)
    >>> [round(float(x), 4) for x in sharp]  # twice 2.5 along (0.6, 0.8)
    [6.0, 8.0]

    Reference: Andriushchenko and Flammarion, "Towards Understanding Sharpness-Aware
    Minimization", ICML 2022, arXiv:2206.06232; a baseline of "Lookbehind-SAM".
    """
    check_arguments(multistep_sam, locals())
    perturbation = Perturbation(
        "multistep_sam",
        rho,
        perturb_mask=perturb_mask,
        norm_over=norm_over,
        compute_dtype=compute_dtype,
    )

    def combine(
        perturb: PerturbFn,
        grad: GradFn,
        params: Params,
        grad_at_params: Updates,
        count: jax.Array,
    ) -> Updates:
        del count

        def again(point: Params, i: int | jax.Array) -> Params:
            return perturb(point, grad(point, i - 1))

        # The first ascent stays outside of the scan: its gradient is already computed.
        point = perturb(params, grad_at_params)
        if unroll or num_ascent == 1:
            for i in range(1, num_ascent):
                point = again(point, i)
        else:
            rest = jnp.arange(1, num_ascent)
            point, _ = jax.lax.scan(lambda v, i: (again(v, i), None), point, rest)
        return grad(point, num_ascent - 1)

    return stateless_link(perturbation, combine, PerturbationScope(sync, axis_name))
