"""Settings of a method trained side by side by one compiled program."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from jaxopt_lab.core import loops, trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.meshes import SEEDS_AXIS, make_mesh
from jaxopt_lab.lab import averaging, initial_weights, optimizers
from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.lab.materials import first_state, materials, metrics_of
from jaxopt_lab.lab.tuning.settings import with_values
from jaxopt_lab.training import (
    TrainState,
    make_evaluator,
    make_train_step,
    over_seeds,
    seed_keys,
)
from jaxopt_lab.training.seeds import each_group


class Population(NamedTuple):
    """Settings in training.

    Attributes:
      values: numbers by option, one for each setting.
      blocks: their states, in blocks of one size, leading axes (settings, seeds) or,
        of one seed, (settings,); the last block is filled up with its last setting.
      step: steps taken.
      size: number of settings.
    """

    values: dict[str, np.ndarray]
    blocks: list[TrainState]
    step: int
    size: int


_IN_FLIGHT = 16
"""Steps after which the host waits for the device."""
_ROW = ""
"""Among the numbers of a block: the row of each setting, which nothing reads."""


def check(configuration: Configuration) -> None:
    """Refuse a run whose settings cannot be tuned.

    Args:
      configuration: the run.

    Raises:
      InputError: no validation split, a recipe, a regularizer, or a controller.
    """
    run = configuration.run
    if not run.val:
        raise InputError(
            f"val={run.val}: settings are chosen on a part of the training set; "
            "accepted: above 0, below 1"
        )
    for name in ("recipe", "regularizer", "controller"):
        if (given := getattr(run, name)) == "none":
            continue
        raise InputError(
            f"{name}={given}: settings are trained by the plain step; accepted: none"
        )


def check_devices(devices: int) -> None:
    """Refuse more devices than there are.

    Args:
      devices: number of devices over which settings are divided.

    Raises:
      InputError: it is out of range.
    """
    there = jax.local_device_count()
    if not 1 <= devices <= there:
        raise InputError(
            f"devices={devices} is out of range; accepted: [1, {there}], those that "
            "there are (0: all but virtual ones)"
        )


class SettingsProgram:
    """The train step and the validation of many settings and seeds at once.

    The step is built inside the program from traced numbers, so that one compilation
    serves every setting; the settings share the batches of a seed. Equal to runs of
    their own up to rounding.

    Args:
      configuration: the run, with its seeds; ``val`` must be above 0.
      names: the numbers that differ, by name on the command line.
      at_once: settings in a call of the program, on each device; 0: all, but one where
        the network has convolutions on a CPU, which are slow in a batch of networks.
      devices: those over which the settings are divided; a block that they do not
        divide is filled up with its last setting. Nothing is sent between them.

    Raises:
      InputError: no validation split, a recipe, data that do not fit, or fewer devices.

    Memory: state of every setting and seed, of the device's settings on each;
    residuals of those of a call.
    """

    def __init__(
        self,
        configuration: Configuration,
        names: Sequence[str],
        at_once: int = 0,
        devices: int = 1,
    ) -> None:
        check(configuration)
        check_devices(devices)
        own = jax.local_devices()[:devices]
        self._mesh = make_mesh(SEEDS_AXIS, own) if devices > 1 else None
        self._devices = devices
        run = configuration.run
        self.configuration = configuration = configuration.on_one_device()
        self.names = tuple(names)
        self._many = run.seeds > 1
        self._made = made = materials(configuration)
        self._start = initial_weights.of_run(configuration)
        self._batches: Any = made.loaded.train(None)
        key = jax.eval_shape(jax.random.key, 0)
        params, model_state = jax.eval_shape(made.functional.init, key)
        # Numbers of another type would change that of the state at the first step.
        floats = [p.dtype for p in jax.tree.leaves(params) if trees.is_floating(p)]
        self._dtype = floats[0] if floats else jnp.result_type(float)
        convolves = self._convolves(params, model_state, key)
        self._at_once = at_once or (1 if convolves else 0)
        self._seed_mode = run.seed_mode
        if run.seed_mode == "auto":
            self._seed_mode = "unroll" if convolves else "vmap"
        metrics = metrics_of(configuration, made.loaded)
        assert made.loaded.val is not None and not callable(made.loaded.val)
        self._evaluate = make_evaluator(
            metrics(made.computed),
            [self._everywhere(batch) for batch in made.loaded.val],
            eval_params=configuration.rows.method.eval_params_fn,
            seeds=True,
            mode=self._seed_mode,
            mesh=self._mesh,
        )
        self._init = jax.jit(jax.vmap(self._first))
        steps = each_group(self._steps, self._mesh, common=1)
        self._step = jax.jit(steps, donate_argnums=1)

    def start(self, values: Mapping[str, Sequence[float]], size: int = 1) -> Population:
        """Settings before their first step.

        Args:
          values: numbers by option, one for each setting.
          size: number of settings, where no number differs.

        Returns:
          The population.
        """
        given = {name: np.asarray(values[name], float) for name in self.names}
        size = len(given[self.names[0]]) if self.names else size
        blocks = [
            self._divided(self._init(block)) for block in self._in_blocks(given, size)
        ]
        return Population(given, blocks, 0, size)

    def train(
        self,
        population: Population,
        steps: int,
        on_step: Callable[[int], bool] | None = None,
    ) -> Population:
        """Train every setting until so many steps are taken in all.

        Args:
          population: is consumed: its buffers are overwritten.
          steps: number of steps in all.
          on_step: ``on_step(done)``, called after every step; true ends the training.

        Returns:
          The trained settings.
        """
        values, blocks, done, size = population
        given = self._in_blocks(values, size)
        self._batches.set_state({"index": done})
        while done < steps:
            batch = self._everywhere(self._batches.next())
            pairs = zip(given, blocks, strict=True)
            blocks = [self._step(v, state, batch) for v, state in pairs]
            done += 1
            if done % _IN_FLIGHT == 0:
                jax.block_until_ready(blocks[-1].step)
            if on_step is not None and on_step(done):
                break
        return Population(values, blocks, done, size)

    def scores(self, population: Population) -> dict[str, np.ndarray]:
        """The metrics of every setting on the validation split.

        Args:
          population: the settings.

        Returns:
          Arrays of shape ``(settings, seeds)`` by name, ``"accuracy"`` and ``"loss"``
          among them.
        """
        seeds = self.configuration.run.seeds
        found: list[dict[str, np.ndarray]] = []
        averages = averaging.of_run(self.configuration)
        for block in population.blocks:
            state = averages.plain(block)
            if self._many:
                state = _merged(state)
            found.append(self._evaluate(state))
        return {
            name: np.concatenate([f[name].reshape(-1, seeds) for f in found])[
                : population.size
            ]
            for name in found[0]
        }

    def chosen(self, population: Population, indices: Sequence[int]) -> Population:
        """Some of the settings, with their states.

        Args:
          population: the settings.
          indices: which ones.

        Returns:
          They, as a population.
        """
        chosen = np.asarray(indices)
        values = {name: x[chosen] for name, x in population.values.items()}
        rows = [chosen[block] for block in self._rows(len(chosen))]
        blocks = [self._divided(b) for b in _gathered(population.blocks, rows)]
        return Population(values, blocks, population.step, len(chosen))

    def _convolves(self, params: Any, model_state: Any, key: Any) -> bool:
        """Whether the network has convolutions, on a CPU."""
        batch = self._batches.next()
        if self._many:
            batch = loops.take(batch, 0)
        mode = loops.choose("vmap", self._made.loss_fn, params, model_state, batch, key)
        return mode != "vmap"

    def _rows(self, size: int) -> list[np.ndarray]:
        """The settings of every block."""
        most = self._at_once * self._devices or size
        blocks = -(-size // most)
        width = -(-size // (blocks * self._devices)) * self._devices
        order = np.minimum(np.arange(blocks * width), size - 1)
        return list(order.reshape(blocks, width))

    def _in_blocks(
        self, values: Mapping[str, np.ndarray], size: int
    ) -> list[dict[str, Any]]:
        found = []
        for rows in self._rows(size):
            block = {n: jnp.asarray(x[rows], self._dtype) for n, x in values.items()}
            found.append(self._divided({**block, _ROW: jnp.asarray(rows)}))
        return found

    def _divided(self, block: Any) -> Any:
        """A block with its settings divided over the devices."""
        if self._mesh is None:
            return block
        return jax.device_put(block, NamedSharding(self._mesh, P(SEEDS_AXIS)))

    def _everywhere(self, batch: Any) -> Any:
        """A batch with a copy on every device."""
        if self._mesh is None:
            return batch
        return jax.device_put(batch, NamedSharding(self._mesh, P()))

    def _tx(self, values: Mapping[str, Any]) -> Any:
        numbers = {name: values[name] for name in self.names}
        return optimizers.build(with_values(self.configuration, numbers))

    def _first(self, values: Mapping[str, Any]) -> TrainState:
        """The first state of one setting, of all its seeds."""
        run = self.configuration.run
        tx, averages = self._tx(values), averaging.of_run(self.configuration)

        def init(key: jax.Array) -> TrainState:
            return averages.extend(first_state(key, self._made, tx, self._start))

        keys = seed_keys(run.seed, run.seeds)
        return jax.vmap(init)(keys) if self._many else init(keys[0])

    def _one(
        self, values: Mapping[str, Any], state: TrainState, batch: Any
    ) -> TrainState:
        """A step of one setting, of all its seeds."""
        run = self.configuration.run
        step = make_train_step(
            self._made.loss_fn,
            self._tx(values),
            micro_batches=run.micro_batches,
            skip_nonfinite=run.on_nonfinite == "skip",
        )
        step = averaging.of_run(self.configuration).step(step)
        if self._many:
            step = over_seeds(step, self._seed_mode)
        return step(state, batch)[0]

    def _steps(
        self, values: Mapping[str, Any], states: TrainState, batch: Any
    ) -> TrainState:
        width = len(values[_ROW])
        return loops.map_items(
            lambda item: self._one(item[0], item[1], batch),
            (values, states),
            "unroll" if width == 1 else "vmap",
        )


@jax.jit
def _gathered(blocks: list[Any], rows: list[np.ndarray]) -> list[Any]:
    """Blocks of other rows: new block i has the rows ``rows[i]`` of all blocks."""
    whole = jax.tree.map(lambda *xs: jnp.concatenate(xs), *blocks)
    return [jax.tree.map(lambda x, r=r: x[r], whole) for r in rows]


@jax.jit
def _merged(state: TrainState) -> TrainState:
    """The first two axes of every leaf as one."""
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), state)
