"""Training of one method at all its settings and seeds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.studies import samples
from experiments.studies.sharpness import evaluation, rows
from experiments.studies.sharpness.config import Config, Panel
from experiments.studies.sharpness.tasks import Task
from jaxopt_lab.core import loops
from jaxopt_lab.core.typing import Params
from jaxopt_lab.losses import classification as losses
from jaxopt_lab.training import TrainState, init_seeds, init_state, make_train_step

# train(setting, params, sample, images, labels) of one run -> parameters at the end
Train = Callable[..., Params]


@dataclasses.dataclass(eq=False)
class Laboratory:
    """Compiled programs of one task, shared by the panels that train on it.

    Attributes:
      config: the size of the experiment.
      task: data and network.
      probe: measurements at the end of a training.
    """

    config: Config
    task: Task
    probe: evaluation.Probe
    _programs: dict[tuple[str, int], Train] = dataclasses.field(default_factory=dict)

    def scores(
        self, row: rows.Row, panel: Panel, sample: samples.Sample
    ) -> dict[str, np.ndarray]:
        """Train a method at all its settings and seeds, and measure it.

        Args:
          row: the method.
          panel: where.
          sample: as ``draw`` gives it for the panel.

        Returns:
          As ``evaluation.measure``.
        """
        known = (row.name, panel.steps)
        if known not in self._programs:
            self._programs[known] = self._program(row, panel)
        init = lambda key: self.task.model.init(key)[0]
        params = init_seeds(init, sample.init_key)
        columns = np.array(rows.settings(row, panel), np.float32).T
        grid = rows.Setting(*map(jnp.asarray, columns))
        sample = sample._replace(order=sample.order[:, : panel.steps * row.lengthened])
        trained = self._programs[known](grid, params, sample)
        # One shape for all rows: another would compile the measurements again.
        sample = sample._replace(order=sample.order[:, :0])
        return evaluation.measure(self.probe, trained, sample, panel, self.config)

    def sample(self, panel: Panel) -> samples.Sample:
        """Splits, wrong labels and batches of a panel.

        Args:
          panel: the panel.

        Returns:
          The samples of all its seeds, long enough for its longest training.
        """
        steps = panel.steps * max(row.lengthened for row in rows.of(panel))
        first = self.config.first_seed
        return samples.draw(
            self.task.labels,
            range(first, first + self.config.seeds),
            panel.sizes,
            steps=steps,
            flipped=panel.flipped,
        )

    def _program(self, row: rows.Row, panel: Panel) -> Train:
        loss = losses.classification_loss(self.task.model)
        images = self.task.images

        def start(
            setting: rows.Setting, params: Params, sample: samples.Sample
        ) -> TrainState:
            tx = rows.optimizer(row, setting, panel, self.config)
            return init_state(tx, params, sample.step_key)

        def take(
            setting: rows.Setting,
            state: TrainState,
            sample: samples.Sample,
            places: jax.Array,
            images: jax.Array,
        ) -> TrainState:
            tx = rows.optimizer(row, setting, panel, self.config)
            batch = {
                "image": images[sample.train[places]],
                "label": sample.labels[places],
            }
            return make_train_step(loss, tx)(state, batch)[0]

        if self.task.vectorised:
            return _in_one_program(start, take, images)
        return _step_by_step(start, take, images)


def _in_one_program(start: Any, take: Any, images: jax.Array) -> Train:
    def train(
        setting: rows.Setting, params: Params, sample: samples.Sample, images: jax.Array
    ) -> Params:
        def one(state: TrainState, places: jax.Array) -> tuple[TrainState, None]:
            return take(setting, state, sample, places, images), None

        return jax.lax.scan(one, start(setting, params, sample), sample.order)[0].params

    over_seeds = jax.vmap(train, in_axes=(None, 0, 0, None))
    program = jax.jit(jax.vmap(over_seeds, in_axes=(0, None, None, None)))
    return lambda grid, params, sample: program(grid, params, sample, images)


def _step_by_step(start: Any, take: Any, images: jax.Array) -> Train:
    start = jax.jit(start)

    def taking(
        setting: rows.Setting,
        state: TrainState,
        sample: samples.Sample,
        step: jax.Array,
        images: jax.Array,
    ) -> TrainState:
        return take(setting, state, sample, sample.order[step], images)

    step = jax.jit(taking, donate_argnums=1)

    def train(grid: rows.Setting, params: Params, sample: samples.Sample) -> Params:
        trained = []
        for i in range(len(grid.rate)):
            setting = loops.take(grid, i)
            for seed in range(len(sample.order)):
                one = loops.take(sample, seed)
                state = start(setting, loops.take(params, seed), one)
                for at in range(len(one.order)):
                    state = step(setting, state, one, np.int32(at), images)
                trained.append(state.params)
        flat = loops.stack(trained)
        shape = (len(grid.rate), len(sample.order))
        return jax.tree.map(lambda x: x.reshape(*shape, *x.shape[1:]), flat)

    return train


def prepare(config: Config, task: Task) -> Laboratory:
    """A laboratory for a task.

    Args:
      config: the size of the experiment.
      task: data and network.

    Returns:
      The laboratory; nothing is compiled yet.
    """
    return Laboratory(config, task, evaluation.probe(task, config))
