"""Networks of finished runs, the frozen roles of recipes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.lab import averaging, command_line, models, optimizers, run_files
from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.lab.models.placed import OWN
from jaxopt_lab.runtime import Checkpoints
from jaxopt_lab.runtime.run_folder import CONFIG
from jaxopt_lab.training import TrainState, init_seeds, init_state, seed_keys


class Model(NamedTuple):
    """A model of a role, with its parameters where these are frozen."""

    functional: Functional
    params: Any = None
    model_state: Any = None


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
