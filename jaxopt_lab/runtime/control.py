"""A controller between the steps of a run: how many micro-batches, which rates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import jax

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Batch, Metrics
from jaxopt_lab.training.accumulate import Accumulation
from jaxopt_lab.training.hyperparams import with_hyperparams
from jaxopt_lab.training.state import TrainState

# As many micro-batches may wait on the device.
_IN_FLIGHT = 8
_ACCUMULATION = "accumulation"


class Decides(Protocol):
    """A rule of ``jaxopt_lab.controllers``: state and decisions are JSON."""

    @property
    def init(self) -> Callable[[], dict[str, Any]]:
        """``init() -> state``."""
        ...

    @property
    def decide(self) -> Callable[..., tuple[dict[str, Any], dict[str, Any]]]:
        """``decide(stats, state) -> (decision, state)``."""
        ...


class Control:
    """A controller with its state and what it has decided.

    Args:
      controller: the rule. Of its decision, ``accumulation`` is the number of
        micro-batches of the next step, and the others are hyper-parameters of the
        optimizer's state by name.
      first: the decision for the first step; ``None``: what its state says.
      kept: ``get_state`` of the run that is resumed.

    Attributes:
      decision: that of the next step.
    """

    def __init__(
        self,
        controller: Decides,
        first: Mapping[str, Any] | None = None,
        kept: Mapping[str, Any] | None = None,
    ) -> None:
        self._controller = controller
        self._state = controller.init() if kept is None else dict(kept["state"])
        if kept is not None:
            self.decision = dict(kept["decision"])
        elif first is not None:
            self.decision = dict(first)
        else:
            self.decision = {_ACCUMULATION: self._state.get(_ACCUMULATION, 1)}

    @property
    def accumulation(self) -> int:
        """Micro-batches of the next step."""
        return int(self.decision.get(_ACCUMULATION, 1))

    @property
    def rates(self) -> dict[str, float]:
        """Hyper-parameters of the next step."""
        return {n: x for n, x in self.decision.items() if n != _ACCUMULATION}

    def decide(self, stats: Mapping[str, float]) -> None:
        """Decide about the next step.

        Args:
          stats: the statistics of the step just taken.
        """
        found, self._state = self._controller.decide(stats, self._state)
        self.decision |= found

    def get_state(self) -> dict[str, Any]:
        """State and decision for a checkpoint, as JSON holds them."""
        return {"state": dict(self._state), "decision": dict(self.decision)}


class ControlledStep:
    """The parts of a step, compiled once, under a controller.

    Args:
      parts: from ``make_accumulation``.
      control: the controller.
      state: as it will be in every step.
      batch: a micro-batch.

    Attributes:
      examples: those of all steps taken.

    Raises:
      InputError: the parts are no accumulation.
    """

    def __init__(
        self, parts: Accumulation, control: Control, state: TrainState, batch: Batch
    ) -> None:
        if not isinstance(parts, Accumulation):
            raise InputError(
                f"controller= needs a step from make_accumulation; got a "
                f"{type(parts).__name__}"
            )
        self._control, self.examples = control, 0
        self._init = jax.jit(parts.init).lower(state.params).compile()
        state = self._with_rates(state)
        sums = self._init(state.params)
        add = jax.jit(parts.add, donate_argnums=(0, 1))
        apply = jax.jit(parts.apply, donate_argnums=0)
        self._add = add.lower(state, sums, batch).compile()
        self._apply = apply.lower(state, sums).compile()

    def __call__(
        self, state: TrainState, batch: Batch, more: Callable[[], Batch]
    ) -> tuple[TrainState, Metrics]:
        """Take one step, and let the controller decide about the next.

        Args:
          state: it is consumed.
          batch: the first micro-batch.
          more: gives the others.

        Returns:
          The state and the metrics.
        """
        state = self._with_rates(state)
        sums = self._init(state.params)
        for done in range(self._control.accumulation):
            if done:
                batch = more()
            state, sums = self._add(state, sums, batch)
            if done % _IN_FLIGHT == _IN_FLIGHT - 1:
                jax.block_until_ready(sums.count)
        state, metrics = self._apply(state, sums)
        stats = {name: float(x) for name, x in jax.device_get(metrics).items()}
        self.examples += round(stats["batch"])
        self._control.decide(stats)
        return state, metrics

    def _with_rates(self, state: TrainState) -> TrainState:
        rates = self._control.rates
        if not rates:
            return state
        return state._replace(opt_state=with_hyperparams(state.opt_state, rates))
