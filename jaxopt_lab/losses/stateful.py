"""A loss with state as two pure functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax


class StatefulLoss(NamedTuple):
    """A loss with state as two pure functions.

    Attributes:
      init: ``init(example) -> state``; only shapes and types of the example count.
      apply: ``apply(state, outputs, *, where=None) -> (losses, state)``; the losses
        are one number per example, their reduction is the caller's. The state goes
        into ``model_state`` of a train step.
    """

    init: Callable[[Any], Any]
    apply: Callable[..., tuple[jax.Array, Any]]
