"""What the catalog knows about one method."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal

import optax

from jaxopt_lab.core import errors
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.injection import inject_hyperparams
from jaxopt_lab.core.typing import Params

Kind = Literal["optimizer", "link", "wrapper"]


@dataclasses.dataclass(frozen=True)
class Interval:
    """The accepted values of a number; an open end is left out of it."""

    low: float = float("-inf")
    high: float = float("inf")
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above and below

    def __str__(self) -> str:
        left = "(" if self.open_low or self.low == float("-inf") else "["
        right = ")" if self.open_high or self.high == float("inf") else "]"
        return f"{left}{self.low:g}, {self.high:g}{right}"


POSITIVE = Interval(0.0, open_low=True)
NON_NEGATIVE = Interval(0.0)
DECAY = Interval(0.0, 1.0, open_high=True)


@dataclasses.dataclass(frozen=True)
class Option:
    """One argument of a method, as the command line offers it.

    Attributes:
      default: its default value; the type of the option is the type of this.
      help: what it is, with its unit.
      accepted: interval of a number, or the names to choose from.
      static: it shapes the program, so it can be neither scheduled nor traced.
    """

    default: bool | int | float | str
    help: str
    accepted: Interval | tuple[str, ...] | None = None
    static: bool = False

    def checked(self, name: str, value: Any) -> Any:
        """``value`` if it is accepted; schedules and traced values always are.

        Args:
          name: name of the option, for the message.
          value: what was given for it.

        Returns:
          The same value.

        Raises:
          InputError: it is out of range, or none of the names.
        """
        if isinstance(self.accepted, tuple):
            if value not in self.accepted:
                raise errors.unknown(name, str(value), self.accepted)
        elif (
            isinstance(self.accepted, Interval)
            and isinstance(value, int | float)
            and value not in self.accepted
        ):
            raise InputError(
                f"{name}={value} is out of range; accepted: {self.accepted}"
            )
        return value

    def __str__(self) -> str:
        if isinstance(self.accepted, tuple):
            return ", ".join(self.accepted)
        if self.accepted is None:
            return type(self.default).__name__
        return f"{type(self.default).__name__} in {self.accepted}"


@dataclasses.dataclass(frozen=True)
class Method:
    """One row: what a method is, needs and costs.

    Attributes:
      name: its name on the command line.
      family: the room it lives in; ``"optax"`` for foreign rows.
      kind: ``"optimizer"``; ``"link"``, which goes first in a chain and needs an
        optimizer behind it; or ``"wrapper"``, which owns an optimizer, its base.
      summary: one line.
      factory: ``factory(**options)`` returns the transformation; a wrapper's is
        ``factory(base, **options)``.
      options: its arguments by name.
      gradients: gradient evaluations of the whole batch per step, at the defaults; of
        a method that takes more in some steps, those of such a step.
      state_bytes: bytes of state per float32 parameter, an expression in the options;
        of a wrapper, beyond its base's.
      temp_bytes: bytes of temporaries per float32 parameter in one compiled,
        donated update, not counting the gradients; an expression in the options.
      paper: where it comes from.
      code: the code whose decisions we follow; empty where it is optax itself.
      needs: extra arguments of ``update`` beyond the gradients; ``"shards"``: a
        ``grad_fn`` that knows its batch; ``"momentum"``: a base that has one.
      vectors: folder of its reference trajectories in ``tests/vectors``, if any.
      gradients_formula: their average per step as an expression in the options, where
        it depends on them.
      state_text: ``state_bytes`` in short, for tables; empty: the expression itself.
      eval_params: ``eval_params(params, state)``, the parameters to evaluate at, for
        methods that keep others; ``None``: the parameters themselves.
      factor_state: regular expression on the paths of the leaves of its state from
        which all of a matrix is computed, which are cut over devices by themselves.
      whole_state: likewise of the leaves that a step needs whole, more than once, so
        that a divided state is gathered before it.
      elementwise: its update of an element needs no other element, so that a device
        may update a part of a parameter by itself.
      differentiable: its updates are differentiable functions of gradients,
        parameters and hyper-parameters, so that finite differences agree.
      known_failures: battery checks that a foreign row fails today, with the reason.
    """

    name: str
    family: str
    kind: Kind
    summary: str
    factory: Callable[..., optax.GradientTransformation]
    options: Mapping[str, Option]
    gradients: int
    state_bytes: str
    temp_bytes: str
    paper: str
    code: str = ""
    needs: frozenset[str] = frozenset()
    vectors: str = ""
    gradients_formula: str = ""
    state_text: str = ""
    eval_params: Callable[[Params, Any], Params] | None = None
    factor_state: str = ""
    whole_state: str = ""
    elementwise: bool = False
    differentiable: bool = True
    known_failures: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def own(self) -> bool:
        """Whether the method is ours, not optax's."""
        return self.family != "optax"

    @property
    def static(self) -> frozenset[str]:
        """Names of the options that cannot be scheduled or traced."""
        return frozenset(name for name, opt in self.options.items() if opt.static)

    @property
    def numeric(self) -> tuple[str, ...]:
        """Names of the options that can."""
        return tuple(name for name in self.options if name not in self.static)

    def defaults(self) -> dict[str, Any]:
        """The default value of every option."""
        return {name: option.default for name, option in self.options.items()}

    def checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """All options, the given ones in place of their defaults.

        Args:
          options: values by name; numbers, schedules or traced scalars.

        Returns:
          The complete set.

        Raises:
          InputError: an unknown name, or a value out of range.
        """
        for name, value in options.items():
            if name not in self.options:
                raise errors.unknown(f"option of {self.name}", name, self.options)
            self.options[name].checked(name, value)
        return {**self.defaults(), **options}

    def build(self, **options: Any) -> optax.GradientTransformation:
        """The transformation with these options, defaults for the others.

        Args:
          **options: values by name.

        Returns:
          What ``factory`` gives.

        Raises:
          InputError: an unknown name, a value out of range, or the method is a
            wrapper.

        >>> from jaxopt_lab.catalog import get
        >>> tx = get("momentum").build(learning_rate=0.1)
        """
        self._refuse_wrapper("build")
        return self.factory(**self.checked(options))

    def wrap(
        self, base: optax.GradientTransformation, **options: Any
    ) -> optax.GradientTransformationExtraArgs:
        """A wrapper around a base optimizer, numeric options in the state.

        Args:
          base: the optimizer to own.
          **options: values by name, defaults for the others.

        Returns:
          ``optax.inject_hyperparams`` of the method.

        Raises:
          InputError: the method is no wrapper, an unknown name, or a value out of
            range.

        >>> from jaxopt_lab.catalog import get
        >>> tx = get("lookbehind").wrap(optax.sgd(0.1), k=5)
        """
        if self.kind != "wrapper":
            raise InputError(f"{self.name} is no wrapper but one {self.kind}")
        factory = inject_hyperparams(self.factory, self._uninjected())
        return factory(base, **self.checked(options))

    def inject(self, **options: Any) -> optax.GradientTransformationExtraArgs:
        """Like ``build``, with the numeric options in the state, for the log.

        Args:
          **options: values by name.

        Returns:
          ``optax.inject_hyperparams`` of the method, static options filled in.

        Raises:
          InputError: an unknown name, a value out of range, or the method is a
            wrapper.

        >>> import jax.numpy as jnp
        >>> from jaxopt_lab.catalog import get
        >>> state = get("sam").inject(rho=0.1).init(jnp.ones(2))
        >>> round(float(state.hyperparams["rho"]), 3)
        0.1
        """
        self._refuse_wrapper("inject")
        factory = inject_hyperparams(self.factory, self._uninjected())
        return factory(**self.checked(options))

    def _uninjected(self) -> frozenset[str]:
        # An argument that is no option of the row keeps its default, untraced.
        arguments = inspect.signature(self.factory).parameters
        return frozenset(arguments) - frozenset(self.numeric)

    def gradients_per_step(self, **options: Any) -> float:
        """Gradient evaluations of the whole batch per step, on average.

        Args:
          **options: values of the options that the number depends on.

        Returns:
          The number.

        >>> from jaxopt_lab.catalog import get
        >>> get("lookbehind").gradients_per_step(k=5)
        6.0
        """
        return self._value_of(self.gradients_formula or str(self.gradients), options)

    def bytes_per_parameter(self, what: str = "state", **options: Any) -> float:
        """The documented bytes per float32 parameter.

        Args:
          what: ``"state"`` or ``"temp"``.
          **options: values of the options that the formula depends on.

        Returns:
          Bytes per parameter.
        """
        formula = {"state": self.state_bytes, "temp": self.temp_bytes}[what]
        return self._value_of(formula, options)

    def _refuse_wrapper(self, instead_of: str) -> None:
        if self.kind == "wrapper":
            raise InputError(
                f"{self.name} owns an optimizer: use wrap(base, ...) instead of "
                f"{instead_of}"
            )

    def _value_of(self, formula: str, options: Mapping[str, Any]) -> float:
        # The formulas are literals of the catalog, never input.
        return float(eval(formula, {"__builtins__": {}}, self.checked(options)))
