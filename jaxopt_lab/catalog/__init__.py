"""The one table of methods.

Everything that lists methods reads it: the command line, the conformance battery, the
benchmarks and the table in the README. Adding a method is one file, one test file and
one row here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import optax

from jaxopt_lab.catalog.schema import (
    DECAY,
    NON_NEGATIVE,
    POSITIVE,
    Interval,
    Kind,
    Method,
    Option,
)
from jaxopt_lab.catalog.transforms import (
    baselines,
    compressed,
    compressed_sparse,
    memory,
    sharpness,
)
from jaxopt_lab.core import errors

__all__ = [
    "CATALOG",
    "DECAY",
    "NON_NEGATIVE",
    "POSITIVE",
    "Interval",
    "Kind",
    "Method",
    "Option",
    "get",
    "markdown_table",
]


def _rate(default: float) -> Option:
    return Option(default, "step size; a schedule may stand for it", POSITIVE)


_B1 = Option(0.9, "decay of the mean of the gradients", DECAY)
_B2 = Option(0.999, "decay of the mean of their squares", DECAY)
_EPS = Option(1e-8, "added to the root of the second moment", POSITIVE)


def _weight_decay(default: float) -> Option:
    return Option(default, "decoupled decay, times the step size", NON_NEGATIVE)


_ADAM_ROOT: dict[str, str] = dict.fromkeys(
    (
        "finite_at_zero_gradients",
        "finite_at_a_product",
        "finite_at_zero_parameters",
    ),
    "optax takes the plain root of the second moment, whose derivative at a zero "
    "gradient is infinite",
)

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
        elementwise=True,
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
        elementwise=True,
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
        elementwise=True,
        paper="Kingma and Ba 2015, arXiv:1412.6980",
        known_failures=_ADAM_ROOT,
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
        elementwise=True,
        paper="Loshchilov and Hutter 2019, arXiv:1711.05101",
        known_failures=_ADAM_ROOT,
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
        temp_bytes="8",
        paper="You et al. 2020, arXiv:1904.00962",
        known_failures=_ADAM_ROOT,
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
        temp_bytes="4",
        elementwise=True,
        paper="Chen et al. 2023, arXiv:2302.06675",
        differentiable=False,
    ),
    *sharpness.ROWS,
    *memory.ROWS,
    *compressed.ROWS,
    *compressed_sparse.ROWS,
    *baselines.ROWS,
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
        f"| `{row.name}` | {row.family} | {row.kind} | {row.summary} "
        f"| {row.gradients_formula or row.gradients} "
        f"| {row.state_text or row.state_bytes} | {row.paper} |"
        for row in CATALOG.values()
    ]
    return "\n".join(lines)
