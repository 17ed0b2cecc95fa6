"""Measurements at the end of a training: accuracies and flatness of the loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.studies.samples import Sample
from experiments.studies.sharpness.config import Config, Panel
from experiments.studies.sharpness.tasks import Task
from jaxopt_lab import curvature
from jaxopt_lab.core import loops
from jaxopt_lab.core.typing import Batch, Params
from jaxopt_lab.diagnostics.weights.weight_noise import with_weight_noise
from jaxopt_lab.losses import classification as losses

CLEAN = "clean"
EIGENVALUE = "top eigenvalue"
AVERAGE = "average-direction sharpness"
LOSS = "training loss"


def noise_name(level: float) -> str:
    """Name of the accuracy under weight noise.

    Args:
      level: standard deviation, as a part of the largest weight of a kernel.

    Returns:
      The name.
    """
    return f"weight noise {level:g}"


class Probe(NamedTuple):
    """Compiled measurements of one task, of all settings and seeds at once.

    Attributes:
      accuracies: ``accuracies(params, sample, level, draw)``, on validation and on test
        examples, shape ``(settings, seeds, 2)``.
      flatness: ``flatness(params, sample)``, see ``flatness_of``; each value of shape
        ``(settings, seeds)``.
    """

    accuracies: Callable[..., jax.Array]
    flatness: Callable[[Params, Sample], dict[str, jax.Array]]


def probe(task: Task, config: Config) -> Probe:
    """The measurements of a task.

    Args:
      task: data and network.
      config: the size of the experiment.

    Returns:
      The measurements; nothing is compiled yet.
    """
    metrics = losses.classification_metrics(task.model)
    data = {"image": task.images, "label": task.labels}

    def accuracies(params: Params, sample: Sample, *args: Any) -> jax.Array:
        level, draw, data = args
        # The same draws at every level, scaled.
        key = jax.random.fold_in(sample.measure_key, draw)
        params = with_weight_noise(params, level, key)
        found = []
        for part in (sample.validation, sample.test):
            sums = metrics(params, {}, loops.take(data, part))
            found.append(sums["accuracy"] / sums["weight"])
        return jnp.stack(found)

    def loss(params: Params, batch: Batch) -> jax.Array:
        sums = metrics(params, {}, batch)
        return sums["loss"] / sums["weight"]

    def flatness(params: Params, sample: Sample, data: Batch) -> dict[str, Any]:
        return flatness_of(loss, params, sample, data, config, traced=task.vectorised)

    if task.vectorised:
        over_seeds = jax.vmap(accuracies, in_axes=(0, 0, None, None, None))
        of_accuracies = jax.jit(jax.vmap(over_seeds, in_axes=(0, *(None,) * 4)))
        over_seeds = jax.vmap(flatness, in_axes=(0, 0, None))
        # One setting at a time: the Krylov vectors of all do not fit into memory.
        of_flatness = jax.jit(
            lambda params, *rest: jax.lax.map(lambda p: over_seeds(p, *rest), params)
        )
    else:
        of_accuracies = _one_by_one(jax.jit(accuracies))
        of_flatness = _one_by_one(flatness)
    return Probe(
        lambda *args: of_accuracies(*args, data), lambda *args: of_flatness(*args, data)
    )


def _one_by_one(measure: Callable[..., Any]) -> Callable[..., Any]:
    def everywhere(params: Params, sample: Sample, *rest: Any) -> Any:
        settings, seeds = jax.tree.leaves(params)[0].shape[:2]
        found = []
        for i in range(settings):
            for seed in range(seeds):
                at = loops.take(loops.take(params, i), seed)
                found.append(measure(at, loops.take(sample, seed), *rest))
        shape = (settings, seeds)
        return jax.tree.map(
            lambda x: x.reshape(*shape, *x.shape[1:]), loops.stack(found)
        )

    return everywhere


def flatness_of(
    loss: Callable[[Params, Batch], jax.Array],
    params: Params,
    sample: Sample,
    data: Batch,
    config: Config,
    *,
    traced: bool,
) -> dict[str, Any]:
    """Flatness of the training loss at the end of a run.

    Args:
      loss: ``loss(params, batch)``, a mean over the examples.
      params: the parameters of one run.
      sample: the data of its seed.
      data: the whole set.
      config: the size of the experiment.
      traced: run Lanczos as a part of a program.

    Returns:
      By name: the top eigenvalue of the Hessian, the average-direction sharpness, and
      the loss itself. All are of the loss on the same training examples, with the
      labels that were trained on.
    """
    places = sample.train[: config.flatness_examples]
    batch = {
        "image": data["image"][places],
        "label": sample.labels[: config.flatness_examples],
    }
    # The same start and the same directions for all methods.
    start_key, direction_key = jax.random.split(sample.measure_key)
    top = curvature.top_eigenvalues(
        curvature.hessian(loss, params, [batch]),
        start_key,
        num_steps=config.lanczos_steps,
        tol=None if traced else 1e-2,
        traced=traced,
    )
    average = curvature.average_direction_sharpness(
        loss,
        params,
        [batch],
        direction_key,
        config.distance,
        num_directions=config.directions,
    )
    return {
        EIGENVALUE: top.values[0],
        AVERAGE: average.value,
        LOSS: loss(params, batch),
    }


def measure(
    probe: Probe, params: Params, sample: Sample, panel: Panel, config: Config
) -> dict[str, np.ndarray]:
    """All measurements of trained parameters.

    Args:
      probe: the compiled measurements.
      params: leading axes of settings and seeds.
      sample: the data of the seeds.
      panel: says what is measured.
      config: the size of the experiment.

    Returns:
      By name: accuracies of shape ``(settings, seeds, 2)``, on validation and on test
      examples, whose labels are right; flatness of shape ``(settings, seeds)``.
    """
    found = {}
    for level in (0.0, *panel.noise_levels):
        draws = config.noise_draws if level else 1
        total = np.zeros(())
        for i in range(draws):
            drawn = probe.accuracies(params, sample, np.float32(level), np.int32(i))
            total = total + np.asarray(drawn, np.float64)
        found[noise_name(level) if level else CLEAN] = total / draws
    if panel.flatness:
        flat = probe.flatness(params, sample)
        found |= {name: np.asarray(x, np.float64) for name, x in flat.items()}
    return found
