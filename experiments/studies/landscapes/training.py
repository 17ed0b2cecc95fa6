"""Training of one optimizer at all its settings and seeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.studies import samples
from experiments.studies.landscapes.config import Case, Config
from experiments.studies.landscapes.rows import Row, Setting
from jaxopt_lab.core import loops
from jaxopt_lab.core.typing import Batch, Params
from jaxopt_lab.data import Dataset
from jaxopt_lab.lab import models
from jaxopt_lab.lab.models.configs import ConvNetConfig, MLPConfig
from jaxopt_lab.losses import classification as losses
from jaxopt_lab.training import from_nnx, init_seeds, init_state, make_train_step


class Laboratory(NamedTuple):
    """Data and losses of a case, shared by its optimizers; made by ``prepare``.

    Attributes:
      config: the size of the experiment.
      case: network and loss.
      sample: splits, order of batches and keys of all seeds.
      images: images of the whole set.
      labels: their labels.
      params: initial parameters of all seeds, stacked.
      loss: ``loss(params, batch)``, a mean: of the training, and the landscape.
      accuracy: ``accuracy(params, batch)``, in 0 to 1.
      mode: how loops around the network run on this machine.
    """

    config: Config
    case: Case
    sample: samples.Sample
    images: jax.Array
    labels: jax.Array
    params: Params
    loss: Callable[[Params, Batch], jax.Array]
    accuracy: Callable[[Params, Batch], jax.Array]
    mode: loops.Mode

    def batch(self, places: Any) -> Batch:
        """The examples at these places of the set."""
        return _gather({"image": self.images, "label": self.labels}, places)

    def train_loss(
        self, params: Params, state: Any, batch: Batch, key: jax.Array
    ) -> Any:
        """The loss in the form of the train step; the networks have no state."""
        return self.loss(params, batch), (state, {})


@jax.jit
def _gather(data: Batch, places: jax.Array) -> Batch:
    return jax.tree.map(lambda x: x[places], data)


def prepare(config: Config, case: Case, dataset: Dataset) -> Laboratory:
    """Samples, initial parameters and losses.

    Args:
      config: the size of the experiment.
      case: network and loss.
      dataset: digits, or another set of images.

    Returns:
      What ``minima`` needs.

    Raises:
      InputError: the set is too small for the splits.
    """
    images, labels = samples.whole(dataset)
    options = {
        "mlp": MLPConfig(width=config.width, depth=config.depth),
        "convnet": ConvNetConfig(channels=config.channels, dense=config.dense),
    }[case.network]
    classes = dataset.num_classes
    model = from_nnx(
        models.MODELS[case.network].build(options, dataset.input_shape, classes)
    )
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    sample = samples.draw(labels, seeds, config.sizes, steps=config.steps)

    def outputs(params: Params, batch: Batch) -> jax.Array:
        return model.apply(params, {}, losses.to_float(batch["image"]), train=True)[0]

    def loss(params: Params, batch: Batch) -> jax.Array:
        found = outputs(params, batch)
        if case.loss == "cross-entropy":
            return jnp.mean(losses.cross_entropy(found, batch["label"]))
        away = found - jax.nn.one_hot(batch["label"], classes, dtype=found.dtype)
        return jnp.mean(jnp.sum(away * away, axis=-1)) / 2

    def accuracy(params: Params, batch: Batch) -> jax.Array:
        return jnp.mean(jnp.argmax(outputs(params, batch), axis=-1) == batch["label"])

    params = init_seeds(lambda key: model.init(key)[0], sample.init_key)
    one = {"image": images[:2], "label": labels[:2]}
    return Laboratory(
        config=config,
        case=case,
        sample=sample,
        images=images,
        labels=labels,
        params=params,
        loss=jax.jit(loss),
        accuracy=jax.jit(accuracy),
        mode=loops.choose("vmap", loss, loops.take(params, 0), one),
    )


class Minima(NamedTuple):
    """The end of an optimizer's trainings.

    Attributes:
      setting: the setting with the best mean validation accuracy; of equals the first.
      at_the_edge: it is the first or the last of its settings.
      params: the parameters of every seed there.
    """

    setting: Setting
    at_the_edge: bool
    params: list[Params]


def minima(row: Row, lab: Laboratory) -> Minima:
    """Train at every setting and seed, and choose the setting.

    Args:
      row: the optimizer.
      lab: as ``prepare`` makes it.

    Returns:
      The minima of the chosen setting.
    """
    train = _one_by_one if lab.mode == "unroll" else _side_by_side
    trained = train(row, lab)
    accuracies = [
        [
            float(lab.accuracy(params, lab.batch(places)))
            for params, places in zip(seeds, lab.sample.validation, strict=True)
        ]
        for seeds in trained
    ]
    best = int(np.argmax(np.mean(accuracies, axis=1)))
    edge = best in (0, len(row.settings) - 1)
    return Minima(row.settings[best], edge, jax.tree.map(jnp.asarray, trained[best]))


def _side_by_side(row: Row, lab: Laboratory) -> list[list[Params]]:
    """All settings and seeds in one program."""

    def train(setting: Setting, params: Params, sample: samples.Sample) -> Params:
        tx = row.optimizer(setting, lab.config, lab.mode)
        step = make_train_step(lab.train_loss, tx)

        def take(state: Any, places: jax.Array) -> tuple[Any, None]:
            return step(state, lab.batch(sample.train[places]))[0], None

        state = init_state(tx, params, sample.step_key)
        return jax.lax.scan(take, state, jnp.asarray(sample.order))[0].params

    over_seeds = jax.vmap(train, in_axes=(None, 0, 0))
    program = jax.jit(jax.vmap(over_seeds, in_axes=(0, None, None)))
    grid = Setting(*map(jnp.asarray, np.array(row.settings, np.float32).T))
    # Indexed on the host: on the device each index would compile a program.
    stacked = jax.device_get(program(grid, lab.params, lab.sample))
    return [
        [loops.take(loops.take(stacked, i), j) for j in range(lab.config.seeds)]
        for i in range(len(row.settings))
    ]


def _one_by_one(row: Row, lab: Laboratory) -> list[list[Params]]:
    """One call of a compiled step after another, for convolutions on CPU."""

    @jax.jit
    def start(setting: Setting, params: Params, key: jax.Array) -> Any:
        return init_state(row.optimizer(setting, lab.config, lab.mode), params, key)

    @jax.jit
    def step(setting: Setting, state: Any, places: jax.Array) -> Any:
        tx = row.optimizer(setting, lab.config, lab.mode)
        return make_train_step(lab.train_loss, tx)(state, lab.batch(places))[0]

    found = []
    for setting in row.settings:
        traced = Setting(*map(jnp.float32, setting))
        seeds = []
        for j in range(lab.config.seeds):
            sample = loops.take(lab.sample, j)
            state = start(traced, loops.take(lab.params, j), sample.step_key)
            for places in sample.train[sample.order]:
                state = step(traced, state, places)
            seeds.append(state.params)
        found.append(seeds)
    return found
