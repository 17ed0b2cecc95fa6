"""iMAML: MAML with implicit gradients, independent of the inner loop's path."""
# Its examples wait for pytest --full.

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.bilevel.metalearning.adapt import Adaptation
from jaxopt_lab.bilevel.metalearning.task import MetaLoss, Task
from jaxopt_lab.core import checks as arguments
from jaxopt_lab.core.argument_checks import check_transformation
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.typing import Batch, LossFn, Params, Scalar


def proximal(loss: LossFn, anchor: Params, strength: Scalar) -> LossFn:
    r"""A loss with a proximal term that keeps parameters near others.

    .. math:: L(φ) + \frac{λ}{2} \lVert φ - θ \rVert^2

    Args:
      loss: L, ``loss(params, batch) -> scalar``.
      anchor: θ, a tree like the parameters.
      strength: λ, at least 0.

    Returns:
      ``loss(params, batch)``. ``adapt`` with it is what iMAML does at test time.

    >>> near = proximal(lambda w, batch: w * batch, jnp.float32(1), 2.0)
    >>> float(near(jnp.float32(3), 5.0))
    19.0
    """

    def near(params: Params, batch: Batch) -> jax.Array:
        value = loss(params, batch)
        squares = jax.tree.map(
            lambda p, a: jnp.sum((p - a) ** 2).astype(value.dtype), params, anchor
        )
        total = sum(jax.tree.leaves(squares), jnp.zeros((), value.dtype))
        return value + jnp.asarray(strength, value.dtype) / 2 * total

    return near


def imaml(
    loss: LossFn,
    *,
    inner: optax.GradientTransformation,
    steps: int = 16,
    strength: Scalar = 2.0,
    cg_steps: int | None = 5,
    tol: float | None = None,
    query_loss: LossFn | None = None,
) -> MetaLoss:
    r"""MAML with implicit gradients: they depend on the solution, not on the path.

    .. math:: φ(θ) = \arg\min_φ L_{\mathrm{support}}(φ)
            + \frac{λ}{2} \lVert φ - θ \rVert^2, \qquad
        \nabla F = \Big(I + \frac{1}{λ} \nabla^2 L_{\mathrm{support}}(φ)\Big)^{-1}
            \nabla L_{\mathrm{query}}(φ)

    The inner loop minimises the proximal objective from θ, and is not differentiated.
    The linear system is solved by conjugate gradients on Hessian-vector products at φ,
    so that neither the number of inner steps nor the optimizer that takes them enters
    the derivative. It is exact where the loop has converged, and a descent direction
    only while the proximal objective is convex there: λ must exceed the most negative
    curvature.

    Args:
      loss: ``loss(params, batch) -> scalar``, a mean over the examples.
      inner: any optax transformation, as in ``adapt``; of the proximal objective,
        whose curvature is that of the loss and λ more. It needs no derivative.
      steps: inner steps, at least 1.
      strength: λ, more than 0; may be traced, and has a derivative.
      cg_steps: largest number of conjugate-gradient steps; ``None``: until ``tol``.
      tol: at which they stop earlier; by default about 2e-12 in float64 and 6e-6 in
        float32.
      query_loss: the loss on the query set if it is another one.

    Returns:
      ``meta_loss(params, task) -> (value, adapted)``, as of ``maml``.

    Raises:
      InputError: ``steps`` is less than 1, or another option is out of range.

    Gradient cost: ``steps`` gradients and ``cg_steps`` Hessian-vector products of the
    support set, and one gradient of the query set. Memory: that of one gradient and
    about five trees like the parameters, whatever ``steps``.

    >>> from jaxopt_lab.bilevel.metalearning import Task
    >>> loss = lambda w, batch: jnp.mean((w - batch) ** 2) / 2
    >>> task = Task(support=jnp.array([3.0]), query=jnp.array([3.0]))
    >>> meta_loss = imaml(loss, inner=optax.sgd(1 / 3), strength=2.0)
    >>> gradient = jax.value_and_grad(meta_loss, has_aux=True)
    >>> (value, adapted), grad = gradient(jnp.float32(0), task)
    >>> round(float(adapted), 5), round(float(grad), 5)  # (1 + 1/2)^-1 (1 - 3)
    (1.0, -1.33333)

    Reference: Rajeswaran, Finn, Kakade, Levine, "Meta-learning with implicit
    gradients", NeurIPS 2019, arXiv:1909.04630.
    """
    arguments.check_positive_count("steps", steps)
    check_transformation("inner", inner)
    number = known_number(strength)
    if number is not None and not number > 0:
        raise InputError(f"strength must be more than 0; got {strength}")
    if cg_steps is not None:
        arguments.check_positive_count("cg_steps", cg_steps)
    arguments.check_non_negative("tol", tol)
    judge = loss if query_loss is None else query_loss

    # The support set is an argument, not closed over: inside of a scan the rule runs
    # after the tracers of the body have ended.
    def near(w: Params, params: Params, strength: Scalar, support: Batch) -> jax.Array:
        return proximal(loss, params, strength)(w, support)

    @jax.custom_jvp
    def minimum(params: Params, strength: jax.Array, support: Batch) -> Params:
        near = proximal(loss, params, strength)
        return Adaptation(near, inner, steps)(params, support)

    @minimum.defjvp
    def _(primals: Any, tangents: Any) -> tuple[Params, Params]:
        # Call the function itself, not the loop, so that the derivative of this rule is
        # implicit too.
        reached = minimum(*primals)
        slope = jax.grad(near)
        _, along = jax.jvp(lambda *theta: slope(reached, *theta), primals, tangents)
        _, product = jax.linearize(lambda w: slope(w, *primals), reached)
        back = jax.tree.map(jnp.negative, along)
        return reached, conjugate_gradients(product, back, cg_steps, tol)

    def meta_loss(params: Params, task: Task) -> tuple[jax.Array, Params]:
        params, support = jax.tree.map(jnp.asarray, (params, task.support))
        adapted = minimum(params, jnp.asarray(strength), support)
        return judge(adapted, task.query), adapted

    return meta_loss


def conjugate_gradients(
    product: Callable[[Params], Params],
    b: Params,
    steps: int | None,
    tol: float | None,
) -> Params:
    """The solution of a symmetric positive system, with derivatives.

    lineax is not used here: it returns NaN where a direction has hardly any curvature;
    far from a minimum the Hessian of a relu network has such directions, and one task
    among thousands would end the meta-training.

    Args:
      product: ``v -> A v``.
      b: the right-hand side, tree of real arrays.
      steps: at most so many products.
      tol: the residual to stop at, relative to b.

    Returns:
      A tree like ``b``.
    """
    eps = max(float(jnp.finfo(x.dtype).eps) for x in jax.tree.leaves(b))
    stop: float = eps**0.75 if tol is None else tol
    cg = functools.partial(jax.scipy.sparse.linalg.cg, tol=stop, maxiter=steps)
    # cg has derivatives itself, but no reverse mode from its zero start.
    return jax.lax.custom_linear_solve(
        product, b, lambda product, b: cg(product, b)[0], symmetric=True
    )
