"""Metrics between two records: kept on the device, averaged on the host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np


class NonFinite(NamedTuple):
    """The first step whose loss is not finite, and that loss."""

    step: int
    value: float


class Window:
    """The metrics of the steps since the last record.

    They stay on the device until they are fetched, so that the loop need not wait for
    each step. What was not yet recorded goes into the checkpoint: a resumed run then
    writes the same means as an uninterrupted one.

    Args:
      start: steps taken before the run, or the steps at which it resumes.
      pending: what ``pending`` gave when the checkpoint was saved.
      skip: non-finite losses belong to skipped steps and do not count.
    """

    def __init__(
        self, start: int, pending: Mapping[str, list] | None = None, skip: bool = False
    ):
        self._skip = skip
        self._host: dict[str, list[np.ndarray]] = {
            name: [np.asarray(v, np.float64) for v in values]
            for name, values in (pending or {}).items()
        }
        self._device: list[Mapping[str, jax.Array]] = []
        self._first = start - self._length() + 1

    def add(self, metrics: Mapping[str, jax.Array]) -> None:
        """Add the metrics of one more step; does not wait for them."""
        self._device.append(metrics)

    def fetch(self) -> NonFinite | None:
        """Bring everything to the host; the first non-finite loss, if any."""
        for metrics in jax.device_get(self._device):
            for name, value in metrics.items():
                wide = np.asarray(value, np.float64)
                self._host.setdefault(name, []).append(wide)
        self._device = []
        if self._skip:
            return None
        for i, value in enumerate(self._host.get("loss", [])):
            bad = np.ravel(value)[~np.isfinite(np.ravel(value))]
            if bad.size:
                return NonFinite(self._first + i, float(bad[0]))
        return None

    def means(self) -> dict[str, np.ndarray]:
        """Mean of every metric over the steps; of the finite ones where skipping."""
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
        """The values not yet recorded, for the checkpoint (JSON-able)."""
        self.fetch()
        return {name: [v.tolist() for v in vs] for name, vs in self._host.items()}

    def clear(self, done: int) -> None:
        """Start anew after a record at step ``done``."""
        self._host, self._device, self._first = {}, [], done + 1

    def _length(self) -> int:
        return max((len(v) for v in self._host.values()), default=0)
