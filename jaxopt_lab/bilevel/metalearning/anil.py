"""ANIL: MAML with an inner loop over the head alone."""

from __future__ import annotations

import optax

from jaxopt_lab.bilevel.checkpointed_scan import Remat
from jaxopt_lab.bilevel.metalearning.adapt import Adaptation
from jaxopt_lab.bilevel.metalearning.maml import after_adaptation
from jaxopt_lab.bilevel.metalearning.task import MetaLoss
from jaxopt_lab.core.typing import LossFn, MaskOrFn


def anil(
    loss: LossFn,
    *,
    head: MaskOrFn,
    inner: optax.GradientTransformation,
    steps: int = 1,
    first_order: bool = False,
    per_step: bool = False,
    query_loss: LossFn | None = None,
    remat: Remat = "none",
) -> MetaLoss:
    r"""Almost no inner loop: only the head adapts, everything is meta-learned.

    With the parameters split into a body b and a head h,

    .. math:: h_{t+1} = h_t + \mathrm{inner}(\nabla_h L_{\mathrm{support}}(b, h_t)),
        \qquad F(b, h) = L_{\mathrm{query}}(b, h_{\mathrm{steps}}),

    differentiated with respect to both, through the adaptation of the head. With
    everything in the head it is MAML, with nothing in it the plain query loss.

    Args:
      loss: ``loss(params, batch) -> scalar``, a mean over the examples.
      head: which leaves adapt: tree of booleans, a prefix of one, or a function of the
        parameters (``trees.matching("^head")`` makes such).
      inner: any optax transformation, as in ``adapt``; it sees the head only, with
        ``optax.MaskedNode`` in the other places.
      steps: inner steps, at least 1.
      first_order: hold the updates constant, as in ``maml``.
      per_step: as in ``adapt``.
      query_loss: the loss on the query set if it is another one.
      remat: what the reverse pass stores, as in ``checkpointed_scan``.

    Returns:
      ``meta_loss(params, task) -> (value, adapted)``, as of ``maml``. At test time,
      ``adapt(..., mask=head)``.

    Raises:
      InputError: ``steps`` is less than 1, or ``remat`` is unknown. When called: the
        mask does not fit the parameters.

    Gradient cost and memory: as of ``maml``; the inner gradients stop at the head, so
    that the body runs forwards once a step and backwards once in all.

    >>> import jax, jax.numpy as jnp
    >>> from jaxopt_lab.core import trees
    >>> from jaxopt_lab.bilevel.metalearning import Task
    >>> loss = lambda p, x: jnp.mean((p["body"] + p["head"] - x) ** 2) / 2
    >>> params = {"body": jnp.float32(0), "head": jnp.float32(0)}
    >>> task = Task(support=jnp.array([1.0]), query=jnp.array([1.0]))
    >>> meta_loss = anil(loss, head=trees.matching("head"), inner=optax.sgd(0.5))
    >>> value, adapted = meta_loss(params, task)
    >>> float(adapted["body"]), float(adapted["head"]), float(value)
    (0.0, 0.5, 0.125)

    Reference: Raghu, Raghu, Bengio, Vinyals, "Rapid learning or feature reuse?
    Towards understanding the effectiveness of MAML", ICLR 2020, arXiv:1909.09157.
    """
    adaptation = Adaptation(loss, inner, steps, remat, head, per_step)
    return after_adaptation(adaptation, query_loss, first_order)
