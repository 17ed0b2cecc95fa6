"""A row of a controller, and runs of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from battery.parts.host import HostSubject
from jaxopt_lab.catalog.part import loaded


class ControllerSubject(HostSubject):
    """A controller on the statistics of a few steps.

    The example says ``stats``, a list of statistics by name, options, and ``low`` and
    ``high``, bounds of the numbers of a decision.
    """

    kind = "controller"
    first = "norm_test"

    @property
    def stats(self) -> list[dict[str, float]]:
        """The statistics of the steps."""
        return self.inputs["stats"]

    def run(
        self, control: Any, stats: Sequence[Mapping[str, float]], *, text: bool = False
    ) -> tuple[list[Any], list[Any]]:
        """Decisions and states of a run; ``text``: the state goes through JSON."""
        state, decisions, states = control.init(), [], []
        for one in stats:
            if text:
                state = json.loads(json.dumps(state))
            decision, state = control.decide(dict(one), state)
            decisions.append(decision)
            states.append(state)
        return decisions, states

    def neutral(self) -> tuple[Any, Any]:
        """The controller at its neutral setting, and the simpler one."""
        setting = self.row.reduces_to
        other = loaded(setting.equals)
        simpler = other(**self.shared(other), **setting.given)
        return self.make(**setting.options), simpler
