"""Sharpness-aware minimization with a perturbation for each shard (mSAM)."""

from __future__ import annotations

import math
from typing import Annotated

import optax
from jax.typing import DTypeLike

from jaxopt_lab.core import loops
from jaxopt_lab.core.options import COUNT, NON_NEGATIVE, ORDER, STATIC, check_arguments
from jaxopt_lab.core.perturbation import NormOrder, NormOver, ScalingName
from jaxopt_lab.core.typing import MaskOrFn, ScalarOrSchedule
from jaxopt_lab.transforms.sharpness.link import (
    PerturbationScope,
    gradient_at_perturbed,
    stateless_link,
)
from jaxopt_lab.transforms.sharpness.perturbation import Perturbation


def msam(
    rho: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.05,
    *,
    num_shards: Annotated[int, COUNT] = 4,
    scaling: ScalingName = "identity",
    eta: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.01,
    p: Annotated[NormOrder, ORDER, STATIC] = math.inf,
    adapt_mask: MaskOrFn | None = None,
    perturb_mask: MaskOrFn | None = None,
    norm_over: NormOver = "perturbed",
    mode: loops.ModeOrAuto = "auto",
    compute_dtype: DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Replace the gradient by the mean of the shards' sharpness-aware gradients.

    A link ``g(w) -> g'(w)`` that stands FIRST in a chain. The batch is cut into m
    equal shards of consecutive examples; each takes its own ascent from the same
    parameters:

    .. math::
        g' = \frac{1}{m} \sum_{j=1}^{m}
             \nabla L_j\Big(w + \rho \frac{T^2 g_j}{\|T g_j\|_2}\Big),
        \quad g_j = \nabla L_j(w).

    Args:
      rho: radius of each shard's ascent; a number, a traced scalar, or a schedule of
        the number of updates. 0 gives the base optimizer.
      num_shards: m, the NUMBER of shards on this device (not the number of examples
        in one, which Foret et al. call m). It divides the number of examples. With
        several devices under ``pmap`` or ``shard_map`` every device has m of them.
      scaling: the diagonal T: ``"identity"``, 1; ``"abs"``, that of ``asam``;
        ``"abs_over_range"``, that of ``samson``.
      eta: added to the magnitudes in T; not used with ``"identity"``.
      p: order of SAMSON's norm; used with ``"abs_over_range"`` only.
      adapt_mask: leaves that T scales: a tree of booleans, or a function of the
        parameters that gives one. Default: all but those called ``bias``.
      perturb_mask: leaves that move. Default: all.
      norm_over: ``"perturbed"``, norm over the leaves that move; or ``"all"``.
      mode: how the loop over the shards runs: ``"vmap"``, all at once, right for a
        batch that is sharded over devices under ``jit``; ``"unroll"``; ``"scan"``,
        which holds one shard's gradient at a time but repeats the first pass; or
        ``"auto"``: ``"unroll"`` for a loss with convolutions on CPU, where they are
        slow with the kernels of several shards, otherwise ``"vmap"``.
      compute_dtype: ``jnp.float32`` to perturb float16 or bfloat16 parameters in it;
        ``grad_fn`` then gets float32 parameters at the perturbed point, which the loss
        must take, and its gradients are cast back. Default: they are refused.

    Returns:
      A link. Its ``update`` takes ``params`` and the extra argument ``grad_fn``, made
      by ``batch_grad`` or the train step; the gradient that it is given is not used.

    Raises:
      InputError: ``params`` or ``grad_fn`` is missing or ``grad_fn`` is a plain
        function, ``rho`` or ``eta`` is negative, ``num_shards`` is no whole number of
        at least 1 or does not divide the batch, a mask does not fit, a perturbed
        parameter is narrower than float32, or a name is unknown.

    Gradient evaluations: 2 a step, over the same examples, when the train step runs
    it, loss and metrics included; a composer who computes the gradient of the whole
    batch besides pays 3 unless XLA sees that it is not used. Memory: no state; the
    first gradient of every shard, not the second (see ``summed_gradient``), and with
    ``"scan"`` two gradients in all; on a TPU v5e that is ``4 num_shards`` bytes a
    float32 parameter against 8, for half of the traffic. Differentiable in ``rho``,
    ``eta`` and the parameters, also at zero gradients.

    Decisions: the shards' gradients are averaged (tf-keras sums them, so that its
    step is m times longer). A shard that does not come out even is refused rather
    than weighted. Batch statistics are those of the first passes, averaged over the
    shards.

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> loss = lambda w, x: jnp.mean((w - x) ** 2) / 2
    >>> w, batch = jnp.array(0.0), jnp.array([1.0, -1.0])
    >>> link = jaxopt_lab.msam(rho=0.5, num_shards=2)
    >>> grad_fn = jaxopt_lab.batch_grad(loss, batch)
    >>> sharp, _ = link.update(grad_fn(w), link.init(w), w, grad_fn=grad_fn)
    >>> float(sharp)  # -1.5 and 1.5: each shard ascends its own way
    0.0

    Reference: Behdin, Song, Gupta, Keerthi, Acharya, Ocejo, Dexter, Khanna, Durfee and
    Mazumder, "mSAM: Micro-Batch-Averaged Sharpness-Aware Minimization",
    arXiv:2302.09693. There is no official code; the reference trajectories compose
    davda54/sam shard by shard.
    """
    check_arguments(msam, locals())
    perturbation = Perturbation(
        "msam",
        rho,
        scaling=scaling,
        eta=eta,
        p=p,
        adapt_mask=adapt_mask,
        perturb_mask=perturb_mask,
        norm_over=norm_over,
        compute_dtype=compute_dtype,
    )
    scope = PerturbationScope(num_shards=num_shards, mode=mode)
    return stateless_link(perturbation, gradient_at_perturbed, scope)
