"""What a chain will ask of its gradient function, learned before it is asked.

The losses, metrics and first gradients of mSAM come from the passes over its shards;
a pass over the whole batch besides would cost a quarter more. So the train step runs
``tx.update`` once under ``jax.eval_shape``, with a gradient function that only takes
notes. The model is not traced in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from jaxopt_lab.core import loops, trees
from jaxopt_lab.core.typing import Params, Updates
from jaxopt_lab.training.fused_apply import ParameterDoor


class Plan(NamedTuple):
    """What ``dry_run`` found out.

    Attributes:
      gradients: evaluations of the whole batch's gradient per step, the first pass
        included. Both branches of a ``lax.cond`` count.
      num_shards: number of shards over which the first pass is to run; 0 for one
        pass over the whole batch.
      mode: how the loop over the shards runs.
      changed_before: names of the links whose incoming gradient is not the step's:
        another transform stands in front of them.
    """

    gradients: int
    num_shards: int
    mode: loops.Mode
    changed_before: tuple[str, ...]


class _NotingGradFn:
    """Answers with zeros and takes notes; a ``ShardedGradFn``."""

    def __init__(self, params: Params, grads: Updates):
        self._params = jax.tree.leaves(params)
        self._grads = jax.tree.leaves(grads)
        self.calls = 0
        self.asked: set[tuple[int, str]] = set()
        self.changed: list[str] = []

    def is_step(self, params: Params) -> bool:
        leaves = jax.tree.leaves(params)
        return len(leaves) == len(self._params) and all(
            a is b for a, b in zip(leaves, self._params, strict=True)
        )

    def __call__(self, params: Params, i: int | jax.Array = 0) -> Updates:
        self.calls += not self.is_step(params)
        return jax.tree.map(jnp.zeros_like, params)

    def mean(self, tree: PyTree) -> PyTree:
        return tree

    def shard(self, num_shards: int) -> _NotingShards:
        return _NotingShards(self, num_shards)

    def received(self, link: str, updates: Updates, params: Params) -> None:
        ours = {id(p) for p in self._params}
        if any(id(p) not in ours for p in jax.tree.leaves(params)):
            return  # inside a lax.cond everything is a new object: nothing to tell
        first = {id(g) for g in self._grads}
        if any(id(u) not in first for u in jax.tree.leaves(updates)):
            self.changed.append(link)


class _NotingShards:
    def __init__(self, whole: _NotingGradFn, num_shards: int):
        self._whole = whole
        self._num_shards = num_shards

    def __call__(self, params: Params, j: int | jax.Array) -> Updates:
        return self._whole(params)

    def mean(
        self,
        f: Callable[[Callable[[Params], Updates]], PyTree],
        mode: loops.Mode = "unroll",
    ) -> PyTree:
        self._whole.asked.add((self._num_shards, mode))
        return f(self._whole)


def dry_run(
    tx: optax.GradientTransformationExtraArgs, opt_state: PyTree, params: Params
) -> Plan:
    """Run ``tx.update`` on shapes alone and note what it asks for.

    Args:
      tx: the transformation.
      opt_state: its state; arrays or tracers.
      params: the parameters.

    Returns:
      The plan of the step's first pass.
    """
    notes: list[_NotingGradFn] = []

    def update(grads: Updates, opt_state: PyTree, params: Params) -> PyTree:
        grad_fn = _NotingGradFn(params, grads)
        notes.append(grad_fn)
        widest = max(
            (trees.accumulation_dtype(p.dtype) for p in jax.tree.leaves(params)),
            key=lambda dtype: jnp.finfo(dtype).bits,
            default=jnp.dtype(jnp.float32),
        )
        value, door = jnp.zeros((), widest), ParameterDoor()
        return tx.update(
            grads, opt_state, params, grad_fn=grad_fn, value=value, door=door
        )

    jax.eval_shape(update, params, opt_state, params)
    (seen,) = notes
    num_shards, mode = 0, "unroll"
    # A scan over shards keeps one gradient alive at a time; serving it the first
    # pass would keep them all, so there the first pass is repeated instead.
    if len(seen.asked) == 1 and (only := next(iter(seen.asked)))[1] != "scan":
        num_shards, mode = only
    return Plan(
        gradients=1 + seen.calls,
        num_shards=num_shards,
        mode=loops.check_mode(mode),
        changed_before=tuple(seen.changed),
    )
