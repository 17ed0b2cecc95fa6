"""The activations of a model: functions of jax.nn, and layers of the catalog."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax

from jaxopt_lab import catalog
from jaxopt_lab.catalog.part import loaded
from jaxopt_lab.catalog.schema import Layer
from jaxopt_lab.core import errors
from jaxopt_lab.lab.models.norms import fitting, module_options, unfit
from jaxopt_lab.layers.initializers import lecun_normal_untruncated

if TYPE_CHECKING:
    from flax import nnx

    from jaxopt_lab.lab.models import Model

_FUNCTIONS: Mapping[str, Callable[[jax.Array], jax.Array]] = {
    "relu": jax.nn.relu,
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
    "tanh": jax.nn.tanh,
    "identity": lambda x: x,
}


@dataclass(frozen=True)
class Activation:
    """An activation of a model.

    Attributes:
      name: its name.
      row: a layer of the catalog; ``None``: a function of ``jax.nn``.
      options: values of the layer's options.
    """

    name: str
    row: Layer | None
    options: Mapping[str, Any]

    def __call__(
        self, features: int, *, types: Mapping[str, Any], rngs: nnx.Rngs
    ) -> Callable[[jax.Array], jax.Array]:
        """The activation at one place of a model.

        Args:
          features: size of the last axis.
          types: ``dtype`` and ``param_dtype``.
          rngs: random streams.

        Returns:
          The function of ``jax.nn``, or the layer's module.
        """
        if self.row is None:
            return _FUNCTIONS[self.name]
        options = module_options(self.row, self.options, types)
        return loaded(self.row.module)(features, rngs=rngs, **options)

    @property
    def kernel_init(self) -> Callable[..., jax.Array]:
        """The initializer of the kernels before it: He's, or the one SELU assumes."""
        if self.name == "selu":
            return lecun_normal_untruncated
        return jax.nn.initializers.he_normal()


RELU = Activation("relu", None, {})
GELU = Activation("gelu", None, {})
IDENTITY = Activation("identity", None, {})
"""Behind a normalization that is an activation, too."""


def accepted(model: Model) -> list[str]:
    """The names of all activations that a model takes, its own first."""
    rows = catalog.of_kind("layer").values()
    layers = [r.name for r in rows if not unfit(r, model, "activation")]
    return [*model.activations, *layers]


def row(model: Model, name: str) -> Layer | None:
    """The layer that a name stands for.

    Args:
      model: the model.
      name: the name.

    Returns:
      Its row; ``None`` for a function of ``jax.nn``.

    Raises:
      InputError: there is none of this name, or it does not fit the model.
    """
    if name in model.activations:
        return None
    reason = lambda part: unfit(part, model, "activation")
    return fitting(model, "activation", name, lambda: accepted(model), reason)


def activation(model: Model, name: str, options: Mapping[str, Any]) -> Activation:
    """The activation that a name stands for, with options.

    Args:
      model: the model.
      name: the name.
      options: of the layer; defaults for the others.

    Returns:
      It.

    Raises:
      InputError: as ``row``; or an option is unknown or out of range.
    """
    found = row(model, name)
    if found is None:
        if options:
            raise errors.unknown(
                f"option of activation {name}", next(iter(options)), ()
            )
        return Activation(name, None, {})
    return Activation(name, found, found.checked(options))
