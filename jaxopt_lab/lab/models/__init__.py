"""The models of the lab, by name; listing them imports nothing heavy."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from jaxopt_lab.core import errors
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.lab import imported
from jaxopt_lab.lab.models import configs
from jaxopt_lab.lab.models.own import OwnModel
from jaxopt_lab.lab.models.wanted import Wanted

if TYPE_CHECKING:
    from flax import nnx


@dataclass(frozen=True)
class Model:
    """One row of the table.

    Attributes:
      name: what it is called on the command line.
      kind: "image", inputs (B, H, W, C) and logits (B, classes); or "text", integer
        tokens (B, T) and logits (B, T, vocabulary).
      config: dataclass of its options; ``config()`` is the default.
      module: name of the file in this folder that builds it.
      description: one line for lists.
      norms: its own normalizations, the default first, where it takes layers of the
        catalog beside them (``config.norm``).
      activations: its own activations in the same way (``config.activation``).
      cached: whether it continues rows from a cache (``models.cached.Chunk``).
      placed: whether it takes layers of the catalog in the places of ``placed.OWN``.
      masked: whether it fills masks in: tokens see later ones, and the last token of
        its vocabulary, one more than the data have, is the mask.
    """

    name: str
    kind: Literal["image", "text"]
    config: type[configs.ModelConfig]
    module: str
    description: str
    norms: tuple[str, ...] = ()
    activations: tuple[str, ...] = ()
    cached: bool = False
    placed: bool = False
    masked: bool = False

    @property
    def causal(self) -> bool:
        """Whether no token may see later ones."""
        return self.kind == "text" and not self.masked

    def build(
        self,
        config: Any,
        input_shape: tuple[int, ...],
        num_classes: int,
        norm_options: Mapping[str, Any] | None = None,
        activation_options: Mapping[str, Any] | None = None,
        layer_options: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    ) -> Callable[[nnx.Rngs], nnx.Module]:
        """A function that makes the module; hand it to ``training.from_nnx``.

        Args:
          config: an instance of ``self.config``.
          input_shape: shape of one input: (H, W, C) or (T,).
          num_classes: number of classes, or of tokens.
          norm_options: options of ``config.norm``, a layer of the catalog.
          activation_options: options of ``config.activation``, another one.
          layer_options: options of layers in other places, by place.

        Returns:
          ``make(rngs) -> nnx.Module``. The module's call takes ``rngs=`` for
          dropout, if the model has any.

        Raises:
          InputError: an option or the shape is not accepted.
        """
        if not isinstance(config, self.config):
            raise errors.InputError(
                f"model {self.name} takes a {self.config.__name__}; "
                f"got {type(config).__name__}"
            )
        if num_classes < 2:
            raise errors.InputError(
                f"model {self.name} needs at least 2 classes; got {num_classes}"
            )
        builder = importlib.import_module(f"jaxopt_lab.lab.models.{self.module}")
        from jaxopt_lab.lab.models.activations import activation
        from jaxopt_lab.lab.models.norms import norm

        named: Any = config
        chosen: dict[str, Any] = {}
        if self.norms:
            chosen["norm"] = norm(self, named.norm, norm_options or {})
        if self.activations:
            given = activation_options or {}
            chosen["activation"] = activation(self, named.activation, given)
        if self.placed:
            from jaxopt_lab.lab.models.placed import placed

            chosen["layers"] = placed(self, config, layer_options)
            chosen["causal"] = self.causal
        count = num_classes + self.masked
        return builder.build(config, tuple(input_shape), count, **chosen)

    def functional(self, config: Any, wanted: Wanted) -> Functional:
        """The model as pure functions.

        Args:
          config: as of ``build``.
          wanted: what it is to fit.

        Returns:
          The functions.

        Raises:
          InputError: an option or the shape is not accepted.
        """
        from jaxopt_lab.lab.models.layers import functional

        build = self.build(
            config,
            wanted.input_shape,
            wanted.num_classes,
            wanted.norm_options,
            wanted.activation_options,
            wanted.layer_options,
        )
        return functional(build, wanted.batch_axis, wanted.dtype, wanted.around)


AnyModel: TypeAlias = Model | OwnModel

_OF_IMAGES = ("relu", "gelu", "silu", "tanh")
_ROWS = (
    Model(
        "mlp",
        "image",
        configs.MLPConfig,
        "mlp",
        "multi-layer perceptron",
        activations=_OF_IMAGES,
    ),
    Model(
        "convnet",
        "image",
        configs.ConvNetConfig,
        "convnet",
        "small convolutional network for 8x8 to 32x32 images",
        norms=("none",),
        activations=_OF_IMAGES,
    ),
    Model(
        "resnet18",
        "image",
        configs.ResNet18Config,
        "resnet",
        "ResNet-18, with a small stem below 64 pixels",
        norms=("batch", "group"),
        activations=_OF_IMAGES,
    ),
    Model(
        "resnet20",
        "image",
        configs.ResNet20Config,
        "resnet",
        "ResNet-20 as used on CIFAR",
        norms=("batch", "group"),
        activations=_OF_IMAGES,
    ),
    Model(
        "resnet50",
        "image",
        configs.ResNet50Config,
        "resnet",
        "ResNet-50, with a small stem below 64 pixels",
        norms=("batch", "group"),
        activations=_OF_IMAGES,
    ),
    Model(
        "wide_resnet",
        "image",
        configs.WideResNetConfig,
        "wide_resnet",
        "wide ResNet with depth 6n + 4 and a widening factor",
        norms=("batch", "group"),
        activations=_OF_IMAGES,
    ),
    Model(
        "poincare_resnet",
        "image",
        configs.PoincareResNetConfig,
        "poincare_resnet",
        "residual network in the Poincare ball",
    ),
    Model(
        "transformer",
        "text",
        configs.TransformerConfig,
        "transformer",
        "GPT-style decoder",
        norms=("layer",),
        activations=("gelu", "relu", "silu", "tanh"),
        cached=True,
        placed=True,
    ),
    Model(
        "masked_transformer",
        "text",
        configs.MaskedTransformerConfig,
        "transformer",
        "transformer that fills in masked tokens, trained as a masked diffusion",
        norms=("layer",),
        activations=("gelu", "relu", "silu", "tanh"),
        placed=True,
        masked=True,
    ),
    Model("lstm", "text", configs.LSTMConfig, "lstm", "LSTM language model"),
)

MODELS: dict[str, Model] = {row.name: row for row in _ROWS}

TEXTS: dict[str, str] = {"einspace": "jaxopt_lab.lab.models.einspace:EinspaceNet"}
"""Modules that are made from a text, ``model.architecture=``, by name."""


def get(name: str) -> AnyModel:
    """The row called ``name``, or the model that ``my.module:Net`` names.

    Args:
      name: of a row, of ``TEXTS``, or of a class or function to import.

    Returns:
      The row.

    Raises:
      InputError: there is none (with the nearest names), or it cannot be imported.
    """
    if name in TEXTS:
        return OwnModel(name, imported.load("model", TEXTS[name]))
    if imported.is_path(name):
        found = imported.load("model", name)
        if not callable(found):
            raise errors.InputError(
                f"model={name} is {errors.described(found)}; accepted: a flax module's "
                "class, or a function that makes a module"
            )
        return OwnModel(name, found)
    if name not in MODELS:
        raise errors.unknown("model", name, [*MODELS, *TEXTS, "my.module:Net"])
    return MODELS[name]
