"""A run in Python: train a model of one's own, or read a trained one back."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jax
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.lab import recipe_adapters, run_data
from jaxopt_lab.lab.adapting_run import adapting_run
from jaxopt_lab.lab.assembly import Program
from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.lab.run_files import (
    METRICS,
    read_characters,
    read_summary,
)
from jaxopt_lab.recipes import AdaptingNorms
from jaxopt_lab.runtime import read_metrics
from jaxopt_lab.training.evaluate import Evaluator

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Run:
    """A trained network with its record.

    With several seeds ``params`` and ``model_state`` have a leading axis of seeds, and
    so have the results of ``apply``, ``predict`` and ``evaluate``; ``run.seed(i)`` is
    one of them alone.

    Attributes:
      folder: of its files.
      step: number of steps of the checkpoint.
      configuration: the options as the lab uses them.
      params: the parameters to evaluate (of a method that trains at a perturbed point,
        the unperturbed ones).
      model_state: the model state that belongs to them.
      model: the model as pure functions.
      seeds: number of seeds.
      kind: of the data, ``"image"`` or ``"text"``.
      input_shape: shape of one input.
    """

    def __init__(
        self,
        folder: Path,
        configuration: Configuration,
        program: Program,
        state: Any,
        step: int,
        average: bool = False,
    ) -> None:
        self.folder, self.step = folder, step
        self.configuration = configuration
        self._program = program
        self.model: Functional = program.functional
        self.kind: str = program.kind
        self.input_shape: tuple[int, ...] = program.input_shape
        self.seeds = configuration.run.seeds
        if average:
            viewed = program.averaged(state)
        else:
            viewed = _evaluated(program.eval_params, program.view(state), self.seeds)
        self._state = viewed
        self.params: Params = viewed.params
        self.model_state: ModelState = viewed.model_state

    def __repr__(self) -> str:
        run = self.configuration.run
        return (
            f"Run({str(self.folder)!r}: {run.method} on {run.task} with {run.model}, "
            f"step {self.step}, {self.seeds} seed(s))"
        )

    @property
    def config(self) -> dict[str, Any]:
        """All options by their names on the command line."""
        return self.configuration.flat()

    @property
    def summary(self) -> dict[str, Any]:
        """The figures of ``summary.json``."""
        return read_summary(self.folder)

    @property
    def records(self) -> list[dict[str, Any]]:
        """The logged records, a dict for each line of ``metrics.jsonl``."""
        return read_metrics(self.folder / METRICS)

    @property
    def num_classes(self) -> int:
        """Number of classes, or of tokens."""
        return self._program.num_classes

    @property
    def characters(self) -> str:
        """The characters of a run on text, token i being character i.

        Empty where they are not known: the data are images, or tokens alone.

        Raises:
          InputError: the text at hand has others than the run was trained on.
        """
        written, found = read_characters(self.folder), self._program.characters
        if written and found and written != found:
            other = "".join(sorted(set(written) ^ set(found)))
            raise InputError(
                f"{self.folder} was trained on a text of other characters than the one "
                f"at hand (data_dir=); they differ in {other!r}"
            )
        return written or found

    def table(self, kind: Literal["train", "test"] = "test") -> dict[str, np.ndarray]:
        """The records of one kind as columns; ``pandas.DataFrame`` takes it.

        Args:
          kind: ``"train"`` or ``"test"``.

        Returns:
          Arrays by name, ``(records,)``, or ``(records, seeds)`` with several seeds.
        """
        rows = [r for r in self.records if r["kind"] == kind]
        names = dict.fromkeys(name for row in rows for name in row if name != "kind")
        return {n: np.array([row.get(n, np.nan) for row in rows]) for n in names}

    def seed(self, index: int) -> Run:
        """One of several seeds, without the axis of seeds.

        Args:
          index: from 0.

        Returns:
          The run of this seed; ``config`` and ``records`` stay those of all.

        Raises:
          InputError: there is no such seed.
        """
        if not 0 <= index < self.seeds:
            raise InputError(f"seed {index} of a run of {self.seeds} seed(s), from 0")
        if self.seeds == 1:
            return self
        one = object.__new__(Run)
        one.__dict__.update(self.__dict__)
        for name in ("_applied", "_tested"):
            one.__dict__.pop(name, None)  # of all seeds
        one._state = jax.tree.map(lambda x: x[index], self._state)
        one.params, one.model_state = one._state.params, one._state.model_state
        one.seeds = 1
        return one

    def with_weights(self, params: Params, model_state: ModelState) -> Run:
        """The same run with other weights.

        Args:
          params: like ``params``.
          model_state: like ``model_state``.

        Returns:
          The run.
        """
        other = object.__new__(Run)
        other.__dict__.update(self.__dict__)
        other.params, other.model_state = params, model_state
        other._state = self._state._replace(params=params, model_state=model_state)
        return other

    def calibration_inputs(self, count: int) -> list[jax.Array]:
        """Inputs of the first training examples, as the network takes them.

        Args:
          count: number of examples.

        Returns:
          Batches without padding.
        """
        return run_data.calibration_inputs(self._program, count)

    @property
    def state(self) -> Any:
        """The train state, with the parameters to evaluate."""
        return self._state

    @property
    def program(self) -> Program:
        """The parts that the run was made of."""
        return self._program

    def adapting(self, norm: str = "alpha_bn", **options: Any) -> AdaptingNorms:
        """The run's model with normalizations that adapt to the data of test time.

        ``test = run.adapting(alpha=0.2)`` and ``outputs, state = test.apply(run.params,
        test.start(run.model_state), images)``, floating images.

        Args:
          norm: a layer of test time, ``"alpha_bn"`` or ``"unmix_tns"``.
          **options: its options.

        Returns:
          The functions of ``recipes.adapting_norms``, for one seed.

        Raises:
          InputError: the layer or an option is unknown, or the model is none of the
            lab's or has no batch normalization.
        """
        return adapting_run(self, norm, options)

    @property
    def test_examples(self) -> int | None:
        """Number of examples of the run's own test; ``None`` of a streamed set."""
        batches = self._program.test
        if callable(batches):
            return None
        weights = (batch.get("weight") for batch in batches)
        lengths = (len(next(iter(batch.values()))) for batch in batches)
        return round(
            sum(
                n if w is None else float(np.sum(w))
                for w, n in zip(weights, lengths, strict=True)
            )
        )

    @property
    def test_batches(self) -> Any:
        """The batches of the run's own test, or a function that reads them again."""
        return self._program.test

    def apply(self, inputs: Any) -> jax.Array:
        """Outputs of the network in evaluation mode: logits.

        Args:
          inputs: a batch as the training had them; integers of images are divided by
            255, as in the training step.

        Returns:
          Logits of the batch; ``(seeds, ...)`` with several seeds.
        """
        return self._applied(self.params, self.model_state, self.prepared(inputs))

    def predict(self, inputs: Any) -> np.ndarray:
        """The most likely class (or next token) of each input.

        Args:
          inputs: as in ``apply``.

        Returns:
          Integers.
        """
        self.need_classifier("predict")
        return np.asarray(jax.numpy.argmax(self.apply(inputs), axis=-1))

    def need_classifier(self, wanted: str) -> None:
        """Refuse a run whose network gives no logits of classes.

        Args:
          wanted: what needs them, for the message.

        Raises:
          InputError: it was trained by a recipe of other networks.
        """
        adapter = recipe_adapters.of_configuration(self.configuration)
        if not adapter.classifies:
            call = "apply(images)" if adapter.samples is None else "samples(count)"
            raise InputError(
                f"{wanted} needs a classifier; {self.folder} was trained by "
                f"recipe={self.config['recipe']}, whose network is none (in Python: "
                f"lab.load({str(self.folder)!r}).{call})"
            )

    def samples(self, count: int, *, seed: int = 0) -> np.ndarray:
        """Examples that the generator of a run makes.

        Args:
          count: number of examples.
          seed: of the noise.

        Returns:
          ``(count, ...)``, on the scale of the training step (integers of images were
          divided by 255).

        Raises:
          InputError: the run has no generator, or several seeds.
        """
        made = recipe_adapters.of_configuration(self.configuration).samples
        if made is None:
            raise InputError(
                f"{self.folder} has no generator; accepted: a run of a recipe that "
                "trains one"
            )
        if self.seeds > 1:
            raise InputError(f"samples of {self.seeds} seeds; give run.seed(i).samples")
        if count < 1:
            raise InputError(f"count={count} is out of range; accepted: [1, inf)")
        return np.asarray(made(self, count, jax.random.key(seed)))

    def evaluate(self, data: Any = None) -> dict[str, Any]:
        """Loss, accuracy and the run's own metrics over examples.

        Args:
          data: ``(x, y)``, a loader, or a dict, as ``data.as_dataset`` takes the part
            to test on; ``None``: the test part of the run's own data.

        Returns:
          Means over all examples by name; arrays of shape ``(seeds,)`` with several.

        Raises:
          InputError: the data do not fit the model.
        """
        evaluator = self._tested if data is None else self._evaluator(data)
        return {n: _number(v) for n, v in evaluator(self._state).items()}

    def curves(self) -> Figure:
        """Loss and accuracy against the step, as in ``curves.png``."""
        from jaxopt_lab.plotting import training_curves

        return training_curves(self.records, repr(self))

    @functools.cached_property
    def _tested(self) -> Evaluator:
        return self._evaluator(None)

    def _evaluator(self, data: Any) -> Evaluator:
        batches = self._program.test
        if data is not None:
            batches = run_data.evaluation_batches_of(data, self._program.kind)
        return self._program.tests(batches, seeds=self.seeds > 1)

    def prepared(self, inputs: Any) -> jax.Array:
        """Inputs as the network takes them: integers of images are divided by 255."""
        return run_data.prepared(inputs, self._program.kind)

    @functools.cached_property
    def _applied(self) -> Callable[..., jax.Array]:
        def outputs(params: Any, model_state: Any, inputs: Any) -> jax.Array:
            return self.model.apply(params, model_state, inputs, train=False)[0]

        several = jax.vmap(outputs, (0, 0, None)) if self.seeds > 1 else outputs
        return jax.jit(several)


def _evaluated(evaluated: Any, state: Any, seeds: int) -> Any:
    """The state with the parameters to evaluate."""
    if evaluated is None:
        return state
    both = jax.vmap(evaluated) if seeds > 1 else evaluated
    return state._replace(params=both(state.params, state.opt_state))


def _number(value: Any) -> Any:
    array = np.asarray(value)
    return float(array) if array.ndim == 0 else array
