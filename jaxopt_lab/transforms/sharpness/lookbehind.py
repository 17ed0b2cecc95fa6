"""Lookbehind-SAM: k steps back, one step forward."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike

from jaxopt_lab.core import gradients, trees
from jaxopt_lab.core.checks import increment, value_at
from jaxopt_lab.core.options import (
    COUNT,
    NON_NEGATIVE,
    ORDER,
    STATIC,
    UNIT,
    check_arguments,
)
from jaxopt_lab.core.perturbation import NormOrder, NormOver, ScalingName
from jaxopt_lab.core.typing import GradFn, MaskOrFn, Params, ScalarOrSchedule, Updates
from jaxopt_lab.transforms.sharpness.evaluation import refuse_inside
from jaxopt_lab.transforms.sharpness.link import averaged
from jaxopt_lab.transforms.sharpness.perturbation import Perturbation

_GIVEN = "the direction of the first ascent"


class LookbehindState(NamedTuple):
    """State of ``lookbehind``: 0 bytes per parameter beyond the inner state.

    Attributes:
      count: int32 scalar, number of updates so far; the argument of the schedules of
        ``lookbehind`` itself.
      inner: state of the inner optimizer; it has taken k steps for each update.
    """

    count: jax.Array
    inner: Any


class _Inner(NamedTuple):
    """Values carried between two inner steps."""

    point: Params  # v_i, after the perturbations so far
    grad_at_point: Updates  # gradient there
    moved: Updates  # f_i - w, sum of the inner optimizer's steps so far
    inner: Any


def lookbehind(
    inner: optax.GradientTransformation,
    rho: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.05,
    *,
    k: Annotated[int, COUNT] = 2,
    alpha: Annotated[ScalarOrSchedule | Literal["adaptive"], UNIT] = 0.5,
    scaling: ScalingName = "identity",
    eta: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.01,
    p: Annotated[NormOrder, ORDER, STATIC] = math.inf,
    adapt_mask: MaskOrFn | None = None,
    perturb_mask: MaskOrFn | None = None,
    norm_over: NormOver = "perturbed",
    fresh_ascent_gradient: bool = False,
    unroll: bool = True,
    axis_name: str | None = None,
    compute_dtype: DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Ascend k times in a row, step down from each point, go part of the way.

    A wrapper that owns its inner optimizer. With fast weights f and points v,

    .. math::
        v_0 &= f_0 = w, \\
        v_i &= v_{i-1} + \rho \frac{T^2 g(v_{i-1})}{\|T g(v_{i-1})\|_2}, \quad
        f_i = \mathrm{inner}(f_{i-1}, g(v_i)), \quad i = 1 \dots k, \\
        w &\leftarrow w + \alpha (f_k - w).

    T is taken at the perturbed point ``v_{i-1}``. With ``alpha="adaptive"`` every
    tensor has its own ``(cos(f_1 - w, f_k - w) + 1) / 2``: short where the last step
    contradicts the first.

    Args:
      inner: the inner optimizer. Its state, momentum and step counts included, advances
        k times for each update and is neither reset nor interpolated, so schedules
        INSIDE it run k times as fast. It sees the fast weights as its parameters and
        gets the extra arguments of ``update``, except ``fused_apply``.
      rho: radius of EACH ascent; a number, a traced scalar, or a schedule of the
        number of updates.
      k: number of inner steps. k = 1 with ``alpha = 1`` is ``chain(sam, inner)``.
      alpha: part of the way that is gone, in [0, 1]: number, traced scalar or
        schedule; or ``"adaptive"``.
      scaling: the diagonal T: ``"identity"``, 1; ``"abs"``, that of ``asam``;
        ``"abs_over_range"``, that of ``samson``.
      eta: added to the magnitudes in T; not used with ``"identity"``.
      p: order of SAMSON's norm; used with ``"abs_over_range"`` only.
      adapt_mask: leaves that T scales: a tree of booleans, or a function of the
        parameters that gives one. Default: all but those called ``bias``.
      perturb_mask: leaves that move on the ascents. Default: all.
      norm_over: ``"perturbed"``, norm over the leaves that move; or ``"all"``.
      fresh_ascent_gradient: compute ``g(v_{i-1})`` again in inner step i, as
        ``grad_fn(v, i)``, instead of taking the gradient that inner step i - 1 has
        descended along. Needed only where ``grad_fn`` draws a new batch or dropout
        mask for each i; otherwise the numbers are the same.
      unroll: write the inner steps out one after the other. ``False`` runs them in a
        ``scan``: a smaller program, but XLA:CPU runs convolutions inside it about 40
        times slower.
      axis_name: the devices' axis, needed only with a plain ``grad_fn``: its results
        are averaged over that axis.
      compute_dtype: ``jnp.float32`` to perturb float16 or bfloat16 parameters in it;
        ``grad_fn`` then gets float32 parameters at the perturbed point, which the loss
        must take, and its gradients are cast back. Default: they are refused.

    Returns:
      An optimizer. Its ``update`` takes ``params`` and, as an extra argument,
      ``grad_fn(params, i=0)``, i the inner step from 0; the gradient that it is given
      is the one at ``params`` of inner step 0.

    Raises:
      InputError: ``params`` or ``grad_fn`` is missing, ``rho`` or ``eta`` is negative,
        ``k`` is no whole number of at least 1, ``alpha`` is out of [0, 1] or an
        unknown word, a mask does not fit, a perturbed parameter is narrower than
        float32, or a name is unknown.

    Gradient evaluations: ``k + 1`` a step (``2 k`` with ``fresh_ascent_gradient``).
    Memory: no state of its own; the perturbed point and the fast weights live during a
    step, and one more copy with ``"adaptive"``. Differentiable in ``rho``, ``alpha``,
    ``eta``, the inner optimizer's hyper-parameters and the parameters, also at zero
    gradients.

    Decisions: we follow the authors' code, where the adaptive alpha is one for each
    tensor (one cosine over all parameters is something else), with norms of at least
    1e-8 in the cosine; a tensor that does not move has alpha 0.5, without effect. It
    spends ``2 k`` gradients because it computes that of descent i and ascent i + 1
    twice; with one batch and a deterministic loss they are equal. Evaluate at the
    parameters themselves: between updates slow and fast weights are the same.

    Measured: against SAM, which spends fewer gradients, small gains on digits clean and
    under weight noise with ``k = 2``, none under wrong labels once the decay is tuned
    (``python -m experiments.studies.sharpness full``). The points do not depend on
    the fast weights, so with SGD without weight decay a static ``alpha``
    matters only through its product with the learning rate: tune one of the two.

    >>> import jaxopt_lab
    >>> loss = lambda w, batch: jnp.sum(batch * w**2) / 2
    >>> w, batch = jnp.array([3.0, 4.0]), jnp.array([1.0, 1.0])
    >>> tx = jaxopt_lab.lookbehind(optax.sgd(0.1), rho=1.0, k=2, alpha=0.5)
    >>> grad_fn = jaxopt_lab.batch_grad(loss, batch)
    >>> updates, _ = tx.update(grad_fn(w), tx.init(w), w, grad_fn=grad_fn)
    >>> [round(float(u), 4) for u in updates]  # -0.5 * 0.1 * (6 + 7) * (0.6, 0.8)
    [-0.39, -0.52]

    Reference: Mordido, Malviya, Baratin and Chandar, "Lookbehind-SAM: k steps back, 1
    step forward", ICML 2024, arXiv:2307.16704. Code followed:
    chandar-lab/Lookbehind-SAM.
    """
    check_arguments(lookbehind, locals())
    inner = optax.with_extra_args_support(inner)
    perturbation = Perturbation(
        "lookbehind",
        rho,
        scaling=scaling,
        eta=eta,
        p=p,
        adapt_mask=adapt_mask,
        perturb_mask=perturb_mask,
        norm_over=norm_over,
        compute_dtype=compute_dtype,
    )

    def init_fn(params: Params) -> LookbehindState:
        state = inner.init(params)
        refuse_inside("lookbehind", state)
        return LookbehindState(jnp.zeros((), jnp.int32), state)

    def update_fn(
        updates: Updates,
        state: Any,
        params: Params | None = None,
        *,
        grad_fn: GradFn | None = None,
        **extra: Any,
    ) -> tuple[Updates, LookbehindState]:
        updates, params = trees.arrays((updates, params))
        # Theirs are the slow weights; the inner optimizer's are the fast ones.
        for name in ("fused_apply", "grad"):
            extra.pop(name, None)
        slow, grad_fn = gradients.enter_transform(
            "lookbehind",
            updates,
            params,
            grad_fn,
            _GIVEN,
            axis_name,
            gives_gradient=False,
        )
        perturb = perturbation.at(slow, state.count)
        grad = averaged(grad_fn, axis_name)

        def one_step(at: _Inner, i: int | jax.Array) -> _Inner:
            point = perturb(at.point, at.grad_at_point)
            sharp = grad(point, i)
            sharp = jax.tree.map(lambda g, u: g.astype(u.dtype), sharp, updates)
            fast = optax.apply_updates(slow, at.moved)
            step, inner_state = inner.update(
                sharp, at.inner, fast, grad_fn=grad_fn, **extra
            )
            moved = jax.tree.map(jnp.add, at.moved, step)
            return _Inner(point, sharp, moved, inner_state)

        def later_step(at: _Inner, i: int | jax.Array) -> _Inner:
            if fresh_ascent_gradient:
                fresh = grad(at.point, i)
                fresh = jax.tree.map(lambda g, u: g.astype(u.dtype), fresh, updates)
                at = at._replace(grad_at_point=fresh)
            return one_step(at, i)

        still = jax.tree.map(jnp.zeros_like, updates)
        at = one_step(_Inner(slow, updates, still, state.inner), 0)
        first_move = at.moved
        if unroll or k == 1:
            for i in range(1, k):
                at = later_step(at, i)
        else:
            rest = jnp.arange(1, k)
            at, _ = jax.lax.scan(lambda c, i: (later_step(c, i), None), at, rest)
        if isinstance(alpha, str):
            parts = jax.tree.map(agreement, first_move, at.moved)
        else:
            part = value_at(alpha, state.count)
            parts = jax.tree.map(lambda _: part, at.moved)
        gone = jax.tree.map(lambda a, m: jnp.asarray(a, m.dtype) * m, parts, at.moved)
        count = increment(state.count)
        return gone, LookbehindState(count, at.inner)

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def agreement(one: jax.Array, two: jax.Array) -> jax.Array:
    """Agreement of two moves of a tensor: ``(cos + 1) / 2``.

    Args:
      one: a move, real or complex.
      two: another move of the same tensor.

    Returns:
      Scalar in [0, 1], float32 or better: 1 for the same direction, 0 for opposite
      ones, 0.5 where one of them is zero. Norms below 1e-8 count as 1e-8.

    >>> float(agreement(jnp.array([1.0, 0.0]), jnp.array([0.0, 2.0])))
    0.5
    """
    norms = [jnp.maximum(trees.global_norm(x), 1e-8) for x in (one, two)]
    return (trees.dot(one, two) / (norms[0] * norms[1]) + 1) / 2
