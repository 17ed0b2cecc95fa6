"""The average of the weights that a run keeps beside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.training import TrainState, TrainStep, weight_average


class Averaging(NamedTuple):
    """The average of a run's weights; with a decay of 0 there is none.

    Attributes:
      decay: of the average.
      read: ``read(state)``, the parameters to evaluate, and the model state.
    """

    decay: float
    read: Callable[[TrainState], Any]

    def extend(self, state: TrainState) -> TrainState:
        """A fresh state with the average, where there is one."""
        return weight_average.extend(state, self.read) if self.decay else state

    def plain(self, state: TrainState) -> TrainState:
        """A state, or its shardings, without the average."""
        return weight_average.plain(state) if self.decay else state

    def of(self, state: TrainState) -> dict[str, Any]:
        """The averages in a state: ``params``, those to evaluate, ``model_state``."""
        own: Any = state.opt_state
        return {"params": own.params, "model_state": own.model_state}

    def step(self, step: TrainStep, shardings: TrainState | None = None) -> TrainStep:
        """The step that keeps the average, too."""
        if not self.decay:
            return step
        return weight_average.with_average(
            step, self.decay, read=self.read, shardings=shardings
        )


def of_run(
    configuration: Configuration,
    view: Callable[[TrainState], TrainState] | None = None,
    eval_params: Callable[..., Any] | None = None,
) -> Averaging:
    """The average that a run keeps.

    Args:
      configuration: the run.
      view: ``view(state)``, the state of the trained model among those of a recipe.
      eval_params: the parameters to evaluate of those of ``view`` and the optimizer's
        state; ``None``: those of the method, of one network.

    Returns:
      The average of the parameters that are evaluated.
    """
    if eval_params is None:
        eval_params = configuration.rows.method.eval_params_fn

    def read(state: TrainState) -> Any:
        state = state if view is None else view(state)
        params = state.params
        if eval_params is not None:
            params = eval_params(params, state.opt_state)
        return params, state.model_state

    return Averaging(configuration.run.ema, read)
