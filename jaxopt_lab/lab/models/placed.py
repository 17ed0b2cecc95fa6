"""Layers of the catalog in the places of a transformer's block."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import jax
import numpy as np

from jaxopt_lab import catalog
from jaxopt_lab.catalog.part import loaded
from jaxopt_lab.catalog.schema import Layer, Replaces
from jaxopt_lab.core import errors
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab.models.norms import fitting, module_options, unfit

if TYPE_CHECKING:
    from flax import nnx

    from jaxopt_lab.lab.models import Model

OWN: Mapping[str, str] = {"attention": "softmax", "block": "mlp", "linear": "dense"}
"""The model's own layer by place: attention; the perceptron behind it; and the dense
layers of the perceptron."""

LAYER = "layer"
OUT = "out"
SET = frozenset({LAYER, OUT})
"""The options of layers that the model sets: the number, of layers with one seed, and
the size of the result."""


# By identity: a module keeps it among its constants, which flax compares.
@dataclass(frozen=True, eq=False)
class Placed:
    """A layer of the catalog in a place of a model.

    Attributes:
      place: of ``OWN``.
      row: its row.
      options: values of its options.
    """

    place: str
    row: Layer
    options: Mapping[str, Any]

    def __call__(
        self,
        features: int,
        out: int,
        *,
        number: int,
        types: Mapping[str, Any],
        rngs: nnx.Rngs,
    ) -> nnx.Module:
        """The layer of one block.

        Args:
          features: size of the last axis.
          out: that of the result.
          number: of the layer among those of the model, from 0.
          types: ``dtype`` and ``param_dtype``.
          rngs: random streams.

        Returns:
          The module.

        Raises:
          InputError: the options do not fit the sizes, or the result has another shape.
        """
        options = module_options(self.row, self.options, types)
        if LAYER in self.row.options:
            options[LAYER] = number
        if self.place == "linear":
            options[OUT] = out
        given = {n: v for n, v in options.items() if n != "param_dtype"}
        shape = _result((2, features), self.row, given)
        if shape != (1, 2, out):
            raise InputError(
                f"{self.place}={self.row.name} gives {shape} of (1, 2, {features}); "
                f"accepted: (1, 2, {out})"
            )
        return loaded(self.row.module)(features, rngs=rngs, **options)

    def apply(self, layer: Any, x: jax.Array) -> jax.Array:
        """The result of the layer, rows of an image for one that takes images.

        Args:
          layer: the module.
          x: ``(B, T, features)``.
        """
        return layer(x[:, None])[:, 0] if _of_images(self.row) else layer(x)


def _of_images(row: Layer) -> bool:
    """Whether a layer takes ``(B, H, W, features)``."""
    return row.name in _names() and np.ndim(row.inputs()["x"]) == 4


@functools.cache
def _names() -> frozenset[str]:
    rows = catalog.of_kind("layer").values()
    return frozenset(r.name for r in rows if set(getattr(r, "replaces", ())) & {*OWN})


def _result(shape: tuple[int, ...], row: Layer, options: Mapping[str, Any]) -> Any:
    """The shape that a layer makes of one example ``shape``; ``None``: no array."""
    features = shape[-1]
    if _of_images(row):
        shape = (1, *shape)
    x = jax.ShapeDtypeStruct((1, *shape), np.float32)

    def run(key: jax.Array, x: jax.Array) -> Any:
        core = row.load()(features, **options)
        keys = (key, jax.random.fold_in(key, 1))
        return core.apply(*core.init(keys[0]), x, train=False, key=keys[1])[0]

    key = jax.eval_shape(lambda: jax.random.key(0))
    found = jax.eval_shape(run, key, x)
    if not isinstance(found, jax.ShapeDtypeStruct):
        return None
    return (found.shape[0], *found.shape[2:]) if _of_images(row) else found.shape


@functools.cache
def _unlike(name: str) -> str:
    """The reason why a layer is no map of features to features; empty if it is one."""
    row = catalog.of_kind("layer")[name]
    assert isinstance(row, Layer)
    x = row.inputs()["x"]
    if not isinstance(x, np.ndarray) or row.matrices:
        return "takes other inputs than features by position"
    given = {n: v for n, v in row.inputs().items() if n in row.options}
    like = x.shape[2:] if _of_images(row) else x.shape[1:]
    found = _result(like, row, given)
    same = found is not None and found == (1, *like)
    return "" if same else "gives other shapes than that of its input"


def reason(part: catalog.Part, model: Model, place: str) -> str:
    """The reason why a layer does not take a place of a model; empty if it does.

    Args:
      part: the row of a layer.
      model: the model.
      place: of ``OWN``.

    Returns:
      The end of a sentence that begins with "the layer".
    """
    assert isinstance(part, Layer) and place in get_args(Replaces)
    if place in part.replaces and part.topic == "decoupled training":
        return "predicts gradients, for training that is decoupled"
    found = unfit(part, model, place)  # type: ignore[arg-type]
    return found or _unlike(part.name)


def accepted(model: Model, place: str) -> list[str]:
    """The names of all layers that a place of a model takes, its own first."""
    rows = catalog.of_kind("layer").values()
    return [OWN[place], *(r.name for r in rows if not reason(r, model, place))]


def row(model: Model, place: str, name: str) -> Layer | None:
    """The layer that a name stands for.

    Args:
      model: the model.
      place: of ``OWN``.
      name: the name.

    Returns:
      Its row; ``None`` for the model's own.

    Raises:
      InputError: there is none of this name, or it does not fit the model.
    """
    if name == OWN[place]:
        return None
    why = lambda part: reason(part, model, place)
    return fitting(model, place, name, lambda: accepted(model, place), why)


def placed(
    model: Model, config: Any, options: Mapping[str, Mapping[str, Any]]
) -> dict[str, Placed]:
    """The layers of the catalog in the places of a model.

    Args:
      model: the model.
      config: with the names of the layers.
      options: of the layers, by place.

    Returns:
      Layers by place, none for the model's own.

    Raises:
      InputError: as ``row``; an option is unknown or out of range, or it lets a token
        see later ones.
    """
    found = {}
    for place in OWN:
        name, given = getattr(config, place), options.get(place) or {}
        chosen = row(model, place, name)
        if chosen is None:
            if given:
                raise errors.unknown(f"option of {place} {name}", next(iter(given)), ())
            continue
        checked = chosen.checked(given)
        checked = {n: v for n, v in checked.items() if n not in SET}
        if model.causal and checked.get("causal") is False:
            raise InputError(
                f"{place}.causal=False does not fit model {model.name}: a token would "
                "see later ones; accepted: True"
            )
        found[place] = Placed(place, chosen, checked)
    return found
