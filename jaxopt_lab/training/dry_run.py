"""The gradients that a chain will ask for, learned before they are computed.

The losses, metrics and first gradients of mSAM come from the passes over its shards;
a pass over the whole batch besides would cost a quarter more. So the train step runs
``tx.update`` once under ``jax.eval_shape``, with a gradient function that only
records. The model is not traced in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import loops, trees
from jaxopt_lab.core.typing import Params, PyTree, Updates
from jaxopt_lab.training.fused_apply import FusedApplyRecorder


class GradientUsage(NamedTuple):
    """Use of the gradient function by a chain, as ``dry_run`` finds it.

    Attributes:
      gradients: evaluations of the whole batch's gradient per step, the first pass
        included, a shard as its share. Both branches of a ``lax.cond`` count.
      num_shards: number of shards over which the first pass is to run; 0 for one
        pass over the whole batch.
      mode: how the loop over the shards runs.
      changed_before: names of the links whose incoming gradient is not the step's:
        another transform stands in front of them, of which they warn themselves.
    """

    gradients: float
    num_shards: int
    mode: loops.ModeOrAuto
    changed_before: tuple[str, ...]


class _RecordingGradFn:
    """A ``ShardedGradFn`` that returns zeros and records its calls."""

    def __init__(self, params: Params, grads: Updates):
        self._params = jax.tree.leaves(params)
        self._grads = jax.tree.leaves(grads)
        self.calls = 0.0
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

    def shard(self, num_shards: int) -> _RecordingShards:
        return _RecordingShards(self, num_shards)

    def on_transform(self, transform: str, updates: Updates, params: Params) -> None:
        ours = {id(p) for p in self._params}
        if any(id(p) not in ours for p in jax.tree.leaves(params)):
            return  # inside a lax.cond everything is a new object: nothing to compare
        first = {id(g) for g in self._grads}
        if any(id(u) not in first for u in jax.tree.leaves(updates)):
            self.changed.append(transform)


class _RecordingShards:
    def __init__(self, whole: _RecordingGradFn, num_shards: int):
        self._whole = whole
        self._num_shards = num_shards

    def __call__(self, params: Params, j: int | jax.Array) -> Updates:
        grads = self._whole(params)
        self._whole.calls += 1 / self._num_shards - 1  # one shard of them
        return grads

    def mean(
        self,
        f: Callable[[Callable[[Params], Updates]], PyTree],
        mode: loops.ModeOrAuto = "unroll",
    ) -> PyTree:
        self._whole.asked.add((self._num_shards, mode))
        return f(self._whole)

    def mean_gradient(
        self,
        point: Callable[[Callable[[Params], Updates]], Params],
        mode: loops.ModeOrAuto = "unroll",
    ) -> Updates:
        return self.mean(lambda grad: grad(point(grad)), mode)


def dry_run(
    tx: optax.GradientTransformationExtraArgs, opt_state: PyTree, params: Params
) -> GradientUsage:
    """Run ``tx.update`` on shapes alone and record the gradients it asks for.

    Args:
      tx: the transformation.
      opt_state: its state; arrays or tracers.
      params: the parameters.

    Returns:
      The use that it makes of its gradient function.
    """
    records: list[_RecordingGradFn] = []

    def update(grads: Updates, opt_state: PyTree, params: Params) -> PyTree:
        grad_fn = _RecordingGradFn(params, grads)
        records.append(grad_fn)
        widest = max(
            (trees.magnitude_dtype(p.dtype) for p in jax.tree.leaves(params)),
            key=lambda dtype: jnp.finfo(dtype).bits,
            default=jnp.dtype(jnp.float32),
        )
        value, fused = jnp.zeros((), widest), FusedApplyRecorder()
        return tx.update(
            grads,
            opt_state,
            params,
            grad_fn=grad_fn,
            value=value,
            grad=grads,
            value_fn=lambda params, *, grad_fn=None, fused_apply=None: value,
            fused_apply=fused,
        )

    jax.eval_shape(update, params, opt_state, params)
    (seen,) = records
    num_shards, mode = 0, "auto"
    # A scan over shards keeps one gradient alive at a time; serving it the first
    # pass would keep them all, so there the first pass is repeated instead.
    if len(seen.asked) == 1 and (only := next(iter(seen.asked)))[1] != "scan":
        num_shards, mode = only
    return GradientUsage(
        gradients=1 + seen.calls,
        num_shards=num_shards,
        mode=loops.check_mode_or_auto(mode),
        changed_before=tuple(seen.changed),
    )
