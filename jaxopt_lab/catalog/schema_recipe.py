"""Rows of training steps of several networks, or of several losses of one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from jaxopt_lab.catalog.part import Part


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe(Part):
    """A row of a training step, ``make_x_step(...) -> step(state, batch)``.

    Attributes:
      roles: keys of ``params`` and ``opt_state``.
      gradients: gradient evaluations of each role per step, over the whole batch, where
        its transformation takes one: numbers, or expressions in the options.
      inputs_gradients: further ones per step, of inputs, which no transformation
        multiplies; an expression in the options.
      frozen: roles that do not change.
      parts: names of the rows that it is made of.
      states: ``"module:function"``, of the trained role's model state and the first
        batch: the model states by name; empty: one for each role.
      carries: whether the step trains on the batch before the one that it is given.
      couples: its objective couples the examples of a batch, so that it refuses
        micro-batches.
      outputs: outputs of its networks beside the logits that a plain model gives, in
        words; empty: none.
      needs_data: what its batches have beside inputs and labels, in words; empty:
        nothing.
      networks: initial networks that its state is made of.
      networks_option: option of a run, not of the step, that is their number; empty:
        there are always as many. They are then mapped over a leading axis.
      start: ``"module:function"``, of the fresh plain states of these networks: the
        state by role; empty: the one trained role's.
      tested: ``"module:function"``, of the network: the model that is tested; empty:
        the network itself.
      tested_roles: roles whose parameters and model states it takes, by role where they
        are several; empty: the trained one.
    """

    kind: ClassVar[str] = "recipe"

    roles: tuple[str, ...]
    gradients: Mapping[str, int | str]
    inputs_gradients: str = "0"
    frozen: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    states: str = ""
    carries: bool = False
    couples: bool = False
    outputs: str = ""
    needs_data: str = ""
    networks: int = 1
    networks_option: str = ""
    start: str = ""
    tested: str = ""
    tested_roles: tuple[str, ...] = ()

    def gradients_per_step(self, per_update: float = 1.0, **options: Any) -> float:
        """Gradient evaluations of the whole batch per step, of all networks together.

        Args:
          per_update: those of the transformation for one update.
          **options: values of the options that the number depends on, and of
            ``networks_option``.

        Returns:
          The number.

        >>> from jaxopt_lab import catalog
        >>> catalog.get("adversarial").gradients_per_step(2.0, weight=0.5)
        5.0
        """
        own = {name: x for name, x in options.items() if name in self.options}
        known = self.checked(own)
        # The formulas are literals of the catalog, never input.
        value = lambda formula: float(eval(str(formula), {"__builtins__": {}}, known))
        each = sum(map(value, self.gradients.values()))
        count = options.get(self.networks_option, self.networks)
        times = count if self.networks_option else 1
        return times * each * per_update + value(self.inputs_gradients)
