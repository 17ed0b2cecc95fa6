"""Evaluation over a fixed set of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jaxopt_lab.core import loops
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Batch, Metrics, ModelState, Params
from jaxopt_lab.training.seeds import each_group
from jaxopt_lab.training.sources import ACCEPTED, as_arrays, is_batch, is_iterable
from jaxopt_lab.training.state import TrainState

# metric_fn(params, model_state, batch) -> sums over the examples, with their "weight"
MetricFn = Callable[[Params, ModelState, Batch], Metrics]
EvalParams = Callable[[Params, Any], Params]
Evaluator = Callable[[TrainState], dict[str, np.ndarray]]


def make_evaluator(
    metric_fn: MetricFn,
    batches: Iterable[Batch] | Callable[[], Iterable[Batch]] | Batch,
    *,
    eval_params: EvalParams | None = None,
    seeds: bool = False,
    mode: str = "auto",
    mesh: Mesh | None = None,
) -> Evaluator:
    """Make ``evaluate(state) -> {name: mean over all examples}``.

    Args:
      metric_fn: ``metric_fn(params, model_state, batch)`` gives the sum of each metric
        over the examples of a batch, and their total weight as ``"weight"``.
      batches: the batches, all of one shape: a list, a loader, one batch, or a
        function that gives a new iterator. An iterator is read once and kept.
      eval_params: ``eval_params(params, opt_state)``, for optimizers that keep other
        parameters than those to evaluate.
      seeds: the state has a leading axis of seeds; the results then have it too.
      mode: how the loop over seeds runs; ``"auto"`` as in ``over_seeds``.
      mesh: with ``seeds``: as in ``over_seeds``.

    Returns:
      The evaluator: sums on the device, one transfer at the end.

    Raises:
      InputError: ``batches`` are something else; when called, there is nothing to
        evaluate.
    """
    given: Any = batches
    if is_batch(given):
        given = [given]
    elif isinstance(given, Iterator):
        given = list(given)
    elif not callable(given) and not is_iterable(given):
        raise InputError(
            f"batches of type {type(batches).__name__} cannot be read; accepted: "
            f"{ACCEPTED}"
        )

    def one(state: TrainState, batch: Batch) -> Metrics:
        params = state.params
        if eval_params is not None:
            params = eval_params(params, state.opt_state)
        return metric_fn(params, state.model_state, batch)

    def many(states: TrainState, batch: Batch) -> Metrics:
        def single(state: TrainState) -> Metrics:
            return one(state, batch)

        chosen = mode
        if chosen == "auto":
            first = jax.eval_shape(lambda xs: loops.take(xs, 0), states)
            chosen = loops.choose("vmap", single, first)
        return loops.map_items(single, states, loops.check_mode(chosen))

    sums = jax.jit(each_group(many, mesh, common=1) if seeds else one)

    def evaluate(state: TrainState) -> dict[str, np.ndarray]:
        total: dict[str, Any] | None = None
        found: Any = given() if callable(given) else given
        for batch in found:
            part = sums(state, as_arrays(batch))
            total = part if total is None else jax.tree.map(_add, total, part)
        if total is None:
            raise InputError("nothing to evaluate: the set of batches is empty")
        host = {name: np.asarray(x, np.float64) for name, x in total.items()}
        weight = host.pop("weight")
        return {name: value / weight for name, value in host.items()}

    return evaluate


def _add(a: jax.Array, b: jax.Array) -> jax.Array:
    return a + b
