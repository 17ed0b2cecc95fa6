"""A recipe of the catalog, ready to train."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from jaxopt_lab.catalog.schema import Recipe
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.typing import Batch
from jaxopt_lab.lab.run_options import RunOptions
from jaxopt_lab.training import TrainState, TrainStep
from jaxopt_lab.training.step_norms import step_norms

Draw = Callable[..., TrainState]
OfOne = Callable[..., Any]


class Prepared(NamedTuple):
    """A recipe, ready to train.

    Attributes:
      step: its training step.
      first: ``first(draw)``, its state, where ``draw(i)`` is a fresh plain state of the
        i-th network, and ``draw(i, network)`` of another network than the run's.
      view: ``view(state)``, the state of what is tested alone.
      complete: ``complete(state, batch)``, the first state with the model states that
        the recipe keeps besides; ``None``: it keeps none.
      carries: whether the first batch of ``complete`` is the first to be trained on.
      of_network: a network of the run as one of the recipe, whose outputs are more.
      tested: a network of the recipe as the model that is tested.
      of_each: a function of parameters and optimizer state of one network as one of
        those of ``view``.
      tests: ``tests(network, batches, seeds=, mode=)``, an evaluator of states of
        ``view``, where those of a classifier do not fit; ``None``: they do.
      batches: ``batches(loaded)``, the source of training batches; ``None``: the run's.
    """

    step: TrainStep
    first: Callable[[Draw], TrainState]
    view: Callable[[TrainState], TrainState]
    complete: Callable[[TrainState, Batch], TrainState] | None = None
    carries: bool = False
    of_network: Callable[[Functional], Functional] = lambda network: network
    tested: Callable[[Functional], Functional] = lambda network: network
    of_each: Callable[[OfOne], OfOne] = lambda function: function
    tests: Callable[..., Any] | None = None
    batches: Callable[[Any], Any] | None = None

    def completed(self, state: TrainState, batches: Any, many: bool) -> TrainState:
        """A fresh state of the recipe, complete.

        Args:
          state: of ``first``; stacked for several seeds.
          batches: the source of batches; it moves on where the recipe carries the
            first.
          many: whether there are several seeds.

        Returns:
          The state.
        """
        if self.complete is None:
            return state
        at = batches.get_state()
        first = batches.next()
        if not self.carries:
            batches.set_state(at)
        made = jax.vmap(self.complete) if many else self.complete
        return jax.jit(made)(state, first)


def step_options(row: Recipe, run: RunOptions) -> dict[str, Any]:
    """Options of a recipe's step that every run has.

    Args:
      row: the recipe.
      run: the options.

    Returns:
      They, by name.

    Raises:
      InputError: the step has not what the run asks for.
    """
    accepted = inspect.signature(row.load()).parameters
    found: dict[str, Any] = {"micro_batches": run.micro_batches}
    found["skip_nonfinite"] = run.on_nonfinite == "skip"
    more = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
    for name, plain in (("micro_batches", 1), ("skip_nonfinite", False)):
        if not more and name not in accepted and found.pop(name) != plain:
            raise InputError(f"recipe={row.name} has no {name}")
    return found | ({"measure": step_norms} if more else {})
