"""The error about a loss or parameters that are not finite."""

from __future__ import annotations

import contextlib
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.trees import is_floating
from jaxopt_lab.runtime.checkpoints import Checkpoints


class NonFiniteLossError(RuntimeError):
    """The loss became NaN or infinite; the message says when, and what is saved.

    Attributes:
      done: number of steps taken.
    """

    done: int | None = None


def not_finite(
    what: str, checkpoints: Checkpoints | None, done: int
) -> NonFiniteLossError:
    """The error about a loss or parameters, with the last checkpoint that is good.

    Args:
      what: what is not finite, and when.
      checkpoints: of the run; ``None``: it saves none.
      done: number of steps taken.

    Returns:
      The error, to be raised.
    """
    latest = None
    if checkpoints is not None:
        # A failure of the wait would hide the cause.
        with contextlib.suppress(InputError):
            checkpoints.wait()
        latest = checkpoints.latest()
    saved = "no checkpoint was saved"
    if latest is not None:
        saved = f"the last good checkpoint is step {latest}"
    error = NonFiniteLossError(f"{what}; {saved}")
    error.done = done
    return error


@jax.jit
def all_finite(params: Any) -> jax.Array:
    """Whether all floating-point parameters are finite.

    Args:
      params: a tree.

    Returns:
      A bool scalar.
    """
    finite = [
        jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves(params) if is_floating(x)
    ]
    return jnp.all(jnp.array(finite))
