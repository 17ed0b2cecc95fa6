"""The loss at many points of a line or plane, chunk by chunk."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxopt_lab.core import loops, trees
from jaxopt_lab.core.checks import check_positive_count
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Batch, ModelState, Params
from jaxopt_lab.curvature.landscape.direction_algebra import wide
from jaxopt_lab.curvature.operators.dataset import check_batches
from jaxopt_lab.curvature.operators.products import Weights, weights_of

Mode: TypeAlias = loops.ModeOrAuto
StateAt: TypeAlias = Callable[[Params], ModelState]
Progress: TypeAlias = Callable[[int, int], Any]


class Evaluation(NamedTuple):
    """Options for evaluating the points of a landscape; see ``landscape.plane``."""

    mode: Mode
    chunk_size: int
    state_at: StateAt | None
    progress: Progress | None
    example_weights: Weights


def evaluate(
    loss_fn: Callable[..., Any],
    corners: Sequence[Params],
    coefficients: np.ndarray,
    batches: Iterable[Batch],
    evaluation: Evaluation,
) -> np.ndarray:
    """The mean loss at ``sum_j coefficients[i, j] * corners[j]`` for every i.

    Args:
      loss_fn: see ``landscape.plane``.
      corners: trees of one structure: a point and directions, or several points.
      coefficients: float64, shape ``(points, corners)``.
      batches: see ``landscape.plane``.
      evaluation: the options.

    Returns:
      float64, shape ``(points,)``; the mean over batches is taken in float64.

    Raises:
      InputError: see ``landscape.plane``.
    """
    loops.check_mode_or_auto(evaluation.mode)
    check_positive_count("chunk_size", evaluation.chunk_size)
    check_batches(batches)
    corners = _in_one_dtype(corners)
    mode = evaluation.mode
    if mode == "auto":
        mode = _chosen(loss_fn, evaluation.state_at, corners, batches)
    total = len(coefficients)
    size = 1 if mode == "unroll" else min(evaluation.chunk_size, total)
    found = []
    for start in range(0, total, size):
        chunk = coefficients[start : start + size]
        # The last chunk is padded, so that one shape is compiled.
        filled = np.concatenate([chunk, np.repeat(chunk[-1:], size - len(chunk), 0)])
        losses = _mean_over_batches(loss_fn, evaluation, mode, corners, filled, batches)
        found.append(losses[: len(chunk)])
        if evaluation.progress is not None:
            evaluation.progress(start + len(chunk), total)
    return np.concatenate(found)


def _in_one_dtype(corners: Sequence[Params]) -> tuple[Params, ...]:
    # The structure of the first corner, the point itself: all points get its dtypes.
    first = jax.tree.map(wide, corners[0])
    others = (
        jax.tree.map(lambda w, x: jnp.asarray(x).astype(w.dtype), first, corner)
        for corner in corners[1:]
    )
    return first, *others


def _chosen(
    loss_fn: Callable[..., Any],
    state_at: StateAt | None,
    corners: Sequence[Params],
    batches: Iterable[Batch],
) -> loops.Mode:
    def one(params: Params, batch: Batch) -> Any:
        extra = () if state_at is None else (state_at(params),)
        return loss_fn(params, batch, *extra)

    batch = next(iter(batches), None)
    return loops.choose("vmap", one, corners[0], batch) if batch is not None else "vmap"


def _mean_over_batches(
    loss_fn: Callable[..., Any],
    evaluation: Evaluation,
    mode: loops.Mode,
    corners: Sequence[Params],
    coefficients: np.ndarray,
    batches: Iterable[Batch],
) -> np.ndarray:
    states, state_at = None, evaluation.state_at
    if state_at is not None:
        states = _states(corners, coefficients, state_at=state_at, mode=mode)
    weights_fn = evaluation.example_weights
    # Read results back only after all programs are dispatched.
    pairs = [
        (
            _losses(corners, coefficients, states, batch, loss_fn=loss_fn, mode=mode),
            _weight(batch, example_weights=weights_fn),
        )
        for batch in batches
    ]
    if not pairs:
        raise InputError("batches must hold at least one batch; got none")
    losses, weights = (np.asarray(x, np.float64) for x in zip(*pairs, strict=True))
    weights = weights[:, None]
    # A batch of padding may hold NaN, and 0 * NaN would make the mean NaN.
    sums = np.sum(np.where(weights == 0, 0, weights * losses), axis=0)
    return sums / np.sum(weights)


def _point(corners: Sequence[Params], coefficients: Array) -> Params:
    def combined(*leaves: Array) -> Array:
        if not trees.is_floating(leaves[0]):
            return leaves[0]
        terms = [
            c * x
            for c, x in zip(
                jnp.unstack(coefficients.astype(leaves[0].dtype)), leaves, strict=True
            )
        ]
        return functools.reduce(jnp.add, terms)

    return jax.tree.map(combined, *corners)


@functools.partial(jax.jit, static_argnames=("state_at", "mode"))
def _states(
    corners: Sequence[Params],
    coefficients: Array,
    *,
    state_at: StateAt,
    mode: loops.Mode,
) -> ModelState:
    return loops.map_items(lambda c: state_at(_point(corners, c)), coefficients, mode)


@functools.partial(jax.jit, static_argnames=("loss_fn", "mode"))
def _losses(
    corners: Sequence[Params],
    coefficients: Array,
    states: ModelState | None,
    batch: Batch,
    *,
    loss_fn: Callable[..., Any],
    mode: loops.Mode,
) -> Array:
    def one(item: tuple[Array, ModelState | None]) -> Array:
        extra = () if states is None else (item[1],)
        loss = loss_fn(_point(corners, item[0]), batch, *extra)
        if jnp.shape(loss) != ():
            raise InputError(
                f"loss_fn must give a scalar; got an array of shape {jnp.shape(loss)}"
            )
        return jnp.asarray(loss)

    return loops.map_items(one, (coefficients, states), mode)


@functools.partial(jax.jit, static_argnames="example_weights")
def _weight(batch: Batch, *, example_weights: Weights) -> Array:
    return jnp.sum(weights_of(example_weights, batch))
