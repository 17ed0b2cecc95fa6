"""One table of parts, of every kind.

Everything that lists parts reads it: the command line, the battery, the benchmarks and
the tables of README and docs. Adding a part is one file, one test file and one row. The
import costs nothing: a row names ``"module:attribute"``, which is loaded on first use.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal, overload

from jaxopt_lab.catalog import (
    continual_recipes,
    controllers,
    data_transforms,
    decoders,
    diagnostics,
    estimators,
    generative_recipes,
    initializers,
    layers,
    losses,
    metrics,
    quantizers,
    recipes,
    searches,
)
from jaxopt_lab.catalog.schema import KINDS, Neutral, Part, Transform
from jaxopt_lab.catalog.transforms import (
    batching,
    compressed,
    memory,
    optax,
    scale_invariant,
    sharpness,
)
from jaxopt_lab.core import errors
from jaxopt_lab.core.errors import InputError

__all__ = [
    "CATALOG",
    "KINDS",
    "Neutral",
    "Part",
    "Transform",
    "by_name",
    "get",
    "of_kind",
]


def by_name(rows: Iterable[Part]) -> Mapping[str, Part]:
    """Rows by name.

    Args:
      rows: any.

    Returns:
      A mapping in the order of the rows.

    Raises:
      InputError: a name comes twice, or a row is of no kind; the message names it.
    """
    named: dict[str, Part] = {}
    for row in rows:
        kind = getattr(row, "kind", None)
        if kind not in KINDS:
            raise InputError(
                f"{getattr(row, 'name', row)}: unknown kind {kind!r}; accepted: "
                + ", ".join(KINDS)
            )
        if row.name in named:
            raise InputError(
                f"{row.name}: a {kind} and a {named[row.name].kind} have this name"
            )
        named[row.name] = row
    return MappingProxyType(named)


CATALOG: Mapping[str, Part] = by_name(
    (
        *optax.ROWS,
        *sharpness.ROWS,
        *scale_invariant.ROWS,
        *batching.ROWS,
        *memory.ROWS,
        *compressed.ROWS,
        *layers.ROWS,
        *losses.ROWS,
        *metrics.ROWS,
        *diagnostics.ROWS,
        *quantizers.ROWS,
        *controllers.ROWS,
        *recipes.ROWS,
        *continual_recipes.ROWS,
        *generative_recipes.ROWS,
        *decoders.ROWS,
        *searches.ROWS,
        *data_transforms.ROWS,
        *estimators.ROWS,
        *initializers.ROWS,
    )
)


@overload
def of_kind(kind: Literal["transform"]) -> Mapping[str, Transform]: ...
@overload
def of_kind(kind: str) -> Mapping[str, Part]: ...
def of_kind(kind: str) -> Mapping[str, Part]:
    """All rows of a kind.

    Args:
      kind: one of ``KINDS``.

    Returns:
      Rows by name.

    Raises:
      InputError: there is no such kind.

    >>> list(of_kind("transform"))[:3]
    ['sgd', 'momentum', 'adam']
    """
    if kind not in KINDS:
        raise errors.unknown("kind", kind, KINDS)
    return MappingProxyType({n: r for n, r in CATALOG.items() if r.kind == kind})


@overload
def get(name: str, kind: Literal["transform"]) -> Transform: ...
@overload
def get(name: str, kind: str | None = None) -> Part: ...
def get(name: str, kind: str | None = None) -> Part:
    """The row of a part.

    Args:
      name: its name.
      kind: the kind that it must have; ``None``: any.

    Returns:
      The row.

    Raises:
      InputError: there is none; the message offers the nearest names.

    >>> get("sam", "transform").gradients
    2
    """
    rows = CATALOG if kind is None else of_kind(kind)
    if name not in rows:
        # People choose a transform by ``method=``.
        word = "method" if kind == "transform" else kind or "part"
        raise errors.unknown(word, name, rows)
    return rows[name]
