"""Surrogate-gap guided sharpness-aware minimization (GSAM)."""

from __future__ import annotations

import math
from typing import Annotated

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike

from jaxopt_lab.core.checks import value_at
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import NON_NEGATIVE, ORDER, STATIC, check_arguments
from jaxopt_lab.core.perturbation import NormOrder, NormOver, ScalingName
from jaxopt_lab.core.typing import GradFn, MaskOrFn, Params, ScalarOrSchedule, Updates
from jaxopt_lab.transforms.sharpness.link import PerturbationScope, Sync, stateless_link
from jaxopt_lab.transforms.sharpness.perturbation import Perturbation, PerturbFn
from jaxopt_lab.transforms.sharpness.projection import orthogonal_component


def gsam(
    rho: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.05,
    *,
    alpha: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.4,
    scaling: ScalingName = "identity",
    eta: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.01,
    p: Annotated[NormOrder, ORDER, STATIC] = math.inf,
    adapt_mask: MaskOrFn | None = None,
    perturb_mask: MaskOrFn | None = None,
    norm_over: NormOver = "perturbed",
    sync: Sync = "global",
    axis_name: str | None = None,
    compute_dtype: DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Sharpness-aware gradient that also closes the gap to the plain loss.

    A link ``g(w) -> g'(w)`` that stands FIRST in a chain. With g the gradient and
    ``g_p`` the one at the perturbed point of ``sam``,

    .. math::
        g' = g_p - \alpha g_\perp, \quad
        g_\perp = g - \frac{\langle g, g_p \rangle}{\|g_p\|_2^2} g_p :

    an ascent along the component of g orthogonal to ``g_p`` leaves the perturbed loss
    unchanged to first order and shrinks its distance to the plain loss, the surrogate
    gap.

    Args:
      rho: radius of the ascent; a number, a traced scalar, or a schedule of the
        number of updates. ``rho_following`` ties it to the step size as in the paper.
      alpha: weight of the orthogonal component; number, traced scalar or schedule. 0 is
        ``sam``.
      scaling: the diagonal T of the ascent: ``"identity"``, 1; ``"abs"``, that of
        ``asam``; ``"abs_over_range"``, that of ``samson``. The norms of the
        decomposition have no T.
      eta: added to the magnitudes in T; not used with ``"identity"``.
      p: order of SAMSON's norm; used with ``"abs_over_range"`` only.
      adapt_mask: leaves that T scales: a tree of booleans, or a function of the
        parameters that gives one. Default: all but those called ``bias``.
      perturb_mask: leaves that move. Default: all.
      norm_over: ``"perturbed"``, norm over the leaves that move; or ``"all"``.
      sync: ``"global"``: perturbation and decomposition of the gradients averaged
        over all devices; ``"local"``: of each device's own, then averaged.
      axis_name: the devices' axis, needed only with a plain ``grad_fn``; see ``sam``.
      compute_dtype: ``jnp.float32`` to perturb float16 or bfloat16 parameters in it;
        ``grad_fn`` then gets float32 parameters at the perturbed point, which the loss
        must take, and its gradients are cast back. Default: they are refused.

    Returns:
      A link. Its ``update`` takes ``params`` and the extra argument ``grad_fn``.

    Raises:
      InputError: ``params`` or ``grad_fn`` is missing, ``rho``, ``alpha`` or ``eta``
        is negative, a mask does not fit, a perturbed parameter is narrower than
        float32, or a name is unknown.

    Gradient evaluations: 2 a step. Memory: no state; one perturbed copy and one more
    gradient than ``sam`` live during a step. Differentiable in ``rho``, ``alpha``,
    ``eta`` and the parameters, also at zero gradients.

    Decisions: the authors' PyTorch code, where the decomposition is over all tensors
    together and always without T; it decomposes on each worker before the all-reduce,
    which is ``sync="local"`` here. Its 1e-12 in the denominators is left out; where
    ``g_p`` is zero all of g counts as orthogonal, as in the code.

    >>> import jaxopt_lab
    >>> loss = lambda w, batch: jnp.sum(batch * w**2) / 2
    >>> w, batch = jnp.array([1.0, 1.0]), jnp.array([1.0, 3.0])
    >>> grad_fn = jaxopt_lab.batch_grad(loss, batch)
    >>> link = jaxopt_lab.gsam(rho=0.0, alpha=0.4)
    >>> g, _ = link.update(grad_fn(w), link.init(w), w, grad_fn=grad_fn)
    >>> [round(float(x), 4) for x in g]  # with rho = 0 nothing is orthogonal
    [1.0, 3.0]

    Reference: Zhuang, Gong, Yuan, Cui, Adam, Dvornek, Tatikonda, Duncan and Liu,
    "Surrogate Gap Minimization Improves Sharpness-Aware Training", ICLR 2022,
    arXiv:2203.08065. Code followed: juntang-zhuang/GSAM.
    """
    check_arguments(gsam, locals())
    perturbation = Perturbation(
        "gsam",
        rho,
        scaling=scaling,
        eta=eta,
        p=p,
        adapt_mask=adapt_mask,
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
        sharp = grad(perturb(params, grad_at_params), 0)
        part = value_at(alpha, count)
        return jax.tree.map(
            lambda s, v: s - jnp.asarray(part, v.dtype) * v,
            sharp,
            orthogonal_component(grad_at_params, sharp),
        )

    given = "the direction of the ascent and the plain gradient of the decomposition"
    scope = PerturbationScope(sync, axis_name)
    return stateless_link(perturbation, combine, scope, given)


def rho_following(
    learning_rate: optax.Schedule,
    *,
    lr_max: float,
    rho_max: float,
    lr_min: float = 0.0,
    rho_min: float = 0.0,
) -> optax.Schedule:
    """A radius that rises and falls with the step size.

    Args:
      learning_rate: schedule of the step size.
      lr_max: step size at which the radius is ``rho_max``.
      rho_max: the largest radius.
      lr_min: step size at which the radius is ``rho_min``.
      rho_min: the smallest radius.

    Returns:
      ``rho_min + (rho_max - rho_min) (lr - lr_min) / (lr_max - lr_min)`` as a
      schedule, for ``gsam(rho=...)`` or any other link.

    Raises:
      InputError: ``lr_max`` is not larger than ``lr_min``.

    >>> rates = optax.linear_schedule(0.1, 0.0, 10)
    >>> rho = rho_following(rates, lr_max=0.1, rho_max=0.6)
    >>> round(float(rho(5)), 4)
    0.3
    """
    if not lr_max > lr_min:
        raise InputError(f"lr_max must exceed lr_min; got {lr_max} and {lr_min}")
    slope = (rho_max - rho_min) / (lr_max - lr_min)
    return lambda count: rho_min + slope * (learning_rate(count) - lr_min)
