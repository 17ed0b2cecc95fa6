"""Inner loop of the meta-learning methods: a few steps on a task's support set."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.bilevel.checkpointed_scan import (
    Remat,
    checkpointed_scan,
    levels_of,
    stacking_scan,
)
from jaxopt_lab.bilevel.metalearning.task import Task
from jaxopt_lab.core import checks as arguments
from jaxopt_lab.core import loops, trees
from jaxopt_lab.core.argument_checks import check_transformation
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.gradients import batch_grad
from jaxopt_lab.core.masking import is_masked
from jaxopt_lab.core.typing import Batch, LossFn, MaskOrFn, Params

Carry: TypeAlias = tuple[Params, Any]


@dataclasses.dataclass(frozen=True)
class Adaptation:
    """Options of an adaptation; see ``adapt`` for the meaning of each.

    Attributes:
      loss: ``loss(params, batch) -> scalar``.
      inner: the optimizer.
      steps: number of steps.
      remat: what a reverse pass through the steps stores.
      mask: which leaves move; ``None`` for all.
      per_step: whether the support has a batch for each step.

    Raises:
      InputError: ``steps`` is less than 1, or ``remat`` is unknown.
    """

    loss: LossFn
    inner: optax.GradientTransformation
    steps: int
    remat: Remat = "none"
    mask: MaskOrFn | None = None
    per_step: bool = False

    def __post_init__(self) -> None:
        arguments.check_positive_count("steps", self.steps)
        check_transformation("inner", self.inner)
        levels_of(self.remat)

    def moving(self, params: Params) -> Params:
        """The leaves that move; ``optax.MaskedNode`` for the others."""
        if self.mask is None:
            return params
        mask = trees.resolve_mask(self.mask, params)
        return jax.tree.map(lambda m, p: p if m else optax.MaskedNode(), mask, params)

    def whole(self, moving: Params, params: Params) -> Params:
        """The leaves that move, completed by those of ``params``."""
        if self.mask is None:
            return moving
        return jax.tree.map(
            lambda part, p: p if is_masked(part) else part,
            moving,
            params,
            is_leaf=is_masked,
        )

    def first(self, params: Params) -> Carry:
        """The carry of the first step."""
        moving = self.moving(jax.tree.map(jnp.asarray, params))
        return moving, self.inner.init(moving)

    def step(self, carry: Carry, t: jax.Array, params: Params, support: Batch) -> Carry:
        """One step on the batch that belongs to it."""
        moving, state = carry
        # Differentiate by the moving leaves alone: the others cost no backward pass,
        # and their derivative goes through the closure.
        grad_fn = batch_grad(
            lambda moving, batch: self.loss(self.whole(moving, params), batch),
            loops.take(support, t) if self.per_step else support,
        )
        update = optax.with_extra_args_support(self.inner).update
        # grad_fn caches this gradient for a link that evaluates it again.
        _, grads = grad_fn.value_and_grad(moving)
        updates, state = update(grads, state, moving, grad_fn=grad_fn)
        return optax.apply_updates(moving, updates), state

    def __call__(self, params: Params, support: Batch) -> Params:
        """The adapted parameters, differentiable with respect to the first ones."""
        self.check(support)
        moving, _ = checkpointed_scan(
            lambda carry, t: self.step(carry, t, params, support),
            self.first(params),
            self.steps,
            remat=self.remat,
        )
        return self.whole(moving, params)

    def check(self, support: Batch) -> None:
        """Refuse a support set that has not as many batches as there are steps.

        Args:
          support: the support set.

        Raises:
          InputError: with ``per_step``, a leading axis is not ``steps`` long.
        """
        if not self.per_step:
            return
        for path, x in jax.tree.leaves_with_path(support):
            if jnp.shape(x)[:1] != (self.steps,):
                raise InputError(
                    f"with per_step, support must have a leading axis of steps = "
                    f"{self.steps}; {trees.path_name(path) or 'it'} has shape "
                    f"{jnp.shape(x)}"
                )


def adapt(
    loss: LossFn,
    params: Params,
    support: Batch,
    *,
    inner: optax.GradientTransformation,
    steps: int = 1,
    mask: MaskOrFn | None = None,
    per_step: bool = False,
    remat: Remat = "none",
) -> Params:
    r"""Parameters after a few steps on one task, as at test time.

    .. math:: θ_0 = θ, \qquad
        θ_{t+1} = θ_t + \mathrm{inner}(\nabla L_{\mathrm{support}}(θ_t)), \qquad
        φ = θ_{\mathrm{steps}}

    It is a pure function, with derivatives with respect to ``params``, to every
    array in ``support``, and to what ``inner`` and ``loss`` close over (a learned
    learning rate).

    Args:
      loss: ``loss(params, batch) -> scalar``, a mean over the examples.
      params: starting point, real floating arrays.
      support: tree of arrays with a common leading axis, the examples.
      inner: any optax transformation; links that evaluate the gradient themselves
        get ``grad_fn`` on the same batch. Its state is initialised for every task.
      steps: number of steps, at least 1.
      mask: which leaves move: tree of booleans, a prefix of one, or a function of the
        parameters; the optimizer sees only these. ``None``: all of them.
      per_step: the arrays of ``support`` have one axis more in front, of length
        ``steps``: a batch for each step.
      remat: what a reverse pass stores, as in ``checkpointed_scan``; ``"none"`` is the
        fastest and right for a handful of steps.

    Returns:
      The adapted parameters, of the same structure and dtypes.

    Raises:
      InputError: ``steps`` is less than 1, ``remat`` is unknown, the mask does not fit
        the parameters, or ``support`` has no common leading axis.

    Gradient cost: ``steps`` gradients of the support set. Memory: the parameters and
    the optimizer's state once more; a reverse pass stores what ``remat`` says.

    >>> import optax
    >>> loss = lambda w, batch: jnp.mean((w - batch) ** 2) / 2
    >>> support = jnp.array([1.0, 3.0])
    >>> float(adapt(loss, jnp.float32(0), support, inner=optax.sgd(0.5), steps=2))
    1.5
    """
    return Adaptation(loss, inner, steps, remat, mask, per_step)(params, support)


def adaptation_losses(
    loss: LossFn,
    params: Params,
    task: Task,
    *,
    inner: optax.GradientTransformation,
    steps: int = 1,
    mask: MaskOrFn | None = None,
    query_loss: LossFn | None = None,
) -> jax.Array:
    """The loss on the query set before the first step of ``adapt`` and after each.

    Args:
      loss: as in ``adapt``.
      params: as in ``adapt``.
      task: what is adapted to, and judged by.
      inner: as in ``adapt``.
      steps: as in ``adapt``.
      mask: as in ``adapt``.
      query_loss: any other figure of the query set, such as the accuracy; by default
        ``loss``.

    Returns:
      Shape ``(steps + 1,)``; entry t is that after t steps.

    Raises:
      InputError: as in ``adapt``.

    >>> import optax
    >>> loss = lambda w, batch: jnp.mean((w - batch) ** 2) / 2
    >>> task = Task(support=jnp.array([2.0]), query=jnp.array([2.0]))
    >>> adaptation_losses(loss, jnp.float32(0), task, inner=optax.sgd(0.5)).tolist()
    [2.0, 0.5]
    """
    judge = loss if query_loss is None else query_loss
    adaptation = Adaptation(loss, inner, steps, mask=mask)

    def step(carry: Carry, t: jax.Array) -> tuple[Carry, jax.Array]:
        carry = adaptation.step(carry, t, params, task.support)
        return carry, judge(adaptation.whole(carry[0], params), task.query)

    first = judge(params, task.query)
    carry = adaptation.first(params)
    _, after = stacking_scan(step, carry, steps, remat="none")
    return jnp.concatenate([first[None], after])
