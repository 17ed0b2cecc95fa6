"""The configuration of a run: its options, and the rows that they belong to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from jaxopt_lab import catalog
from jaxopt_lab.lab import methods, models, tasks
from jaxopt_lab.lab.chosen_part import Chosen
from jaxopt_lab.lab.run_options import RunOptions


class Own(NamedTuple):
    """Objects of the caller instead of names.

    Attributes:
      task: the data at hand.
      model: a module's class, or a function that makes a module.
      loss: ``loss(logits, labels) -> (examples,)``.
      metrics: ``metric(logits, labels) -> (examples,)`` by name, tested beside loss and
        accuracy.
    """

    task: tasks.Task | None = None
    model: models.OwnModel | None = None
    loss: catalog.Part | None = None
    metrics: Mapping[str, Callable[..., Any]] = MappingProxyType({})


NOTHING_OWN = Own()
"""Names alone."""


class Rows(NamedTuple):
    """The rows of the tables that a run is made of.

    Attributes:
      method: of the catalog.
      base: likewise, the optimizer behind a link or inside a wrapper; ``None`` where
        the method is an optimizer.
      task: of the tasks.
      model: of the models.
      parts: of the catalog, by place: ``"norm"``, ``"loss"``, ``"augment"``; a place is
        absent where nothing of the catalog is in it.
      own: objects of the caller among them.
    """

    method: methods.Method
    base: methods.Method | None
    task: tasks.Task
    model: models.AnyModel
    parts: Mapping[str, catalog.Part]
    own: Own = NOTHING_OWN


def base_prefix(row: methods.Method) -> Callable[[str], str]:
    """The names of the base's options on the command line.

    Args:
      row: the method that the base is behind or inside of.

    Returns:
      A function of the option's own name: it gets the prefix ``base_`` where a run or
      the method has an option of that name.
    """
    taken = set(row.details) | {f.name for f in dataclasses.fields(RunOptions)}
    return lambda name: f"base_{name}" if name in taken else name


def decay_name(rows: Rows) -> str:
    """The command line's name of the decay beside an optimizer without its own.

    Args:
      rows: of the run.

    Returns:
      The name; empty where the optimizer has an option ``weight_decay``.
    """
    optimizer = rows.method if rows.base is None else rows.base
    if "weight_decay" in optimizer.details:
        return ""
    return base_prefix(rows.method)("weight_decay") if rows.base else "weight_decay"


@dataclasses.dataclass(frozen=True)
class Configuration:
    """A complete run.

    Attributes:
      run: options that every run has; ``model`` is resolved, never ``"auto"``.
      method: options of the method.
      base: options of the optimizer behind it; empty where the method is one.
      model: options of the model.
      rows: the rows that these options belong to, looked up once.
      parts: options of ``rows.parts``, by place.
      weight_decay: strength of the decay beside an optimizer that has no option of
        that name; ``None`` beside the others.
    """

    run: RunOptions
    method: dict[str, Any]
    base: dict[str, Any]
    model: Any
    rows: Rows
    parts: Mapping[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    weight_decay: float | None = None

    def has(self, option: str) -> bool:
        """Whether the method or its base has an option of that name."""
        return option in self.method or option in self.base

    @property
    def decays(self) -> bool:
        """Whether the weights decay, by the optimizer's own option or beside it."""
        own = (self.base if self.rows.base is not None else self.method).get
        return bool(self.weight_decay or own("weight_decay"))

    def chosen(self, place: str) -> Chosen | None:
        """The part of the catalog in a place, with its options; None: there is none."""
        row = self.rows.parts.get(place)
        return None if row is None else Chosen(row, self.parts[place])

    @property
    def augmentations(self) -> list[Chosen]:
        """The data transforms of the catalog, in their order."""
        rows = self.rows.parts.items()
        places = [p for p, row in rows if row.kind == "data transform"]
        return [Chosen(self.rows.parts[p], self.parts[p]) for p in places]

    def on_one_device(self) -> Configuration:
        """The same run on one device: what it computes is the same but for rounding."""
        plain = dataclasses.replace(
            self.run, mesh="data:1", style="jit", zero=False, rules=""
        )
        return dataclasses.replace(self, run=plain)

    def flat(self) -> dict[str, Any]:
        """All options under the names that the command line gives them."""
        named = dataclasses.asdict(self.run)
        if self.rows.base is None:
            del named["base"]
        prefix = base_prefix(self.rows.method)
        named |= self.method
        named |= {prefix(name): value for name, value in self.base.items()}
        if self.weight_decay is not None:
            named[decay_name(self.rows)] = self.weight_decay
        fields = dataclasses.asdict(self.model)
        named |= {f"model.{name}": value for name, value in fields.items()}
        for place, options in self.parts.items():
            named |= {f"{place}.{name}": value for name, value in options.items()}
        return named
