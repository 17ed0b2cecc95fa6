"""Needs of recipes that a plain network does not fill: more outputs, axes to cut."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.catalog.schema import Recipe
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.options import Interval, Option
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.lab import recipe_adapters
from jaxopt_lab.lab.models import prefix_axes

Options = Mapping[str, Any]
OF_MODEL: Mapping[str, Callable[[Any, Any], Any]] = {"axes": prefix_axes.of_model}
"""Arguments of recipes that the model of a run has, from its row and options."""


class Outputs(NamedTuple):
    """Outputs that the lab can give to every network.

    Attributes:
      make: ``make(network, shape, options)``, the network that has them; ``shape`` is
        that of one input.
      options: by name.
    """

    make: Callable[[Functional, tuple[int, ...], Options], Functional]
    options: Mapping[str, Option] = {}


def _with_representations(
    network: Functional, shape: tuple[int, ...], options: Options
) -> Functional:
    from jaxopt_lab.lab.layer_values import with_layers

    return with_layers(network, "inputs", options["layers"])


def two_branches(
    network: Functional, shape: tuple[int, ...], options: Options
) -> Functional:
    """Two networks, of which each rebuilds a part of the input from its last layer.

    Args:
      network: of both; the logits are those of the first. The last layer of the second
        one is not used.
      shape: shape of one input.
      options: none.

    Returns:
      The network, whose outputs are ``recipes.HybridOutputs``. Its parameters are by
      branch: ``"classes"``, ``"others"``, and the decoders, perceptrons with one hidden
      layer of as many units as features, ``"classes_decoder"``, ``"others_decoder"``.
    """
    from jaxopt_lab.lab.layer_values import with_layers
    from jaxopt_lab.recipes import HybridOutputs

    watched, branches = with_layers(network, "inputs"), ("classes", "others")

    def features_of(params: Params, state: Any, x: Any, **options: Any) -> Any:
        (logits, [features]), state = watched.apply(params, state, x, **options)
        return logits, features.reshape(len(x), -1), state

    def init(key: jax.Array) -> tuple[Params, ModelState]:
        params, states = {}, {}
        for i, branch in enumerate(branches):
            own = jax.random.fold_in(key, i) if i else key
            params[branch], states[branch] = network.init(own)
            x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
            _, features, _ = jax.eval_shape(
                lambda p, s, x: features_of(p, s, x, train=False),
                params[branch],
                states[branch],
                x,
            )
            sizes = features.shape[-1], features.shape[-1], math.prod(shape)
            he = jax.nn.initializers.he_normal()
            others = jax.random.split(jax.random.fold_in(key, 2 + i))
            params[f"{branch}_decoder"] = {
                str(n): {
                    "kernel": he(k, sizes[n : n + 2], features.dtype),
                    "bias": jnp.zeros(sizes[n + 1], features.dtype),
                }
                for n, k in enumerate(others)
            }
        return params, states

    def apply(
        params: Params, state: Any, x: Any, *, train: bool, key: Any = None
    ) -> tuple[Any, ModelState]:
        logits, parts, after = [], [], {}
        for i, branch in enumerate(branches):
            own = key if key is None or i == 0 else jax.random.fold_in(key, i)
            own_logits, h, after[branch] = features_of(
                params[branch], state[branch], x, train=train, key=own
            )
            logits.append(own_logits)
            for name, layer in sorted(params[f"{branch}_decoder"].items()):
                h = jax.nn.relu(h) if int(name) else h
                h = h @ layer["kernel"] + layer["bias"][None]
            parts.append(h.reshape(x.shape))
        return HybridOutputs(logits[0], *parts), after

    return Functional(init, apply)


_LAYERS = Option(
    "",
    "regular expression of the kernels of the layers whose inputs are compared, "
    "searched in their paths (hidden/1); empty: the inputs of the last layer",
)
OUTPUTS: Mapping[str, Outputs] = {
    "representations": Outputs(_with_representations, {"layers": _LAYERS}),
    "two parts of the input": Outputs(two_branches),
}
"""By ``Recipe.outputs``."""


def options_of(row: Recipe) -> dict[str, Option]:
    """Options that a run offers beside those of a recipe's step.

    Args:
      row: the recipe.

    Returns:
      Options by name: the number of its networks, those of their outputs, and the
      folders of the runs that its frozen roles are.
    """
    text = "folder of the run whose newest checkpoint is the {}"
    roles = row.frozen if recipe_adapters.of_row(row).prepare is None else ()
    found = {role: Option("", text.format(role)) for role in roles}
    if row.networks_option:
        said = "number of networks that are trained"
        found[row.networks_option] = Option(row.networks, said, Interval(1), True)
    found |= dict(OUTPUTS[row.outputs].options if row.outputs in OUTPUTS else {})
    return found | dict(recipe_adapters.of_row(row).options)


def of_network(
    row: Recipe, options: Options, network: Functional, shape: tuple[int, ...]
) -> Functional:
    """A network with the outputs that a recipe needs.

    Args:
      row: the recipe.
      options: its options, with those of ``options_of``.
      network: of a run.
      shape: shape of one input.

    Returns:
      The network.
    """
    if row.outputs not in OUTPUTS:
        return network
    return OUTPUTS[row.outputs].make(network, shape, options)


def of_model(row: Recipe, model: Any, config: Any) -> dict[str, Any]:
    """The arguments of a recipe that the model of a run has.

    Args:
      row: the recipe.
      model: the row of the model.
      config: its options.

    Returns:
      Arguments by name.

    Raises:
      InputError: the model has none.
    """
    names = inspect.signature(row.load()).parameters
    try:
        return {n: find(model, config) for n, find in OF_MODEL.items() if n in names}
    except InputError as error:
        raise InputError(f"recipe={row.name}: {error}") from None
