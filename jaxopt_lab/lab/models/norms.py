"""The normalizations of a model: its own, and the layers of the catalog that fit."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jaxopt_lab import catalog
from jaxopt_lab.catalog.part import loaded
from jaxopt_lab.catalog.schema import Layer, Replaces
from jaxopt_lab.core import errors
from jaxopt_lab.core.errors import InputError

if TYPE_CHECKING:
    from flax import nnx

    from jaxopt_lab.lab.models import Model

INDEX = "index"
"""The option of a layer that the model sets: depth of its block, from 1."""


@dataclass(frozen=True)
class Norm:
    """A layer of the catalog as the normalization of a model.

    Attributes:
      row: its row.
      options: values of its options.
    """

    row: Layer
    options: Mapping[str, Any]

    @property
    def by_depth(self) -> bool:
        """Whether the layer depends on the depth of its block."""
        return INDEX in self.row.options

    @property
    def activates(self) -> bool:
        """Whether the layer is an activation, too, so that none follows it."""
        return "activation" in self.row.replaces

    def __call__(
        self,
        features: int,
        *,
        index: int,
        types: Mapping[str, Any],
        rngs: nnx.Rngs,
        activate: bool = True,
    ) -> nnx.Module:
        """The layer of one block.

        Args:
          features: size of the last axis.
          index: depth of the block, from 1.
          types: ``dtype`` and ``param_dtype``.
          rngs: random streams.
          activate: False where the model has no activation behind it: a layer that can
            leave its own out does.

        Returns:
          The module.
        """
        options = module_options(self.row, self.options, types)
        if not activate and "activate" in self.row.options:
            options["activate"] = False
        if self.by_depth:
            options[INDEX] = index
        return loaded(self.row.module)(features, rngs=rngs, **options)


def accepted(model: Model) -> list[str]:
    """The names of all normalizations that a model takes, its own first."""
    rows = catalog.of_kind("layer").values()
    return [*model.norms, *(r.name for r in rows if not unfit(r, model))]


def row(model: Model, name: str) -> Layer | None:
    """The layer that a name stands for.

    Args:
      model: the model.
      name: the name.

    Returns:
      Its row; None for the model's own.

    Raises:
      InputError: there is none of this name, or it does not fit the model.
    """
    if name in model.norms:
        return None
    reason = lambda part: unfit(part, model)
    return fitting(model, "norm", name, lambda: accepted(model), reason)


def fitting(
    model: Model,
    place: str,
    name: str,
    names: Callable[[], list[str]],
    reason: Callable[[Layer], str],
) -> Layer:
    """The row of a layer that takes a place of a model.

    Args:
      model: the model.
      place: of the layer, for the message.
      name: of the row.
      names: gives those that are accepted, for the message.
      reason: why a row does not fit, the end of a sentence that begins with "the
        layer"; empty if it does.

    Returns:
      The row.

    Raises:
      InputError: there is none of this name, or it does not fit.
    """
    found = catalog.of_kind("layer").get(name)
    if found is None:
        raise errors.unknown(place, name, names())
    assert isinstance(found, Layer)
    if why := reason(found):
        raise InputError(
            f"{place}={name} does not fit model {model.name}: the layer {why}; "
            f"accepted: {', '.join(names())}"
        )
    return found


def norm(model: Model, name: str, options: Mapping[str, Any]) -> Norm | None:
    """The normalization that a name stands for, with options.

    Args:
      model: the model.
      name: the name.
      options: of the layer; defaults for the others.

    Returns:
      It; None for the model's own.

    Raises:
      InputError: as ``row``; or an option is unknown or out of range.
    """
    found = row(model, name)
    if found is None:
        if options:
            raise errors.unknown(f"option of norm {name}", next(iter(options)), ())
        return None
    chosen = found.checked(options)
    chosen.pop(INDEX, None)
    return Norm(found, chosen)


def module_options(
    row: Layer, options: Mapping[str, Any], types: Mapping[str, Any]
) -> dict[str, Any]:
    """Options of a layer's module, with the type of the parameters where it has any.

    Args:
      row: its row.
      options: values of its options.
      types: ``dtype`` and ``param_dtype``.

    Returns:
      Options by name.
    """
    found = dict(options)
    if "param_dtype" in inspect.signature(row.load()).parameters:
        found["param_dtype"] = types["param_dtype"]
    return found


def unfit(part: catalog.Part, model: Model, place: Replaces = "norm") -> str:
    """The reason why a layer does not take a place of a model; empty if it does.

    Args:
      part: the row of a layer.
      model: the model.
      place: ``"norm"``, ``"activation"`` or one of ``placed.OWN``.

    Returns:
      The end of a sentence that begins with "the layer".
    """
    assert isinstance(part, Layer)
    if place not in part.replaces:
        return f"replaces {' or '.join(part.replaces)}, no {place}"
    if part.topic == "test time":
        return "adapts a trained model: jaxopt_lab.lab.load(folder).adapting(...)"
    if part.gradient in ("rounded", "sampled"):
        return (
            "rounds its gradient with keys; the option memory= of transformer sets it"
        )
    if model.kind == "image":
        return ""
    # Tokens of one example must not see those of another one, or later ones.
    bad = []
    if part.state != "none":
        bad.append(f"has a state ({part.state})")
    if part.couples_examples:
        bad.append("couples the examples of a batch")
    if part.couples_positions and model.causal:
        bad.append("lets the positions of an example see later ones")
    return " and ".join(bad)
