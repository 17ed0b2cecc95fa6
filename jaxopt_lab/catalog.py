"""The one table of methods.

Everything that lists methods reads it: the command line, the conformance battery, the
benchmarks and the table in the README. Adding a method is one file, one test file and
one row here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

import optax

from jaxopt_lab import errors, sharpness
from jaxopt_lab.errors import InputError
from jaxopt_lab.injection import inject_hyperparams
from jaxopt_lab.typing import Params

Kind = Literal["optimizer", "link"]


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
      kind: ``"optimizer"``, or ``"link"``, which goes first in a chain and needs an
        optimizer behind it.
      summary: one line.
      factory: ``factory(**options)`` returns the transformation.
      options: its arguments by name.
      gradients: gradient evaluations of the whole batch per step.
      state_bytes: bytes of state per float32 parameter, an expression in the options.
      temp_bytes: bytes of temporaries per float32 parameter in one compiled,
        donated update, not counting the gradients; an expression in the options.
      paper: where it comes from.
      code: the code whose decisions we follow; empty where it is optax itself.
      needs: extra arguments of ``update`` beyond the gradients.
      vectors: folder of its reference trajectories in ``tests/vectors``, if any.
      eval_params: ``eval_params(params, state)``, the parameters to evaluate at, for
        methods that keep others; ``None``: the parameters themselves.
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
    eval_params: Callable[[Params, Any], Params] | None = None
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
          InputError: an unknown name, or a value out of range.

        >>> tx = get("momentum").build(learning_rate=0.1)
        """
        return self.factory(**self.checked(options))

    def inject(self, **options: Any) -> optax.GradientTransformationExtraArgs:
        """Like ``build``, with the numeric options in the state, for the log.

        Args:
          **options: values by name.

        Returns:
          ``optax.inject_hyperparams`` of the method, static options filled in.

        Raises:
          InputError: an unknown name, or a value out of range.

        >>> import jax.numpy as jnp
        >>> state = get("sam").inject(rho=0.1).init(jnp.ones(2))
        >>> round(float(state.hyperparams["rho"]), 3)
        0.1
        """
        return inject_hyperparams(self.factory, self.static)(**self.checked(options))

    def bytes_per_parameter(self, what: str = "state", **options: Any) -> float:
        """The documented bytes per float32 parameter.

        Args:
          what: ``"state"`` or ``"temp"``.
          **options: values of the options that the formula depends on.

        Returns:
          Bytes per parameter.
        """
        formula = {"state": self.state_bytes, "temp": self.temp_bytes}[what]
        # The formula is a literal of this file, never input.
        return float(eval(formula, {"__builtins__": {}}, self.checked(options)))


def _rate(default: float) -> Option:
    return Option(default, "step size; a schedule may stand for it", POSITIVE)


_B1 = Option(0.9, "decay of the mean of the gradients", DECAY)
_B2 = Option(0.999, "decay of the mean of their squares", DECAY)
_EPS = Option(1e-8, "added to the root of the second moment", POSITIVE)


def _weight_decay(default: float) -> Option:
    return Option(default, "decoupled decay, times the step size", NON_NEGATIVE)


_ROWS = (
    Method(
        name="sgd",
        family="optax",
        kind="optimizer",
        summary="stochastic gradient descent",
        factory=optax.sgd,
        options={"learning_rate": _rate(0.1)},
        gradients=1,
        state_bytes="0",
        temp_bytes="0",
        paper="Robbins and Monro 1951",
    ),
    Method(
        name="momentum",
        family="optax",
        kind="optimizer",
        summary="gradient descent with heavy-ball (or Nesterov) momentum",
        factory=optax.sgd,
        options={
            "learning_rate": _rate(0.05),
            "momentum": Option(0.9, "decay of the trace of gradients", DECAY),
            "nesterov": Option(False, "use Nesterov's form", static=True),
        },
        gradients=1,
        state_bytes="4",
        temp_bytes="0",
        paper="Polyak 1964; Sutskever et al. 2013",
    ),
    Method(
        name="adam",
        family="optax",
        kind="optimizer",
        summary="adaptive moments",
        factory=optax.adam,
        options={"learning_rate": _rate(1e-3), "b1": _B1, "b2": _B2, "eps": _EPS},
        gradients=1,
        state_bytes="8",
        temp_bytes="0",
        paper="Kingma and Ba 2015, arXiv:1412.6980",
    ),
    Method(
        name="adamw",
        family="optax",
        kind="optimizer",
        summary="adaptive moments with decoupled weight decay",
        factory=optax.adamw,
        options={
            "learning_rate": _rate(1e-3),
            "b1": _B1,
            "b2": _B2,
            "eps": _EPS,
            "weight_decay": _weight_decay(1e-4),
        },
        gradients=1,
        state_bytes="8",
        temp_bytes="0",
        paper="Loshchilov and Hutter 2019, arXiv:1711.05101",
    ),
    Method(
        name="lamb",
        family="optax",
        kind="optimizer",
        summary="Adam with a trust ratio for each tensor, for large batches",
        factory=optax.lamb,
        options={
            "learning_rate": _rate(1e-2),
            "b1": _B1,
            "b2": _B2,
            "eps": Option(1e-6, _EPS.help, POSITIVE),
            "weight_decay": _weight_decay(0.0),
        },
        gradients=1,
        state_bytes="8",
        temp_bytes="4",
        paper="You et al. 2020, arXiv:1904.00962",
    ),
    Method(
        name="lion",
        family="optax",
        kind="optimizer",
        summary="sign of an interpolated momentum",
        factory=optax.lion,
        options={
            "learning_rate": _rate(3e-4),
            "b1": _B1,
            "b2": Option(0.99, "decay of the momentum", DECAY),
            "weight_decay": _weight_decay(1e-3),
        },
        gradients=1,
        state_bytes="4",
        temp_bytes="0",
        paper="Chen et al. 2023, arXiv:2302.06675",
        differentiable=False,
    ),
    Method(
        name="sam",
        family="sharpness",
        kind="link",
        summary="gradient at the worst point within a ball",
        factory=sharpness.sam,
        options={
            "rho": Option(
                0.05, "radius of the ascent, in units of the norm", NON_NEGATIVE
            ),
            "norm_over": Option(
                "perturbed",
                "leaves over which the norm is taken",
                ("perturbed", "all"),
                static=True,
            ),
            "sync": Option(
                "global",
                "perturb along the gradient of all devices, or each along its own",
                ("global", "local"),
                static=True,
            ),
        },
        gradients=2,
        state_bytes="0",
        temp_bytes="4",
        paper="Foret et al. 2021, arXiv:2010.01412",
        code="davda54/sam",
        needs=frozenset({"params", "grad_fn"}),
        vectors="sam",
    ),
)

CATALOG: Mapping[str, Method] = MappingProxyType({row.name: row for row in _ROWS})


def get(name: str) -> Method:
    """The row of a method.

    Args:
      name: its name.

    Returns:
      The row.

    Raises:
      InputError: there is none; the message offers the nearest names.

    >>> get("sam").gradients
    2
    """
    if name not in CATALOG:
        raise errors.unknown("method", name, CATALOG)
    return CATALOG[name]


def markdown_table() -> str:
    """The catalog as a table in Markdown, for the README.

    Returns:
      The table, without a line end at the end.
    """
    lines = [
        "| method | family | kind | what it does | gradients a step "
        "| state, bytes a parameter | source |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| `{row.name}` | {row.family} | {row.kind} | {row.summary} | {row.gradients} "
        f"| {row.state_bytes} | {row.paper} |"
        for row in CATALOG.values()
    ]
    return "\n".join(lines)
