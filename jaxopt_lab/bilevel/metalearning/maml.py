"""MAML: initial parameters that adapt to a task in few steps."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.bilevel.checkpointed_scan import Remat
from jaxopt_lab.bilevel.metalearning.adapt import Adaptation
from jaxopt_lab.bilevel.metalearning.task import MetaLoss, Task
from jaxopt_lab.core.typing import LossFn, Params


def maml(
    loss: LossFn,
    *,
    inner: optax.GradientTransformation,
    steps: int = 1,
    first_order: bool = False,
    per_step: bool = False,
    query_loss: LossFn | None = None,
    remat: Remat = "none",
) -> MetaLoss:
    r"""Model-agnostic meta-learning: the loss after adaptation, and its gradient.

    .. math:: F(θ) = L_{\mathrm{query}}(φ(θ)), \qquad
        \nabla F = \Big(\frac{\partial φ}{\partial θ}\Big)^T
            \nabla L_{\mathrm{query}}(φ)

    with φ(θ) = ``adapt(loss, θ, support, inner=inner, steps=steps)``. For gradient
    descent with rate α the Jacobian is the product of I - α H_t over the steps, H_t
    the Hessian of the support loss at θ_t. First-order MAML holds the updates
    constant, so that the Jacobian is the identity (for gradient descent the same as
    all H_t = 0), and the gradient is that of the query loss at φ.

    Args:
      loss: ``loss(params, batch) -> scalar``, a mean over the examples.
      inner: any optax transformation, as in ``adapt``. Some of optax (Adam among
        them) have NaN derivatives at zero gradients; ``bilevel.differentiable`` makes
        them safe.
      steps: inner steps, at least 1.
      first_order: first-order MAML.
      per_step: as in ``adapt``.
      query_loss: the loss on the query set if it is another one.
      remat: what the reverse pass stores, as in ``checkpointed_scan``.

    Returns:
      ``meta_loss(params, task) -> (value, adapted)``, to be differentiated with
      ``has_aux=True`` and averaged over tasks with ``over_tasks``.

    Raises:
      InputError: ``steps`` is less than 1, or ``remat`` is unknown. When called: as
        ``adapt``.

    Gradient cost: ``steps`` gradients and Hessian-vector products of the support set
    and one gradient of the query set; first-order: ``steps`` + 1 gradients. Memory:
    ``steps`` times what a gradient of the support set stores (less with ``remat``);
    first-order: nothing of the loop.

    A rate that is learned as well (Meta-SGD) is one that is closed over::

      def meta_loss(theta, task):
          return maml(loss, inner=optax.sgd(theta["rate"]))(theta["params"], task)

    >>> from jaxopt_lab.bilevel.metalearning import Task
    >>> loss = lambda w, batch: jnp.mean((w - batch) ** 2) / 2
    >>> task = Task(support=jnp.array([1.0]), query=jnp.array([1.0]))
    >>> meta_loss = maml(loss, inner=optax.sgd(0.5))
    >>> gradient = jax.value_and_grad(meta_loss, has_aux=True)
    >>> (value, adapted), grad = gradient(jnp.float32(0), task)
    >>> float(adapted), float(value), float(grad)  # (1 - 0.5) (0.5 - 1)
    (0.5, 0.125, -0.25)

    References: Finn, Abbeel, Levine, "Model-agnostic meta-learning for fast
    adaptation of deep networks", ICML 2017, arXiv:1703.03400. First-order: ibid.
    section 5.2, and Nichol, Achiam, Schulman, "On first-order meta-learning
    algorithms", arXiv:1803.02999, whose definition this is. Both papers step with
    plain gradients.
    """
    adaptation = Adaptation(loss, inner, steps, remat, per_step=per_step)
    return after_adaptation(adaptation, query_loss, first_order)


def after_adaptation(
    adaptation: Adaptation, query_loss: LossFn | None, first_order: bool
) -> MetaLoss:
    """The query loss after an adaptation.

    Args:
      adaptation: the inner loop.
      query_loss: the loss on the query set; ``None`` for that of the adaptation.
      first_order: whether the updates are held constant.

    Returns:
      ``meta_loss(params, task) -> (value, adapted)``.
    """
    judge = adaptation.loss if query_loss is None else query_loss

    def meta_loss(params: Params, task: Task) -> tuple[jax.Array, Params]:
        if first_order:
            adapted = adaptation(jax.lax.stop_gradient(params), task.support)
            adapted = shifted(adapted, params)
        else:
            adapted = adaptation(params, task.support)
        return judge(adapted, task.query), adapted

    return meta_loss


def shifted(adapted: Params, params: Params) -> Params:
    """``adapted`` to the last bit, with the derivative of ``params``.

    Args:
      adapted: values, held constant.
      params: what moves them one to one.

    Returns:
      A tree like both.
    """

    def leaf(new: jax.Array, old: jax.Array) -> jax.Array:
        old = jnp.asarray(old)
        return jax.lax.stop_gradient(new) + (old - jax.lax.stop_gradient(old))

    return jax.tree.map(leaf, adapted, params)
