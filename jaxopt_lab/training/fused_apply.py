"""New parameters computed by a transformation itself, used where they are valid."""

from __future__ import annotations

from typing import Any

import jax

from jaxopt_lab.core import trees
from jaxopt_lab.core.typing import Params, Updates


class FusedApplyRecorder:
    """Records new parameters and uses those that are still valid.

    A transformation computes ``new = old + update`` chunk by chunk and records all
    three. The update goes on through the chain; at the end ``apply`` uses, leaf by
    leaf, the recorded parameter where the update that comes out is the very object that
    was recorded and belongs to the very parameter of the step, and adds the update
    everywhere else. A later transformation that changes the update makes a new object,
    so that its update is added; XLA removes whichever result is not used.

    Lives for one trace of one step; it is not a tree and never enters a state.
    """

    def __init__(self) -> None:
        # Keyed by identity; the objects are kept, or their ids would be reused.
        self._records: dict[int, tuple[Any, Any, Any] | None] = {}
        self._kept: list[Any] = []

    @property
    def used(self) -> bool:
        """Whether anything is recorded."""
        return bool(self._kept)

    def record(self, updates: Updates, old_params: Params, new_params: Params) -> None:
        """Say that adding ``updates`` to ``old_params`` gives ``new_params``.

        Args:
          updates: the updates that the transformation returns, these very arrays.
          old_params: the parameters that it was given.
          new_params: the parameters that it computed.
        """
        leaves = [jax.tree.leaves(t) for t in (updates, old_params, new_params)]
        for update, old, new in zip(*leaves, strict=True):
            self._kept.append(update)
            # One array that stands for two leaves says nothing about either.
            twice = id(update) in self._records
            self._records[id(update)] = None if twice else (update, old, new)

    def apply(self, params: Params, updates: Updates) -> Params:
        """The parameters after the step.

        Args:
          params: the step's parameters.
          updates: what came out of the chain.

        Returns:
          New parameters in the dtypes of ``params``.
        """

        def one(p: jax.Array, u: jax.Array) -> jax.Array:
            update, old, new = self._records.get(id(u)) or (None, None, None)
            if update is u and old is p and new is not None and new.dtype == p.dtype:
                return new
            return trees.add_update(p, u)

        return jax.tree.map(one, params, updates)
