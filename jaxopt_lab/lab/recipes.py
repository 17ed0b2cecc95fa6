"""Recipes of the catalog as the training step of a run."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxopt_lab.catalog.part import loaded
from jaxopt_lab.catalog.schema import Recipe
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.typing import Batch
from jaxopt_lab.lab import (
    averaging,
    command_line,
    models,
    optimizers,
    parts,
    run_files,
)
from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.lab.models.placed import OWN
from jaxopt_lab.runtime import Checkpoints
from jaxopt_lab.runtime.run_folder import CONFIG
from jaxopt_lab.training import (
    TrainState,
    TrainStep,
    init_seeds,
    init_state,
    seed_keys,
)
from jaxopt_lab.training.step_norms import step_norms


class Model(NamedTuple):
    """A model of a role, with its parameters where these are frozen."""

    functional: Functional
    params: Any = None
    model_state: Any = None


class Prepared(NamedTuple):
    """A recipe, ready to train.

    Attributes:
      step: its training step.
      extend: ``extend(state)``, the state by role from that of the trained model.
      view: ``view(state)``, the state of the trained model alone.
      complete: ``complete(state, batch)``, the extended state with the model states
        that the recipe keeps besides; ``None``: it keeps none.
      carries: whether the first batch of ``complete`` is the first to be trained on.
    """

    step: TrainStep
    extend: Callable[[TrainState], TrainState]
    view: Callable[[TrainState], TrainState]
    complete: Callable[[TrainState, Batch], TrainState] | None = None
    carries: bool = False

    def completed(self, state: TrainState, batches: Any, many: bool) -> TrainState:
        """A fresh state of the recipe, complete.

        Args:
          state: the extended one; stacked for several seeds.
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


def prepare(
    chosen: parts.Chosen,
    configuration: Configuration,
    functional: Functional,
    tx: Any,
    shape: tuple[int, ...],
    classes: int,
) -> Prepared:
    """The step of a recipe around the model and the optimizer of a run.

    Args:
      chosen: the recipe with its options and, by role, the folders of trained runs.
      configuration: the run.
      functional: the model that is trained.
      tx: its optimizer.
      shape: shape of one input.
      classes: number of classes.

    Returns:
      The recipe.

    Raises:
      InputError: a trained run is missing or does not fit, or the recipe has no such
        option.
    """
    row, run = chosen.row, configuration.run
    assert isinstance(row, Recipe)
    (role,) = parts.trained_roles(row)
    frozen = {
        name: trained(str(chosen.options[name]), name, configuration, shape, classes)
        for name in row.frozen
    }
    make = row.load()
    options = {n: v for n, v in chosen.options.items() if n in row.options}
    accepted = inspect.signature(make).parameters
    named = next((n for n in parts.OF_ONE_ROLE if n in accepted), role)
    of_roles = {named: functional, **{n: m.functional for n, m in frozen.items()}}
    shared: dict[str, Any] = {"micro_batches": run.micro_batches}
    shared["skip_nonfinite"] = run.on_nonfinite == "skip"
    more = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
    for name, plain in (("micro_batches", 1), ("skip_nonfinite", False)):
        if not more and name not in accepted and shared.pop(name) != plain:
            raise InputError(f"recipe={row.name} has no {name}")
    if more:
        shared["measure"] = step_norms
    step = make(**of_roles, tx=tx, **row.checked(options), **shared)

    fixed = {name: model.params for name, model in frozen.items()}
    fixed_states = {name: model.model_state for name, model in frozen.items()}

    def extend(state: TrainState) -> TrainState:
        return TrainState(
            step=state.step,
            params={role: state.params, **fixed},
            model_state={role: state.model_state, **fixed_states},
            opt_state={role: state.opt_state, **dict.fromkeys(frozen, ())},
            key=state.key,
        )

    def view(state: TrainState) -> TrainState:
        by_role: Any = state.opt_state
        return state._replace(
            params=state.params[role],
            model_state=state.model_state[role],
            opt_state=by_role[role],
        )

    if not row.states:
        return Prepared(step, extend, view)
    states = loaded(row.states)

    def complete(state: TrainState, batch: Batch) -> TrainState:
        own: Any = state.model_state
        return state._replace(model_state={**own, **states(own[role], batch)})

    return Prepared(step, extend, view, complete, row.carries)


def trained(
    folder: str,
    role: str,
    configuration: Configuration,
    shape: tuple[int, ...],
    classes: int,
) -> Model:
    """The model of a run that is complete or not, at its newest checkpoint.

    Args:
      folder: of the run; only read.
      role: that the model is to have, for messages.
      configuration: the run that uses it.
      shape: shape of one input.
      classes: number of classes.

    Returns:
      The model; of several seeds the first. Its weights, not their average.

    Raises:
      InputError: there is no such run, or it does not fit.
    """
    name = f"recipe.{role}={folder}"
    if not folder:
        raise InputError(f"recipe.{role}= is missing: the folder of the {role}'s run")
    place = Path(folder).expanduser()
    if not run_files.is_run(place):
        raise InputError(f"{name} holds no run; give the folder of one")
    theirs = command_line.from_settings(json.loads((place / CONFIG).read_text()))
    if "recipe" in theirs.rows.parts:
        raise InputError(f"{name} was trained by a recipe; accepted: a plain run")
    kinds = {theirs.rows.task.kind, configuration.rows.task.kind}
    if len(kinds) > 1 and "any" not in kinds:
        raise InputError(
            f"{name} takes {theirs.rows.task.kind}, task {configuration.run.task} "
            f"gives {configuration.rows.task.kind}"
        )
    wanted = models.Wanted(
        shape,
        classes,
        theirs.parts.get("norm"),
        tokens=configuration.rows.task.kind == "text",
        activation_options=theirs.parts.get("activation"),
        layer_options={p: o for p, o in theirs.parts.items() if p in OWN},
    )
    functional = theirs.rows.model.functional(theirs.model, wanted)
    tx = optimizers.build(theirs)
    averages = averaging.of_run(theirs)

    def init(key: jax.Array) -> TrainState:
        params, model_state = functional.init(key)
        return averages.extend(init_state(tx, params, key, model_state))

    keys = seed_keys(theirs.run.seed, theirs.run.seeds)
    many = theirs.run.seeds > 1
    make: Any = (lambda k: init_seeds(init, k)) if many else (lambda k: init(k[0]))
    template = jax.eval_shape(make, keys)
    saved = Checkpoints(place / run_files.CHECKPOINTS, read_only=True)
    state = averages.plain(saved.restore(template).state)
    if many:
        state = jax.tree.map(lambda x: x[0], state)
    params, eval_params = state.params, theirs.rows.method.eval_params_fn
    if eval_params is not None:
        params = eval_params(params, state.opt_state)
    return Model(functional, params, state.model_state)
