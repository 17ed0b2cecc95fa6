"""The trained run that a command takes: its folder, checkpoint and seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import Interval

if TYPE_CHECKING:
    from jaxopt_lab.lab.trained_run import Run


@dataclass(frozen=True)
class RunChoice:
    """A trained run."""

    run: str = ""
    """folder of a run"""
    step: str = "latest"
    """step of the checkpoint: latest, best, or a number"""
    seed_index: int = 0
    """one of the run's seeds, from 0"""

    def load(self, wanted: str = "", **options: Any) -> Run:
        """Read the run.

        Args:
          wanted: the command, where it takes classifiers alone.
          **options: of ``lab.load``.

        Returns:
          The run: one of its seeds, or all where ``seed_index`` is below 0.

        Raises:
          InputError: there is no such run, checkpoint or seed.
        """
        step = step_of(self.step)
        from jaxopt_lab.lab.python_runs import load

        found = load(self.run, step, **options)
        if wanted:
            found.need_classifier(wanted)
        return found if self.seed_index < 0 else found.seed(self.seed_index)


ACCEPTED = {"seed_index": Interval(0)}
"""Intervals of its numbers."""

NEEDED = {"run": "the folder of a run"}
"""Its options that must be given."""


def step_of(text: str) -> Any:
    """``step=`` of a command as ``lab.load`` takes it.

    >>> step_of("best"), step_of("200")
    ('best', 200)
    """
    if text in ("latest", "best"):
        return text
    if text.isdecimal():
        return int(text)
    raise InputError(f"step={text}; accepted: latest, best, or a number")
