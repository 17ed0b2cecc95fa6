"""Recipes of the catalog as the training step of a run."""

from __future__ import annotations

import inspect
from typing import Any

import jax

from jaxopt_lab.catalog.part import loaded
from jaxopt_lab.catalog.schema import Recipe
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.typing import Batch
from jaxopt_lab.lab import parts, recipe_networks
from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.lab.frozen_networks import trained
from jaxopt_lab.lab.prepared_recipe import Draw, OfOne, Prepared, step_options
from jaxopt_lab.training import TrainState

__all__ = ["Prepared", "prepare", "row_of"]


def row_of(chosen: parts.Chosen) -> Recipe:
    """The row of a recipe that a run has chosen."""
    assert isinstance(chosen.row, Recipe)
    return chosen.row


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
      InputError: a trained run is missing or does not fit, the model has not what the
        recipe needs, or the recipe has no such option.
    """
    row, run = row_of(chosen), configuration.run
    frozen = {
        name: trained(str(chosen.options[name]), name, configuration, shape, classes)
        for name in row.frozen
    }

    def of_network(network: Functional) -> Functional:
        return recipe_networks.of_network(row, chosen.options, network, shape)

    make = row.load()
    options = {n: v for n, v in chosen.options.items() if n in row.options}
    accepted = inspect.signature(make).parameters
    role = parts.trained_roles(row)[0]
    named = next((n for n in parts.OF_ONE_ROLE if n in accepted), role)
    of_roles = {named: functional, **{n: m.functional for n, m in frozen.items()}}
    of_roles = {name: of_network(network) for name, network in of_roles.items()}
    shared: dict[str, Any] = recipe_networks.of_model(
        row, configuration.rows.model, configuration.model
    )
    shared |= step_options(row, run)
    step = make(**of_roles, tx=tx, **row.checked(options), **shared)

    fixed = {name: model.params for name, model in frozen.items()}
    fixed_states = {name: model.model_state for name, model in frozen.items()}
    count = int(chosen.options.get(row.networks_option, row.networks))
    if count > 1 and run.start_from and run.head == "keep":
        raise InputError(
            f"recipe={row.name} trains {count} networks, which would all be that of "
            f"start_from={run.start_from}; accepted: head=new, head=REGEX"
        )

    def first(draw: Draw) -> TrainState:
        if row.start:
            return loaded(row.start)([draw(i) for i in range(count)])
        state = draw(0)
        return TrainState(
            step=state.step,
            params={role: state.params, **fixed},
            model_state={role: state.model_state, **fixed_states},
            opt_state={role: state.opt_state, **dict.fromkeys(frozen, ())},
            key=state.key,
        )

    tested = row.tested_roles or (role,)

    def shown(by_role: Any) -> Any:
        if len(tested) == 1:
            return by_role[tested[0]]
        return {name: by_role[name] for name in tested}

    def view(state: TrainState) -> TrainState:
        trees = state.params, state.model_state, state.opt_state
        params, model_state, opt_state = map(shown, trees)
        return state._replace(
            params=params, model_state=model_state, opt_state=opt_state
        )

    def of_each(function: OfOne) -> OfOne:
        if row.networks_option:
            return jax.vmap(function)
        if len(tested) == 1:
            return function
        return lambda *trees: {n: function(*(t[n] for t in trees)) for n in tested}

    prepared = Prepared(
        step,
        first,
        view,
        of_network=of_network,
        tested=loaded(row.tested) if row.tested else lambda network: network,
        of_each=of_each,
    )
    if not row.states:
        return prepared
    states = loaded(row.states)

    def complete(state: TrainState, batch: Batch) -> TrainState:
        own: Any = state.model_state
        return state._replace(model_state={**own, **states(own[role], batch)})

    return prepared._replace(complete=complete, carries=row.carries)
