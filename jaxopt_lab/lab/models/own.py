"""Models of one's own: a flax nnx or linen module, or a function that makes one."""

from __future__ import annotations

import dataclasses
import inspect
import math
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal

from jaxopt_lab.core.errors import InputError, described
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.lab.models.wanted import Wanted

_TYPES = (bool, int, float, str)
_SHAPES = ("input_shape", "shape")
_INPUTS = ("in_features", "num_inputs", "din")
_CLASSES = ("num_classes", "classes", "out_features", "num_outputs", "dout")
_VOCABULARY = ("vocab_size", "vocabulary")


@dataclasses.dataclass(frozen=True)
class OwnModel:
    """A model that the lab has not got, with the members of ``models.Model``.

    Of its arguments those with a number, a word or a tuple of integers as default are
    options, ``model.NAME=`` on the command line. Those named ``input_shape`` or
    ``shape``, ``in_features`` (the product of the shape), ``num_classes`` or
    ``out_features``, ``vocab_size`` and ``rngs`` get what the data say, whether they
    have a default or not. Others keep their defaults.

    Attributes:
      name: what it is called on the command line and in messages.
      make: the module's class, or a function that returns a module.
      kind: ``"any"``: images, texts or other inputs.
      norms: none; places for layers of the catalog are its own matter.
      activations: none, as well.
    """

    name: str
    make: Callable[..., Any]
    kind: Literal["any"] = "any"
    norms: tuple[str, ...] = ()
    activations: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """One line for lists."""
        return f"{self.name}, a model of one's own"

    @property
    def config(self) -> type:
        """A dataclass of its options; an option without a default must be given."""
        import tyro

        fields: list[Any] = []
        for name, argument in _arguments(self.make).items():
            kind = _kind(self.make, argument)
            if kind is None or name in _GIVEN:
                continue
            text = f"argument of {self.name}"
            annotated = Annotated[kind, tyro.conf.arg(help=text)]
            default = argument.default
            if default is argument.empty:
                default = None
                annotated = Annotated[kind | None, tyro.conf.arg(help=text)]
            fields.append((name, annotated, dataclasses.field(default=default)))
        made = dataclasses.make_dataclass("OwnModelConfig", fields, frozen=True)
        made.__doc__ = f"Options of {self.name}."
        return made

    def functional(self, config: Any, wanted: Wanted) -> Functional:
        """As ``models.Model.functional``.

        Args:
          config: an instance of ``self.config``.
          wanted: what it is to fit, without layers of the catalog; a type for its
            layers is for nnx modules.

        Returns:
          The model as pure functions.

        Raises:
          InputError: an argument is missing, the module cannot be built, it is none of
            flax, or its outputs are no logits.
        """
        options = {
            field.name: getattr(config, field.name)
            for field in dataclasses.fields(config)
        }
        missing = [name for name, value in options.items() if value is None]
        arguments = _arguments(self.make)
        required = [n for n in missing if arguments[n].default is arguments[n].empty]
        if required:
            raise InputError(
                f"model {self.name} needs {', '.join(f'model.{n}=' for n in required)}"
            )
        known = {
            **dict.fromkeys(_SHAPES, tuple(wanted.input_shape)),
            **dict.fromkeys(_INPUTS, math.prod(wanted.input_shape)),
            **dict.fromkeys((*_CLASSES, *_VOCABULARY), wanted.num_classes),
        }
        options |= {name: known[name] for name in arguments if name in known}
        unknown = [
            name
            for name, argument in arguments.items()
            if argument.default is argument.empty
            and name not in options
            and name != "rngs"
        ]
        if unknown:
            raise InputError(
                f"model {self.name} needs {', '.join(unknown)}, which the lab does not "
                "know; give it a default, or name a function that makes the module"
            )
        functional = self._functional(options, wanted)
        if wanted.around is None:
            _check_outputs(self.name, functional, wanted)
        return functional

    def _functional(self, options: dict[str, Any], wanted: Wanted) -> Functional:
        import jax
        import jax.numpy as jnp
        from flax import linen, nnx

        from jaxopt_lab.lab.models.layers import functional
        from jaxopt_lab.training import from_linen

        made: list[Any] = []
        needs_rngs = "rngs" in _arguments(self.make)

        def build(rngs: nnx.Rngs) -> Any:
            given = {**options, "rngs": rngs} if needs_rngs else options
            try:
                module = self.make(**given)
            except (TypeError, ValueError) as error:
                if isinstance(error, InputError):
                    raise
                words = str(error).splitlines()[0]
                raise InputError(
                    f"model {self.name} cannot be made: {words}"
                ) from error
            made.append(module)
            return module

        nnx.eval_shape(lambda: _only_nnx(build(nnx.Rngs(0))))
        if isinstance(made[0], linen.Module) and wanted.around is not None:
            raise InputError(f"model {self.name} is a linen module; accepted: nnx")
        if isinstance(made[0], linen.Module):
            if wanted.batch_axis is not None:
                raise InputError(
                    f"model {self.name} is a linen module, whose batch statistics are "
                    "not averaged over devices; give style=jit"
                )
            kind = jnp.int32 if wanted.tokens else jnp.float32
            sample = jax.ShapeDtypeStruct((1, *wanted.input_shape), kind)
            return from_linen(made[0], sample)
        if not isinstance(made[0], nnx.Module):
            raise InputError(
                f"model {self.name} gives {described(made[0])}; accepted: a module of "
                "flax, nnx or linen, or a function that returns one"
            )
        return functional(build, wanted.batch_axis, wanted.dtype, wanted.around)


_GIVEN = {*_SHAPES, *_INPUTS, *_CLASSES, *_VOCABULARY, "rngs"}


def _only_nnx(module: Any) -> Any:
    from flax import nnx

    return module if isinstance(module, nnx.Module) else ()


def _arguments(make: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The named arguments, without those of every linen module."""
    # The signature of an nnx class is that of its metaclass.
    plain = inspect.isclass(make) and "__init__" in vars(make)
    given = inspect.signature(make.__init__ if plain else make).parameters.values()
    star = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {
        a.name: a
        for a in given
        if a.kind not in star and a.name not in ("self", "parent", "name")
    }


def _kind(make: Callable[..., Any], argument: inspect.Parameter) -> Any:
    """The type of an option; ``None`` where an argument is none."""
    default = argument.default
    if default is not argument.empty:
        if isinstance(default, tuple) and all(type(x) is int for x in default):
            return tuple[int, ...]
        return type(default) if type(default) in _TYPES else None
    owner = make.__init__ if inspect.isclass(make) else make
    try:
        hints = typing.get_type_hints(owner)
    except (NameError, TypeError):
        return None
    hint = hints.get(argument.name)
    return hint if hint in _TYPES else None


def _check_outputs(name: str, functional: Functional, wanted: Wanted) -> None:
    import jax
    import jax.numpy as jnp

    input_shape = wanted.input_shape
    dtype = jnp.int32 if wanted.tokens else jnp.float32
    inputs = jax.ShapeDtypeStruct((2, *input_shape), dtype)

    def outputs(inputs: Any) -> Any:
        key = jax.random.key(0)
        params, model_state = functional.init(key)
        return functional.apply(params, model_state, inputs, train=False)[0]

    try:
        got = jax.eval_shape(outputs, inputs)
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        words = " ".join(str(error).split())[:200]
        raise InputError(
            f"model {name} does not take inputs of shape (B, "
            f"{', '.join(map(str, input_shape))}): {words}"
        ) from error
    classes = wanted.num_classes
    logits = (2, *input_shape, classes) if wanted.tokens else (2, classes)
    shape = getattr(got, "shape", None)
    if shape != logits:
        told = described(got) if shape is None else f"outputs of shape {_batch(shape)}"
        raise InputError(
            f"model {name} gives {told} for inputs of shape "
            f"{_batch((2, *input_shape))}; accepted: logits of shape {_batch(logits)}"
        )


def _batch(shape: tuple[int, ...]) -> str:
    return f"({', '.join(['B', *map(str, shape[1:])])})"
