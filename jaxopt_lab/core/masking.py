"""Masks and label groups that work with links which evaluate the gradient.

``optax.masked`` and ``optax.partition`` hand their inner transforms a parameter tree
with holes. A link that calls ``grad_fn`` with such a tree, perturbed, breaks the
loss. Here ``grad_fn`` is rewritten: the holes are filled with the parameters that
the link does not see, and the gradient gets the same holes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import jax
import optax
from jaxtyping import PyTree

from jaxopt_lab.core import loops, requirements
from jaxopt_lab.core.typing import GradFn, MaskOrFn, Params, Updates


def _is_hole(x: Any) -> bool:
    return isinstance(x, optax.MaskedNode)


def _fill(partial: Params, full: Params) -> Params:
    """``partial`` with its holes filled from ``full``."""
    return jax.tree.map(
        lambda part, whole: whole if _is_hole(part) else part,
        partial,
        full,
        is_leaf=_is_hole,
    )


def _punch(full: Updates, partial: Params) -> Updates:
    """``full`` with the holes of ``partial``."""
    return jax.tree.map(
        lambda part, whole: part if _is_hole(part) else whole,
        partial,
        full,
        is_leaf=_is_hole,
    )


class _HoledGradFn:
    """A gradient function for parameter trees with holes."""

    def __init__(self, grad_fn: GradFn, full: Params):
        self._grad_fn = grad_fn
        self._full = full

    def __call__(self, params: Params, i: int | jax.Array = 0) -> Updates:
        return _punch(self._grad_fn(_fill(params, self._full), i), params)


class _HoledShardedGradFn(_HoledGradFn):
    """The same for a gradient function that knows its batch."""

    def __init__(self, grad_fn: Any, full: Params):
        super().__init__(grad_fn, full)
        self._sharded = grad_fn

    def mean(self, tree: PyTree) -> PyTree:
        return self._sharded.mean(tree)

    def example_losses(self, params: Params) -> jax.Array:
        whole = requirements.require_examples(self._sharded)
        return whole.example_losses(_fill(params, self._full))

    def on_examples(self, params: Params, indices: jax.Array) -> Updates:
        whole = requirements.require_examples(self._sharded)
        return _punch(whole.on_examples(_fill(params, self._full), indices), params)

    def received(self, link: str, updates: Updates, params: Params) -> None:
        # The link sees a part of the tree only; the leaves that it does see are
        # still the step's own if nothing stands in front of it.
        received = getattr(self._sharded, "received", None)
        if received is not None:
            received(link, updates, params)

    def shard(self, num_shards: int) -> _HoledShards:
        return _HoledShards(self._sharded.shard(num_shards), self._full)


class _HoledShards:
    def __init__(self, shards: Any, full: Params):
        self._shards = shards
        self._full = full

    def __call__(self, params: Params, j: int | jax.Array) -> Updates:
        return _punch(self._shards(_fill(params, self._full), j), params)

    def mean(
        self,
        f: Callable[[Callable[[Params], Updates]], PyTree],
        mode: loops.Mode = "unroll",
    ) -> PyTree:
        def holed(grad: Callable[[Params], Updates]) -> PyTree:
            return f(lambda params: _punch(grad(_fill(params, self._full)), params))

        return self._shards.mean(holed, mode)


def _with_filled_grad_fn(
    tx: optax.GradientTransformation,
) -> optax.GradientTransformationExtraArgs:
    inner = optax.with_extra_args_support(tx)

    def update_fn(
        updates: Updates,
        state: Any,
        params: Params | None = None,
        *,
        grad_fn: Any = None,
        **extra: Any,
    ) -> tuple[Updates, Any]:
        if grad_fn is not None and params is not None:
            sharded = hasattr(grad_fn, "shard")
            kind = _HoledShardedGradFn if sharded else _HoledGradFn
            grad_fn = kind(grad_fn, params)
        return inner.update(updates, state, params, grad_fn=grad_fn, **extra)

    return optax.GradientTransformationExtraArgs(inner.init, update_fn)


def masked(
    inner: optax.GradientTransformation, mask: MaskOrFn
) -> optax.GradientTransformationExtraArgs:
    """``optax.masked`` in which sharpness links work.

    The updates of leaves outside the mask pass through unchanged, as in optax: they
    are not frozen (``partition`` with ``optax.set_to_zero`` does that). A sharpness
    link inside moves the leaves under the mask only, and takes its norm over them.

    Args:
      inner: what to apply under the mask; links and wrappers included.
      mask: tree of booleans, a prefix of one, or a function of the parameters.

    Returns:
      The masked transformation; its state is that of ``optax.masked``.

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> tx = masked(jaxopt_lab.sam(0.1), {"w": True, "b": False})
    >>> params = {"w": jnp.array(1.0), "b": jnp.array(2.0)}
    >>> grad_fn = jax.grad(lambda p: p["w"] ** 2 + p["b"] ** 2)
    >>> g = grad_fn(params)
    >>> updates, _ = tx.update(
    ...     g, tx.init(params), params, grad_fn=lambda p, i=0: grad_fn(p)
    ... )
    >>> round(float(updates["w"]), 4), float(updates["b"])
    (2.2, 4.0)
    """
    return _with_filled_grad_fn(optax.masked(inner, mask))


def partition(
    transforms: Mapping[Hashable, optax.GradientTransformation],
    param_labels: PyTree | Callable[[Params], PyTree],
) -> optax.GradientTransformationExtraArgs:
    """``optax.partition`` in which sharpness links work.

    Each group gets its own transformation. A sharpness link inside one group moves
    the leaves of that group only and costs its own gradient evaluations; the groups
    do not share them.

    Args:
      transforms: label to transformation.
      param_labels: tree of labels, a prefix of one, or a function of the parameters
        (``trees.label_by_path`` makes such a function).

    Returns:
      The partitioned transformation; its state is that of ``optax.partition``.
    """
    return _with_filled_grad_fn(optax.partition(transforms, param_labels))
