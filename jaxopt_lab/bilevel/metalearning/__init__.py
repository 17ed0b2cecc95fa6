"""Meta-learning: parameters, and parts of them, that adapt to new tasks in few steps.

``maml``, ``reptile``, ``imaml`` and ``anil`` each make a
``meta_loss(params, task) -> (value, adapted)``; one differentiates its mean over tasks
and passes the gradient to any optax transformation:

>>> import jax, jax.numpy as jnp, optax
>>> loss = lambda w, batch: jnp.mean((w - batch["y"]) ** 2)
>>> meta_loss = over_tasks(maml(loss, inner=optax.sgd(0.1)))
>>> tasks = jax.vmap(sinusoid_task)(jax.random.split(jax.random.key(0), 5))
>>> gradient = jax.value_and_grad(meta_loss, has_aux=True)
>>> (value, adapted), grad = gradient(jnp.float32(0), tasks)
>>> adapted.shape
(5,)
"""
# Its examples wait for pytest --full.

from jaxopt_lab.bilevel.metalearning.adapt import adapt, adaptation_losses
from jaxopt_lab.bilevel.metalearning.anil import anil
from jaxopt_lab.bilevel.metalearning.imaml import imaml, proximal
from jaxopt_lab.bilevel.metalearning.maml import maml
from jaxopt_lab.bilevel.metalearning.reptile import reptile
from jaxopt_lab.bilevel.metalearning.sinusoids import sinusoid_task
from jaxopt_lab.bilevel.metalearning.task import MetaLoss, Task, over_tasks
from jaxopt_lab.bilevel.metalearning.tasks import (
    ClassPool,
    class_pool,
    few_shot_task,
    split_classes,
)

__all__ = [
    "ClassPool",
    "MetaLoss",
    "Task",
    "adapt",
    "adaptation_losses",
    "anil",
    "class_pool",
    "few_shot_task",
    "imaml",
    "maml",
    "over_tasks",
    "proximal",
    "reptile",
    "sinusoid_task",
    "split_classes",
]
