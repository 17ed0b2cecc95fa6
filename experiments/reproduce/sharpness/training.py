"""Training of one method at all its settings and seeds, in one program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments import models
from experiments.models.configs import MLPConfig
from experiments.reproduce.sharpness import rows, samples
from experiments.reproduce.sharpness.config import Config
from jaxopt_lab import trees
from jaxopt_lab.training import (
    Functional,
    from_nnx,
    init_seeds,
    init_state,
    losses,
    make_train_step,
)
from jaxopt_lab.training.data import Dataset
from jaxopt_lab.typing import Params, TrainLossFn


def with_noise(params: Params, level: jax.Array | float, key: jax.Array) -> Params:
    r"""Weights of noisy hardware, :math:`W_l + N(0, (s \max|W_l|)^2)` for kernels.

    Args:
      params: the parameters.
      level: s; 0 gives the parameters themselves.
      key: typed key.

    Returns:
      Parameters of the same structure; biases are those of ``params``.
    """
    leaves, structure = jax.tree.flatten(params)
    keys = jax.tree.unflatten(structure, list(jax.random.split(key, len(leaves))))
    is_kernel = trees.everything_but("bias")(params)

    def noisy(w: jax.Array, kernel: bool, key: jax.Array) -> jax.Array:
        if not kernel:
            return w
        scale = jnp.asarray(level, w.dtype) * jnp.max(jnp.abs(w))
        return w + scale * jax.random.normal(key, w.shape, w.dtype)

    return jax.tree.map(noisy, params, is_kernel, keys)


class Laboratory(NamedTuple):
    """What all methods share; made once, by ``prepare``.

    Attributes:
      config: the size of the experiment.
      cases: samples with right labels, and with some wrong ones.
      images: images of the whole set.
      params: initial parameters of all seeds.
      loss: the loss of training.
      evaluate: ``evaluate(params, sample) -> accuracies`` of all settings and seeds.
    """

    config: Config
    cases: tuple[samples.Sample, samples.Sample]
    images: jax.Array
    params: Params
    loss: TrainLossFn
    evaluate: Callable[[Params, samples.Sample], jax.Array]


def prepare(config: Config, dataset: Dataset) -> Laboratory:
    """Samples, initial parameters and evaluation.

    Args:
      config: the size of the experiment.
      dataset: digits, or another set of images.

    Returns:
      What ``scores`` needs.

    Raises:
      InputError: the set is too small for the splits.
    """
    images, labels = samples.whole(dataset)
    build = models.get("mlp").build(
        MLPConfig(width=config.width, depth=config.depth),
        dataset.input_shape,
        dataset.num_classes,
    )
    model = from_nnx(build)
    steps = config.steps * max(row.lengthened for row in rows.ROWS)
    right, wrong = (
        samples.draw(config, labels, flipped=part, steps=steps)
        for part in (0.0, config.flipped)
    )
    return Laboratory(
        config=config,
        cases=(right, wrong),
        images=images,
        params=init_seeds(lambda key: model.init(key)[0], right.init_key),
        loss=losses.classification_loss(model),
        evaluate=_evaluator(model, config, images, labels),
    )


def _evaluator(
    model: Functional, config: Config, images: jax.Array, labels: jax.Array
) -> Callable[[Params, samples.Sample], jax.Array]:
    metrics = losses.classification_metrics(model)

    def accuracies(params: Params, sample: samples.Sample) -> jax.Array:
        found = []
        for part in (sample.validation, sample.test):
            sums = metrics(params, {}, {"image": images[part], "label": labels[part]})
            found.append(sums["accuracy"] / sums["weight"])
        return jnp.stack(found)

    def one(params: Params, sample: samples.Sample) -> jax.Array:
        levels = jnp.asarray((0.0, *config.noise_levels), jnp.float32)

        def noisy(key: jax.Array) -> jax.Array:
            # The same draws at every level, scaled.
            at = lambda level: accuracies(with_noise(params, level, key), sample)
            return jax.lax.map(at, levels)

        keys = jax.random.split(sample.noise_key, config.noise_draws)
        return jnp.mean(jax.lax.map(noisy, keys), axis=0)

    return jax.jit(jax.vmap(jax.vmap(one), in_axes=(0, None)))


def scores(row: rows.Row, laboratory: Laboratory) -> np.ndarray:
    """Accuracies of a method.

    Args:
      row: the method.
      laboratory: as ``prepare`` makes it.

    Returns:
      Shape ``(2, settings, seeds, 1 + noise levels, 2)``: trained on right labels and
      on some wrong ones; at each setting; for each seed; without weight noise and at
      each level; on validation and on test examples, whose labels are right.
    """
    config, loss = laboratory.config, laboratory.loss

    def train(
        setting: rows.Setting, params: Params, sample: samples.Sample, images: jax.Array
    ) -> Params:
        tx = rows.optimizer(row, setting, config)
        step = make_train_step(loss, tx)

        def take(state: Any, places: jax.Array) -> tuple[Any, None]:
            batch = {
                "image": images[sample.train[places]],
                "label": sample.labels[places],
            }
            return step(state, batch)[0], None

        state = init_state(tx, params, sample.step_key)
        order = sample.order[: config.steps * row.lengthened]
        return jax.lax.scan(take, state, order)[0].params

    over_seeds = jax.vmap(train, in_axes=(None, 0, 0, None))
    program = jax.jit(jax.vmap(over_seeds, in_axes=(0, None, None, None)))
    columns = np.array(rows.settings(row, config), np.float32).T
    grid = rows.Setting(*map(jnp.asarray, columns))
    found = []
    for sample in laboratory.cases:
        params = program(grid, laboratory.params, sample, laboratory.images)
        found.append(np.asarray(laboratory.evaluate(params, sample)))
    return np.stack(found)
