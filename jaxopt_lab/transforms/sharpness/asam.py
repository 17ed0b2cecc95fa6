"""Adaptive sharpness-aware minimization (ASAM)."""

from __future__ import annotations

from typing import Annotated

import optax
from jax.typing import DTypeLike

from jaxopt_lab.core.options import NON_NEGATIVE, check_arguments
from jaxopt_lab.core.perturbation import NormOver
from jaxopt_lab.core.typing import MaskOrFn, ScalarOrSchedule
from jaxopt_lab.transforms.sharpness.link import (
    PerturbationScope,
    Sync,
    gradient_at_perturbed,
    stateless_link,
)
from jaxopt_lab.transforms.sharpness.perturbation import Perturbation


def asam(
    rho: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.5,
    *,
    eta: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.01,
    adapt_mask: MaskOrFn | None = None,
    perturb_mask: MaskOrFn | None = None,
    norm_over: NormOver = "perturbed",
    sync: Sync = "global",
    axis_name: str | None = None,
    compute_dtype: DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Replace the gradient by the one at the worst point of an adaptive ellipsoid.

    A link ``g(w) -> g'(w)`` that stands FIRST in a chain. Large weights may move
    further than small ones, so that the neighbourhood does not change when a layer is
    scaled up and the next one down:

    .. math::
        g' = \nabla L\Big(w + \rho \frac{T^2 g}{\|T g\|_2}\Big), \quad T = |w| + \eta,

    with the norm over all parameters together, and T = 1 outside ``adapt_mask``.

    Args:
      rho: radius, in units of the norm after division by T; a number, a traced
        scalar, or a schedule of the number of updates. 0 gives the base optimizer
        exactly. Useful values are some ten times those of ``sam``.
      eta: added to the magnitudes, in the units of the parameters; number, traced
        scalar or schedule. 0 keeps weights that are zero where they are.
      adapt_mask: leaves that T scales: a tree of booleans, or a function of the
        parameters that gives one. Default: all but those called ``bias``.
      perturb_mask: leaves that move. Default: all.
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
      InputError: ``params`` or ``grad_fn`` is missing, ``rho`` or ``eta`` is
        negative, a mask does not fit, a perturbed parameter is narrower than
        float32, or ``sync`` or ``norm_over`` is unknown.

    Gradient evaluations: 2 a step. Memory: no state; one perturbed copy of the
    parameters lives during the second pass. Differentiable in ``rho``, ``eta`` and
    the parameters (T included), also at zero gradients and zero weights.

    Decisions: we follow the class of the authors' code: ``eta`` 0.01 (their script
    passes 0), and T on whatever PyTorch calls ``weight``, the scales of normalisation
    layers included; by default that is all but the biases here. The much used port
    davda54/sam takes T = ``|w|`` on every tensor and no ``eta``: that is
    ``asam(rho, eta=0.0, adapt_mask=lambda p: jax.tree.map(lambda _: True, p))``. The
    denominator is the bare norm where the codes add 1e-16 or 1e-12; a zero gradient
    gives no perturbation.

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> loss = lambda w, batch: jnp.sum(batch * w)
    >>> w, batch = jnp.array([3.0, 0.0]), jnp.array([1.0, 1.0])
    >>> seen = []
    >>> link = jaxopt_lab.asam(rho=0.5, eta=0.0)
    >>> grad_fn = jaxopt_lab.batch_grad(loss, batch)
    >>> spy = lambda p, i=0: seen.append(p) or grad_fn(p)
    >>> _ = link.update(grad_fn(w), link.init(w), w, grad_fn=spy)
    >>> [float(x) for x in seen[0]]  # 3 + 0.5 * 3**2 / 3; the zero stays
    [4.5, 0.0]

    Reference: Kwon, Kim, Park and Choi, "ASAM: Adaptive Sharpness-Aware Minimization
    for Scale-Invariant Learning of Deep Neural Networks", ICML 2021,
    arXiv:2102.11600. Code followed: SamsungLabs/ASAM.
    """
    check_arguments(asam, locals())
    perturbation = Perturbation(
        "asam",
        rho,
        scaling="abs",
        eta=eta,
        adapt_mask=adapt_mask,
        perturb_mask=perturb_mask,
        norm_over=norm_over,
        compute_dtype=compute_dtype,
    )
    return stateless_link(
        perturbation, gradient_at_perturbed, PerturbationScope(sync, axis_name)
    )
