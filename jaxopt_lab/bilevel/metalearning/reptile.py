"""Reptile: the displacement of a task's training as meta-gradient."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.bilevel.metalearning.adapt import Adaptation
from jaxopt_lab.bilevel.metalearning.task import MetaLoss, Task
from jaxopt_lab.core.typing import LossFn, Params, Updates


def reptile(
    loss: LossFn,
    *,
    inner: optax.GradientTransformation,
    steps: int = 5,
    per_step: bool = False,
    query_loss: LossFn | None = None,
) -> MetaLoss:
    r"""Reptile: the displacement of a task's training instead of a gradient.

    .. math:: g = θ - φ, \qquad
        φ = \mathrm{adapt}(θ, \mathrm{support}), \qquad
        θ \leftarrow θ - ε g = θ + ε (φ - θ)

    The function that is returned has the query loss of φ as its value and g as its
    gradient, so that it replaces ``maml`` in any program, and g, averaged
    over tasks, goes into any optax transformation: ``optax.sgd(ε)`` is the paper's
    update. The gradient does not depend on the query set; add its examples to the
    support set to use them.

    Args:
      loss: ``loss(params, batch) -> scalar``, a mean over the examples.
      inner: any optax transformation, as in ``adapt``; it is not differentiated.
      steps: inner steps, at least 1. With one step and gradient descent Reptile learns
        no more than training on all tasks at once.
      per_step: as in ``adapt``: a new mini-batch for each step, as in the paper.
      query_loss: the loss on the query set if it is another one.

    Returns:
      ``meta_loss(params, task) -> (value, adapted)``. Its derivative is not that of its
      value, by definition; a second derivative is 0.

    Raises:
      InputError: ``steps`` is less than 1. When called: as ``adapt``.

    Gradient cost: ``steps`` gradients, and one evaluation of the query loss if its
    value is used. Memory: nothing of the loop; the parameters and the state once more.

    >>> from jaxopt_lab.bilevel.metalearning import Task
    >>> loss = lambda w, batch: jnp.mean((w - batch) ** 2) / 2
    >>> task = Task(support=jnp.array([1.0]), query=jnp.array([1.0]))
    >>> meta_loss = reptile(loss, inner=optax.sgd(0.5), steps=2)
    >>> gradient = jax.value_and_grad(meta_loss, has_aux=True)
    >>> (value, adapted), grad = gradient(jnp.float32(0), task)
    >>> float(adapted), float(value), float(grad)
    (0.75, 0.03125, -0.75)

    Reference: Nichol, Achiam, Schulman, "On first-order meta-learning algorithms",
    arXiv:1803.02999, algorithms 1 and 2; with Adam outside they divide g by the
    inner rate, to which Adam is invariant.
    """
    adaptation = Adaptation(loss, inner, steps, per_step=per_step)
    judge = loss if query_loss is None else query_loss

    def meta_loss(params: Params, task: Task) -> tuple[jax.Array, Params]:
        params = jax.tree.map(jnp.asarray, params)
        held = jax.lax.stop_gradient(params)
        adapted = jax.lax.stop_gradient(adaptation(held, task.support))
        gradient = jax.tree.map(jnp.subtract, held, adapted)
        value = jax.lax.stop_gradient(judge(adapted, task.query))
        return with_gradient(value, params, gradient), adapted

    return meta_loss


@jax.custom_jvp
def with_gradient(value: jax.Array, params: Params, gradient: Updates) -> jax.Array:
    """``value``, with ``gradient`` as its derivative by ``params``.

    Args:
      value: real scalar.
      params: tree of real arrays, which the value need not depend on.
      gradient: tree like ``params``, held constant.

    Returns:
      ``value`` itself.

    >>> float(jax.grad(with_gradient, argnums=1)(jnp.float32(7), 1.0, 3.0))
    3.0
    """
    del params, gradient
    return value


@with_gradient.defjvp
def _(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    value, _, gradient = primals
    moved, along, _ = tangents
    for g, direction in zip(
        jax.tree.leaves(gradient), jax.tree.leaves(along), strict=True
    ):
        moved = moved + jnp.vdot(g, direction).astype(value.dtype)
    return value, moved
