"""What a link may require of what it is handed, with errors that show the call."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.gradients import NO_EXAMPLE_LOSSES
from jaxopt_lab.core.typing import GradFn, Params, Updates


def require_grad_fn(
    link: str, updates: Updates, params: Params | None, grad_fn: GradFn | None
) -> tuple[Params, GradFn]:
    """What a sharpness link needs, or an error that shows the call.

    Args:
      link: name of the link, for the message.
      updates: the gradients that the link was given.
      params: the ``params`` argument of its update.
      grad_fn: the ``grad_fn`` argument of its update.

    Returns:
      ``(params, grad_fn)``, both present.

    Raises:
      InputError: one is missing.
    """
    call = (
        "tx.update(grads, state, params, grad_fn=jaxopt_lab.batch_grad(loss_fn, batch))"
    )
    if params is None:
        raise InputError(f"{link} needs params: call {call}")
    if grad_fn is None:
        raise InputError(
            f"{link} needs grad_fn: call {call}; make_train_step passes it by itself, "
            "and optax.MultiSteps(...).gradient_transformation() drops it (use "
            "make_train_step(..., micro_batches=) instead)"
        )
    # The dry run of the train step listens here: it can tell whether another
    # transform stands in front of the link.
    received = getattr(grad_fn, "received", None)
    if received is not None:
        received(link, updates, params)
    return params, grad_fn


def require_shards(link: str, grad_fn: GradFn) -> Any:
    """``grad_fn`` if it knows its batch.

    Args:
      link: name of the link, for the message.
      grad_fn: the gradient function.

    Returns:
      The same object.

    Raises:
      InputError: it is a plain function.
    """
    if not hasattr(grad_fn, "shard"):
        raise InputError(
            f"{link} needs the gradients of parts of the batch, which a plain function "
            "does not give: pass grad_fn=jaxopt_lab.batch_grad(loss_fn, batch)"
        )
    return grad_fn


def require_examples(grad_fn: GradFn) -> Any:
    """``grad_fn`` if it can tell its examples apart.

    Args:
      grad_fn: the gradient function.

    Returns:
      The same object.

    Raises:
      InputError: it is not made by ``batch_grad``.
    """
    if not hasattr(grad_fn, "on_examples"):
        raise InputError(NO_EXAMPLE_LOSSES)
    return grad_fn


def require_float32(link: str, params: Params, mask: PyTree) -> None:
    """Refuse to perturb parameters whose type would swallow the perturbation.

    Args:
      link: name of the link, for the message.
      params: the parameters.
      mask: tree of booleans; only leaves under True are looked at.

    Raises:
      InputError: a floating leaf under the mask is narrower than float32.
    """
    pairs = zip(jax.tree.leaves_with_path(params), jax.tree.leaves(mask), strict=True)
    for (path, leaf), moved in pairs:
        if moved is False or not trees.is_floating(leaf):
            continue
        if jnp.finfo(leaf.dtype).bits < 32:
            raise InputError(
                f"{link} cannot perturb {trees.path_name(path)} in {leaf.dtype}: most "
                "of a small perturbation is lost in rounding. Keep a float32 master "
                "copy as the parameters and cast inside the loss: "
                f"loss_fn(jaxopt_lab.core.trees.cast(params, jnp.{leaf.dtype}), batch)"
            )
