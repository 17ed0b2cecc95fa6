"""Checks of what a loss function returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError, described
from jaxopt_lab.core.typing import PyTree


def loss_and_aux(result: Any) -> tuple[jax.Array, PyTree]:
    """The result of a loss function that returns more than the loss.

    Args:
      result: what the loss function returned.

    Returns:
      The same pair.

    Raises:
      InputError: it is no pair.
    """
    if isinstance(result, tuple) and len(result) == 2:
        return result
    raise InputError(
        "with has_aux=True loss_fn must return (loss, aux); got "
        f"{described(result)}: leave has_aux out for a loss alone"
    )


def train_loss(result: Any) -> Any:
    """The result of the loss function of a train step.

    Args:
      result: what it returned.

    Returns:
      The same.

    Raises:
      InputError: it is no ``(loss, (model_state, metrics))``.
    """
    match result:
        case (_, (_, Mapping())):
            return result
    raise InputError(
        "loss_fn must return (loss, (model_state, metrics)), metrics a dict; got "
        f"{described(result)}"
    )


def check_loss(loss: Any) -> None:
    """Refuse a loss that is no real scalar.

    Args:
      loss: what the loss function returned.

    Raises:
      InputError: it is a tuple, a tree, an array of several numbers, an integer or a
        complex number.
    """
    if isinstance(loss, tuple):
        raise InputError(
            f"loss_fn must return a scalar; got {described(loss)}: pass has_aux=True "
            "if it returns (loss, aux)"
        )
    leaf = jax.tree.structure(loss) == jax.tree.structure(0)
    shape = jnp.shape(loss) if leaf else None
    if shape == () and jnp.issubdtype(jnp.result_type(loss), jnp.floating):
        return
    raise InputError(
        "the loss must be a real scalar, a mean over the examples; got "
        f"{described(loss)}"
    )
