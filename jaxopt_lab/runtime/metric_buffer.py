"""Metrics between two records: kept on the device, averaged on the host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

# Steps in flight: enough to hide the host's work, few enough that their batches fit
# in memory and a stop request takes effect soon.
_IN_FLIGHT = 8


class NonFinite(NamedTuple):
    """The first step whose loss is not finite.

    Attributes:
      step: the step.
      value: its loss.
      seed: index of the seed; ``None`` where there is one only.
    """

    step: int
    value: float
    seed: int | None


class MetricBuffer:
    """The metrics of the steps since the last record.

    They stay on the device until they are fetched, so that the loop need not wait for
    each step. Values not yet recorded go into the checkpoint: a resumed run then
    writes the same means as an uninterrupted one.

    Args:
      start: steps taken before the run, or the steps at which it resumes.
      pending: result of ``pending`` when the checkpoint was saved.
      skip: non-finite losses belong to skipped steps and do not count.

    Attributes:
      skipped: number of skipped steps since the beginning of the run, as JSON holds
        it; of each seed, where there are several.
    """

    def __init__(
        self, start: int, pending: Mapping[str, list] | None = None, skip: bool = False
    ):
        self._skip = skip
        self.skipped: int | list[int] = 0
        self._host: dict[str, list[np.ndarray]] = {
            name: [np.asarray(v, np.float64) for v in values]
            for name, values in (pending or {}).items()
        }
        self._device: list[Mapping[str, jax.Array]] = []
        self._flying = 0
        self._first = start - self._length() + 1

    def add(self, metrics: Mapping[str, jax.Array]) -> None:
        """Add the metrics of one more step; waits for those of a few steps before.

        Args:
          metrics: outputs of the step, on the device.
        """
        self._device.append(metrics)
        self._flying += 1
        if self._flying > _IN_FLIGHT:
            # For half of them at once: every wait puts this thread to sleep.
            self._flying = _IN_FLIGHT // 2
            for value in self._device[-1 - self._flying].values():
                value.block_until_ready()
                break  # all outputs of a step become ready at once

    def fetch(self) -> NonFinite | None:
        """Bring everything to the host.

        Returns:
          The first non-finite loss since the last record, if there is one.
        """
        there = self._device
        if jax.default_backend() != "cpu":
            there = jax.device_get(there)  # on a CPU eight times slower than asarray
        for metrics in there:
            for name, value in metrics.items():
                wide = np.asarray(value, np.float64)
                self._host.setdefault(name, []).append(wide)
                if name == "skipped":
                    self.skipped = (
                        np.asarray(self.skipped) + wide.astype(int)
                    ).tolist()
        self._device, self._flying = [], 0
        if self._skip:
            return None
        for i, value in enumerate(self._host.get("loss", [])):
            bad = np.flatnonzero(~np.isfinite(value))
            if bad.size:
                seed = int(bad[0]) if value.ndim else None
                return NonFinite(self._first + i, float(np.ravel(value)[bad[0]]), seed)
        return None

    def means(self) -> dict[str, np.ndarray]:
        """Mean of each metric over the steps; with ``skip``, over finite values only.

        Returns:
          ``{name: mean}``, float64, with an axis of seeds where the metrics have one.
        """
        self.fetch()
        out = {}
        for name, values in self._host.items():
            stacked = np.stack(values)
            if self._skip and name != "skipped":
                finite = np.isfinite(stacked)
                number = np.maximum(finite.sum(axis=0), 1)
                mean = np.where(finite, stacked, 0.0).sum(axis=0) / number
                out[name] = np.where(finite.any(axis=0), mean, np.nan)
            else:
                out[name] = stacked.mean(axis=0)
        return out

    def pending(self) -> dict[str, list[Any]]:
        """The values not yet recorded, for the checkpoint.

        Returns:
          ``{name: [value of each step]}``, which JSON keeps to the last bit.
        """
        self.fetch()
        return {name: [v.tolist() for v in vs] for name, vs in self._host.items()}

    def clear(self, done: int) -> None:
        """Empty the buffer after a record.

        Args:
          done: number of steps taken.
        """
        self._host, self._device, self._first = {}, [], done + 1

    def _length(self) -> int:
        return max((len(v) for v in self._host.values()), default=0)
