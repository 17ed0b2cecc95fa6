"""The curvature of a run's loss, for the probe along a run and for the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lab import curvature
from jaxopt_lab.core.typing import Batch, ModelState, Params
from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.training.evaluate import MetricFn

MEASURES: dict[str, tuple[Any, ...]] = {
    "top": ("top",),
    "all": ("top", "trace", "density", "layers", "ascent"),
}
"""The measures behind each value of the option ``curvature``."""

_SEED = 0


def probe_key() -> jax.Array:
    """The key of the random vectors, the same in every run so that runs compare."""
    return jax.random.key(_SEED)


def mean_loss(metric_fn: MetricFn) -> Callable[[Params, ModelState, Batch], jax.Array]:
    """The mean loss in evaluation mode, from the sums that an evaluator adds up.

    Args:
      metric_fn: gives the sum of the losses and the total weight.

    Returns:
      ``loss_fn(params, model_state, batch) -> scalar``.
    """

    def loss_fn(params: Params, model_state: ModelState, batch: Batch) -> jax.Array:
        sums = metric_fn(params, model_state, batch)
        return sums["loss"] / sums["weight"]

    return loss_fn


def weight_of(batch: Batch) -> jax.Array:
    """The weight of every example of a batch: 0 for padding.

    Args:
      batch: a batch of arrays by name.

    Returns:
      Shape ``(B,)``.
    """
    if "weight" in batch:
        return batch["weight"]
    return jnp.ones(len(next(iter(batch.values()))), jnp.float32)


def hook(
    configuration: Configuration,
    program: Any,
    batches: Sequence[Batch],
    folder: Path,
) -> curvature.ProbeHook:
    """The hook that a run's option ``curvature`` asks for.

    Args:
      configuration: the run.
      program: its parts; sums of the loss in evaluation mode and the parameters to
        evaluate are of it.
      batches: the examples, the same ones at every probe.
      folder: of the run; densities go into its ``curvature``.

    Returns:
      The hook. Every probe starts from the same vector, so that a resumed run writes
      the figures of an uninterrupted one.
    """
    return curvature.ProbeHook(
        mean_loss(program.metric_fn),
        batches,
        probe_key(),
        eval_params=program.eval_params,
        folder=folder / "curvature",
        warm_start=False,
        what=MEASURES[configuration.run.curvature],
        example_weights=weight_of,
    )
