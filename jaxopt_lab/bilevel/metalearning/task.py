"""A task, and the mean of a meta-loss over many of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from jaxopt_lab.core import loops
from jaxopt_lab.core.typing import Batch, Params


class Task(NamedTuple):
    """Examples to adapt to, and others of the same task for evaluation.

    Attributes:
      support: a batch, as the loss takes it: tree of arrays whose common leading axis
        is the examples.
      query: another batch of the same task.
    """

    support: Batch
    query: Batch


MetaLoss: TypeAlias = Callable[[Params, Task], tuple[jax.Array, Params]]


def over_tasks(meta_loss: MetaLoss, mode: loops.Mode = "vmap") -> MetaLoss:
    """The mean of a meta-loss over tasks.

    Args:
      meta_loss: ``meta_loss(params, task) -> (value, adapted)``, from ``maml``,
        ``reptile``, ``imaml`` or ``anil``.
      mode: ``"vmap"``, ``"scan"`` or ``"unroll"``; the values are the same to rounding.
        On CPU, networks with convolutions want ``"unroll"``: every task has adapted
        kernels of its own, and convolutions with batched kernels are slow there.

    Returns:
      ``(params, tasks) -> (mean of the values, adapted parameters of every task)``;
      ``tasks`` is a ``Task`` whose arrays have a leading axis more, the tasks.

    Raises:
      InputError: the mode is unknown.

    >>> double = over_tasks(lambda w, task: (w * task.query, w))
    >>> tasks = Task(support=jnp.zeros(2), query=jnp.array([1.0, 3.0]))
    >>> float(double(jnp.float32(2), tasks)[0])
    4.0
    """
    loops.check_mode(mode)

    def mean_loss(params: Params, tasks: Task) -> tuple[jax.Array, Params]:
        values, adapted = loops.map_items(
            lambda task: meta_loss(params, task), tasks, mode
        )
        return jnp.mean(values), adapted

    return mean_loss
