"""State of a training run: steps, records, finiteness checks and saves."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.runtime.checkpoints import Checkpoints
from jaxopt_lab.runtime.control import Control, ControlledStep, Decides
from jaxopt_lab.runtime.metric_buffer import MetricBuffer
from jaxopt_lab.runtime.metrics import Sink
from jaxopt_lab.runtime.nonfinite_loss import (
    NonFiniteLossError,
    all_finite,
    not_finite,
)
from jaxopt_lab.runtime.step_checks import check_step
from jaxopt_lab.runtime.step_clock import StepClock
from jaxopt_lab.runtime.step_records import Hook, scalars, with_hooks
from jaxopt_lab.training.accumulate import Accumulation
from jaxopt_lab.training.evaluate import Evaluator
from jaxopt_lab.training.hyperparams import hyperparams
from jaxopt_lab.training.state import TrainState
from jaxopt_lab.training.step import TrainStep

if TYPE_CHECKING:
    from jaxopt_lab.core.typing import BatchSource


class Run:
    """The mutable part of ``fit``: the current state and everything written about it.

    Args:
      state: where to start; copied, since the steps donate their state.
      batches: source of batches.
      sinks: where the records go.
      checkpoints: where states are saved; ``None``: nowhere.
      resume: ``data`` of the checkpoint from which the run goes on: metrics of the
        steps since the last record, times, skipped steps.
      on_nonfinite: ``"stop"`` or ``"skip"``.
      on_start: called once, when the step is compiled and none is taken.
      counts: what a step adds to the counts in the records, by name.
      controller: the rule between the steps, which are then an accumulation.
      first_decision: its decision for the first step.

    Attributes:
      state: the current state.
      start: steps taken before the run.
      done: steps taken by now.
      clock: wall time of the steps.
      compile_seconds: tracing and compiling the step.
      stale: tests since the best one, those of ``eval_every``.
    """

    def __init__(
        self,
        state: TrainState,
        batches: BatchSource,
        *,
        sinks: Sequence[Sink],
        checkpoints: Checkpoints | None,
        resume: Mapping[str, Any],
        on_nonfinite: str,
        on_start: Callable[[], None] | None = None,
        counts: Mapping[str, float] | None = None,
        controller: Decides | None = None,
        first_decision: Mapping[str, Any] | None = None,
    ) -> None:
        self.start = self.done = int(np.ravel(state.step)[0])
        self.clock = StepClock(self.start, resume.get("clock"))
        self.compile_seconds = 0.0
        self.state = jax.tree.map(jnp.copy, state)
        self._batches, self._sinks, self._checkpoints = batches, sinks, checkpoints
        self._on_nonfinite = on_nonfinite
        self._on_start = on_start
        self._best: float | None = resume.get("best")
        self.stale: int = resume.get("stale", 0)
        self._counts = dict(counts or {})
        # From the checkpoint: before existing=continue the batch size was another one.
        kept: Mapping[str, float] = resume.get("counts", {})
        self._counted = {
            name: kept.get(name, self.start * each)
            for name, each in self._counts.items()
        }
        self._control: Control | None = None
        if controller is not None:
            kept_control = resume.get("controller")
            self._control = Control(controller, first_decision, kept_control)
            # A step has as many examples as the controller says.
            self._counts["examples"] = 0
            self._counted["examples"] = kept.get("examples", 0)
        skip = on_nonfinite == "skip"
        self._buffer = MetricBuffer(self.start, resume.get("pending"), skip=skip)
        self._buffer.skipped = resume.get("skipped", 0)
        self._compiled: Any = None
        self._step: Any = None
        # Where the batches of the buffer begin, and the steps taken before.
        self._position = batches.get_state(), self.start
        self._tested: dict[str, Any] = {}
        self._tested_at: int | None = None
        self._saved: int | None = None

    def take_step(self, step: TrainStep | Accumulation) -> None:
        """Take one step on the next batch; the first call compiles it.

        Args:
          step: not yet jitted; the same one in every call.

        Raises:
          InputError: the step does not fit the state.
        """
        batch = self._batches.next()
        if self._compiled is None:
            self._step = step
            began = time.perf_counter()
            self._compiled = self._compile(step, batch)
            self.compile_seconds = time.perf_counter() - began
            if self._on_start is not None:
                self._on_start()
            self.clock.start()
        more = () if self._control is None else (self._batches.next,)
        self.state, metrics = self._compiled(self.state, batch, *more)
        self.done += 1
        self._buffer.add(metrics)

    def _compile(self, step: Any, batch: Any) -> Any:
        if self._control is not None:
            return ControlledStep(step, self._control, self.state, batch)
        jitted = jax.jit(step, donate_argnums=0)
        compiled = jitted.lower(self.state, batch).compile()
        check_step(compiled.out_info, self.state, self._on_nonfinite)
        return compiled

    def is_complete(self, steps: int, examples: int) -> bool:
        """Whether all steps are taken, or as many examples as the run may see.

        Args:
          steps: of the whole run.
          examples: likewise; 0: any number.
        """
        if self.done >= steps:
            return True
        return 0 < examples <= self.counted().get("examples", 0)

    def log_train(self, *, clear: bool) -> dict[str, Any]:
        """Write a record of kind ``"train"``.

        Args:
          clear: begin a new mean. A final record between two regular ones keeps the
            buffer: a longer run resumed from here then logs the same means as an
            uninterrupted one.

        Returns:
          The record.
        """
        record: dict[str, Any] = {**self._buffer.means()}
        for name, value in scalars(hyperparams(self.state.opt_state)).items():
            record.setdefault(name, value)
        record["steps_per_second"] = self.clock.recent_speed(self.done)
        self._write("train", record)
        if clear:
            self._buffer.clear(self.done)
            self._position = self._batches.get_state(), self.done
        return record

    def log_test(
        self, evaluate: Evaluator | None, hooks: Sequence[Hook]
    ) -> dict[str, Any]:
        """Evaluate, and write a record of kind ``"test"`` with the results of hooks.

        Args:
          evaluate: evaluator of a state.
          hooks: as in ``fit``.

        Returns:
          The results of the evaluator.

        Raises:
          InputError: a hook returns a name that is taken.
        """
        self._tested = {} if evaluate is None else evaluate(self.state)
        self._tested_at = self.done
        self._write("test", with_hooks(self._tested, hooks, self.done, self.state))
        return self._tested

    def check_finite(self) -> None:
        """Refuse to go on after a non-finite loss.

        Raises:
          NonFiniteLossError: a loss since the last record is not finite.
        """
        bad = self._buffer.fetch()
        if bad is not None:
            seed = "" if bad.seed is None else f" of seed {bad.seed}"
            cause = self._cause(bad.step)
            raise self._not_finite(
                f"the loss{seed} is {bad.value} at step {bad.step}{cause}"
            )

    def save(self, *, force: bool = False) -> None:
        """Save a checkpoint unless this step is saved already.

        Args:
          force: replace a checkpoint of the same step.

        Raises:
          NonFiniteLossError: losses or parameters are not finite.
          InputError: the save failed.
        """
        checkpoints = self._checkpoints
        if checkpoints is None or self._saved == self.done:
            return
        if self.done == self.start and checkpoints.latest() == self.start:
            return
        self.check_finite()
        # The last update may have made the parameters non-finite; only the next loss
        # would show it.
        if self._on_nonfinite == "stop" and not bool(all_finite(self.state.params)):
            raise self._not_finite(
                f"the parameters are not finite after step {self.done}"
            )
        data = {
            "batches": self._batches.get_state(),
            "pending": self._buffer.pending(),
            "clock": self.clock.get_state(self.done),
            "skipped": self._buffer.skipped,
            "best": self._best,
            "stale": self.stale,
            "counts": self.counted(),
        }
        if self._control is not None:
            data["controller"] = self._control.get_state()
        metrics = self._tested if self._tested_at == self.done else None
        checkpoints.save(self.done, self.state, data=data, metrics=metrics, force=force)
        self._saved = self.done

    def is_best(self) -> bool:
        """Whether the state that was just tested is the best one, to be saved.

        From numbers of the run alone: the folder may look different to each of several
        processes, which must decide alike.
        """
        if self._checkpoints is None or self._tested_at != self.done:
            return False
        score = self._checkpoints.score(self._tested)
        if score is None or (self._best is not None and score <= self._best):
            return False
        self._best = score
        return True

    def counted(self) -> dict[str, int | float]:
        """The counts at this step; whole numbers where they are whole."""
        steps = self.done - self.start
        found = {
            name: before + steps * self._counts[name]
            for name, before in self._counted.items()
        }
        if isinstance(self._compiled, ControlledStep):
            found["examples"] += self._compiled.examples
        return {n: int(x) if x == int(x) else x for n, x in found.items()}

    def skipped(self) -> int | list[int]:
        """Number of skipped steps; of each seed, where there are several."""
        self._buffer.fetch()
        return self._buffer.skipped

    def finish(self) -> None:
        """Wait for the last step, save, and wait for the save.

        Raises:
          NonFiniteLossError: as ``save``.
          InputError: as ``save``.
        """
        jax.block_until_ready(self.state)
        self.clock.stop()
        self.save(force=True)
        if self._checkpoints is not None:
            self._checkpoints.wait()

    def _not_finite(self, what: str) -> NonFiniteLossError:
        return not_finite(what, self._checkpoints, self.done)

    def _cause(self, step: int) -> str:
        """The complaint of the step about the batch that gave the loss, if any.

        Compiled programs raise nothing; traced around the batch's own values, the loss
        sees which labels it has.
        """
        position, number = self._position
        if self._step is None or self._control is not None or step <= number:
            return ""
        make, state = self._step, self.state
        try:
            self._batches.set_state(position)
            batches = [self._batches.next() for _ in range(step - number)]
            jax.eval_shape(lambda state: make(state, batches[-1]), state)
        except InputError as error:
            return f": {error}"
        except Exception:
            return ""  # the batch cannot be had again, or not be looked at
        return ""

    def _write(self, kind: str, record: Mapping[str, Any]) -> None:
        whole = {"kind": kind, **record, **self.counted(), "time": self.clock.elapsed()}
        for sink in self._sinks:
            sink.write(self.done, whole)
