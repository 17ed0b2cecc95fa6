"""Sharpness as a weighted regulariser of the loss (WSAM)."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike

from jaxopt_lab.core import gradients, trees
from jaxopt_lab.core.checks import increment, value_at
from jaxopt_lab.core.options import DECAY, NON_NEGATIVE, check_arguments
from jaxopt_lab.core.perturbation import NormOver
from jaxopt_lab.core.typing import GradFn, MaskOrFn, Params, ScalarOrSchedule, Updates
from jaxopt_lab.transforms.sharpness.evaluation import refuse_inside
from jaxopt_lab.transforms.sharpness.link import averaged
from jaxopt_lab.transforms.sharpness.perturbation import Perturbation

_GIVEN = "the direction of the ascent and the plain gradient in the sharpness"


class WsamState(NamedTuple):
    """State of ``wsam``: 0 bytes per parameter beyond the inner state.

    Attributes:
      count: int32 scalar, number of updates so far; the argument of schedules.
      inner: state of the inner optimizer.
    """

    count: jax.Array
    inner: Any


def wsam(
    inner: optax.GradientTransformation,
    rho: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.05,
    *,
    learning_rate: Annotated[ScalarOrSchedule, NON_NEGATIVE],
    gamma: Annotated[ScalarOrSchedule, DECAY] = 0.5,
    decoupled: bool = True,
    perturb_mask: MaskOrFn | None = None,
    norm_over: NormOver = "perturbed",
    axis_name: str | None = None,
    compute_dtype: DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Minimise the loss plus a weight times its sharpness.

    A wrapper that owns its inner optimizer. With g the gradient, ``g_p`` the one at the
    perturbed point of ``sam`` and :math:`a = \gamma / (1 - \gamma)`, the sharpness has
    the gradient ``g_p - g``. Decoupled, it does not enter the inner optimizer's
    moments:

    .. math::
        w \leftarrow w + \mathrm{inner}(g) - \eta\, a\, (g_p - g);

    coupled, the inner optimizer gets :math:`a g_p + (1 - a) g`.

    Args:
      inner: the inner optimizer.
      rho: radius of the ascent, in the units of the parameters' norm; a number, a
        traced scalar, or a schedule of the number of updates. 0 gives the inner
        optimizer.
      learning_rate: step size :math:`\eta` of the decoupled part, as a rule the
        inner optimizer's; number, traced scalar or schedule. Not used when coupled.
      gamma: weight of the sharpness in [0, 1): 0 is the inner optimizer, 0.5 (coupled)
        is ``sam``, more than that extrapolates beyond it. Number, traced scalar or
        schedule.
      decoupled: keep the sharpness out of the inner optimizer.
      perturb_mask: leaves that move: a tree of booleans, or a function of the
        parameters that gives one. Default: all.
      norm_over: ``"perturbed"``, norm over the leaves that move; or ``"all"``.
      axis_name: the devices' axis, needed only with a plain ``grad_fn``; see ``sam``.
      compute_dtype: ``jnp.float32`` to perturb float16 or bfloat16 parameters in it;
        ``grad_fn`` then gets float32 parameters at the perturbed point, which the loss
        must take, and its gradients are cast back. Default: they are refused.

    Returns:
      An optimizer. Its ``update`` takes ``params`` and the extra argument ``grad_fn``
      and passes extra arguments on to the inner optimizer, except ``fused_apply``.

    Raises:
      InputError: ``params`` or ``grad_fn`` is missing, ``rho`` is negative, ``gamma``
        is out of [0, 1), a mask does not fit, a perturbed parameter is narrower than
        float32, or ``norm_over`` is unknown.

    Gradient evaluations: 2 a step. Memory: no state of its own; a perturbed copy and
    one more gradient than ``sam`` live during a step. Differentiable in all numbers
    and in the parameters, also at zero gradients.

    Decisions: decoupled by default, as in the authors' code, whose ``gamma`` of 0.9
    weighs the sharpness nine times; ours is the neutral 0.5. Because of the step
    size in it this is a wrapper and no link. The denominator of the ascent is the
    bare norm.

    >>> import jaxopt_lab
    >>> loss = lambda w, batch: jnp.sum(batch * w**2) / 2
    >>> w, batch = jnp.array([3.0, 4.0]), jnp.array([1.0, 1.0])
    >>> tx = jaxopt_lab.wsam(optax.sgd(0.1), rho=5.0, learning_rate=0.1, gamma=0.5)
    >>> grad_fn = jaxopt_lab.batch_grad(loss, batch)
    >>> updates, _ = tx.update(grad_fn(w), tx.init(w), w, grad_fn=grad_fn)
    >>> [round(float(u), 4) for u in updates]  # -0.1 * g - 0.1 * g, as g_p = 2 g
    [-0.6, -0.8]

    Reference: Yue, Jiang, Ye, Gao, Liu and Zhang, "Sharpness-Aware Minimization
    Revisited: Weighted Sharpness as a Regularization Term", KDD 2023,
    arXiv:2305.15817.
    """
    check_arguments(wsam, locals())
    perturbation = Perturbation(
        "wsam",
        rho,
        perturb_mask=perturb_mask,
        norm_over=norm_over,
        compute_dtype=compute_dtype,
    )
    inner = optax.with_extra_args_support(inner)

    def init_fn(params: Params) -> WsamState:
        state = inner.init(params)
        refuse_inside("wsam", state)
        return WsamState(jnp.zeros((), jnp.int32), state)

    def update_fn(
        updates: Updates,
        state: Any,
        params: Params | None = None,
        *,
        grad_fn: GradFn | None = None,
        **extra: Any,
    ) -> tuple[Updates, WsamState]:
        updates, params = trees.arrays((updates, params))
        extra.pop("fused_apply", None)
        w, grad_fn = gradients.enter_transform(
            "wsam",
            updates,
            params,
            grad_fn,
            _GIVEN,
            axis_name,
            gives_gradient=False,
        )
        perturb = perturbation.at(w, state.count)
        sharp = averaged(grad_fn, axis_name)(perturb(w, updates), 0)
        # In the wider type: the difference of two near numbers.
        gap = jax.tree.map(lambda s, g: s - g.astype(s.dtype), sharp, updates)
        share = value_at(gamma, state.count)
        weight = share / (1 - share)

        def plus(tree: Updates, factor: Any) -> Updates:
            return jax.tree.map(
                lambda x, d: x + (jnp.asarray(factor, d.dtype) * d).astype(x.dtype),
                tree,
                gap,
            )

        given = updates if decoupled else plus(updates, weight)
        steps, inner_state = inner.update(
            given, state.inner, w, grad_fn=grad_fn, **extra
        )
        if decoupled:
            steps = plus(steps, -value_at(learning_rate, state.count) * weight)
        count = increment(state.count)
        return steps, WsamState(count, inner_state)

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)
