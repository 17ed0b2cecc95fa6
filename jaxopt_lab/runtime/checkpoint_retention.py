"""Retention of checkpoints: the newest, and the best by a metric."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.runtime.checkpoint_files import UnreadableError, read_about


class Retention:
    """Preservation policy for orbax: keep the last few checkpoints and the best few.

    Orbax's own policies can be combined to the same end, but order by NaN where a
    metric is NaN, and fail on a folder with one damaged metrics file.

    Args:
      folder: folder of the checkpoints.
      keep: number of newest ones that stay.
      keep_best: number of best ones that stay in addition.
      metric: name of the metric; ``None``: there are no best ones.
      mode: ``"max"`` or ``"min"``.

    Raises:
      InputError: an option is out of range.
    """

    def __init__(
        self,
        folder: Path,
        keep: int,
        keep_best: int,
        metric: str | None,
        mode: Literal["max", "min"],
    ):
        if keep < 1 or keep_best < 0:
            raise InputError(
                "keep must be at least 1 and keep_best at least 0; got "
                f"keep={keep}, keep_best={keep_best}"
            )
        if mode not in ("max", "min"):
            raise InputError(f"best_mode must be 'max' or 'min'; got {mode!r}")
        self._folder, self._keep, self._keep_best = folder, keep, keep_best
        self._metric, self._sign = metric, 1 if mode == "max" else -1
        self._scores: dict[int, float | None] = {}
        self._newest: int | None = None

    @property
    def ranks(self) -> bool:
        """Whether there is a metric by which checkpoints are compared."""
        return self._metric is not None

    def add(self, step: int, metrics: dict[str, float]) -> None:
        """Register a checkpoint that is being saved; it stays in any case.

        Args:
          step: its step.
          metrics: its metrics.
        """
        self._newest = step
        value = metrics.get(self._metric or "", math.nan)
        self._scores[step] = None if math.isnan(value) else self._sign * value

    def forget(self, steps: Iterable[int]) -> None:
        """Forget checkpoints that were removed.

        Args:
          steps: their steps.
        """
        for step in steps:
            self._scores.pop(step, None)

    def ranked(self, steps: Iterable[int]) -> list[int]:
        """Checkpoints by metric.

        Args:
          steps: steps to choose from.

        Returns:
          Those that have the metric, the best first, of equal ones the earliest.
        """
        if self._metric is None:
            return []
        scored = [(step, self._score(step)) for step in steps]
        known = [(-score, step) for step, score in scored if score is not None]
        return [step for _, step in sorted(known)]

    def score(self, metrics: dict[str, float]) -> float | None:
        """The number that ranks a checkpoint, larger for a better one.

        Args:
          metrics: its metrics.

        Returns:
          It; ``None`` where no best ones are kept, or the metric is missing or NaN.
        """
        value = metrics.get(self._metric or "", math.nan)
        if self._keep_best == 0 or math.isnan(value):
            return None
        return self._sign * value

    def should_preserve(
        self, checkpoints: Sequence[Any], *, context: Any
    ) -> Sequence[bool]:
        """Select the checkpoints that stay; called by orbax during a save.

        Args:
          checkpoints: orbax's records, of which only ``step`` is read.
          context: orbax's; not used.

        Returns:
          One boolean for each.
        """
        del context
        steps = sorted(info.step for info in checkpoints)
        best = self.ranked(steps)[: self._keep_best]
        kept = {*steps[-self._keep :], *best, self._newest}
        return [info.step in kept for info in checkpoints]

    def _score(self, step: int) -> float | None:
        if step not in self._scores:
            try:
                metrics = read_about(self._folder / str(step)).metrics
            except UnreadableError:
                return None
            newest = self._newest
            self.add(step, metrics)
            self._newest = newest
        return self._scores[step]
