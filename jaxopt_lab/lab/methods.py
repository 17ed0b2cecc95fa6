"""Rows of the catalog as optimizers: the module of the lab that reads their roles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optax

from jaxopt_lab import catalog

Method = catalog.Transform


def get(name: str) -> Method:
    """The row of a method; see ``catalog.get``."""
    return catalog.get(name, "transform")


def names() -> list[str]:
    """The names of all methods, in the catalog's order."""
    return list(catalog.of_kind("transform"))


def needs_base(row: Method) -> bool:
    """Whether a method wants an optimizer behind it or inside it.

    Args:
      row: the method.

    Returns:
      False for optimizers.
    """
    return row.role != "optimizer"


def optimizer_names() -> list[str]:
    """The sorted names of the methods that need no base."""
    rows = catalog.of_kind("transform").items()
    return sorted(name for name, row in rows if not needs_base(row))


def alone(
    row: Method,
    options: Mapping[str, Any],
    *,
    logged: bool = False,
    fixed: Mapping[str, Any] | None = None,
) -> optax.GradientTransformationExtraArgs:
    """An optimizer, or a link without the optimizer behind it.

    Args:
      row: the method.
      options: values by name, defaults for the others.
      logged: numeric options are kept in the state, where the log reads them.
      fixed: arguments that are no options of the row, such as masks.

    Returns:
      The transformation.

    Raises:
      InputError: an unknown name, a value out of range, or the method is a wrapper.
    """
    if fixed:
        # make and inject know the options of the row alone.
        load: Any = row._injected() if logged else row.load()
        return load(**row.checked(options), **fixed)
    make: Any = row.inject if logged else row.make
    return make(**options)


def compose(
    row: Method,
    options: Mapping[str, Any],
    base: optax.GradientTransformation | None = None,
    *,
    logged: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """A method as a whole optimizer.

    Args:
      row: the method.
      options: values by name, defaults for the others.
      base: the optimizer behind a link or inside a wrapper; optimizers ignore it.
      logged: numeric options are kept in the state, where the log reads them; those
        of wrappers always are.

    Returns:
      The optimizer alone; a link chained before its base, or behind it; or a wrapper
      around it.

    Raises:
      InputError: an unknown name, or a value out of range.
    """
    if not needs_base(row):
        return alone(row, options, logged=logged)
    assert base is not None
    if row.role == "wrapper":
        return row.wrap(base, **options)
    link = alone(row, options, logged=logged)
    if row.role == "last link":
        return optax.chain(base, link)
    return optax.chain(link, base)
