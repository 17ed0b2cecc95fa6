"""Batches from several sources in fixed shares, seeded and resumable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, COUNT_OR_ZERO, check_arguments
from jaxopt_lab.core.typing import Batch
from jaxopt_lab.data.batches import Arrays, check_lengths


class MixtureRows(NamedTuple):
    """Examples of a batch.

    Attributes:
      source: ``(B,)``, the source of each.
      row: ``(B,)``, its place there.
    """

    source: np.ndarray
    row: np.ndarray


class MixtureSampler:
    r"""Sources and rows of batches, in shares that hold at every moment.

    After t draws a source i of share :math:`\lambda_i` has been drawn
    :math:`t \lambda_i` times, up to :math:`1 - 1 / (2 S - 2) < 1` of S sources
    (Tijdeman's schedule of a chairman). The k-th draw of a source is the next row of a
    random order of its rows, a new one each epoch of the source.

    Args:
      sizes: rows of each source, at least 1 where its share is above 0.
      shares: of each source, at least 0; they are divided by their sum.
      batch_size: draws of a batch.
      seed: of the orders. The schedule of the sources does not depend on it.

    Raises:
      InputError: numbers that are out of range or do not belong together.

    Memory: one permutation a source. The order is that of NumPy's default generator.

    Source: Tijdeman, "The chairman assignment problem", 1980; shares of sources as in
    Shen et al., "SlimPajama-DC", 2023 (https://arxiv.org/abs/2309.10818).

    >>> sampler = MixtureSampler([4, 2], [0.75, 0.25], 8)
    >>> np.bincount(sampler.next().source).tolist(), sampler.get_state()["counts"]
    ([6, 2], [6, 2])
    """

    def __init__(
        self,
        sizes: Sequence[int],
        shares: Sequence[float],
        batch_size: Annotated[int, COUNT],
        *,
        seed: Annotated[int, COUNT_OR_ZERO] = 0,
    ) -> None:
        check_arguments(
            MixtureSampler.__init__, {"batch_size": batch_size, "seed": seed}
        )
        given = np.asarray(shares, np.float64)
        if given.ndim != 1 or len(given) != len(sizes) or not len(sizes):
            raise InputError(
                f"{len(sizes)} sources and {given.size} shares; accepted: one share "
                "for each source"
            )
        if not np.all(np.isfinite(given)) or given.min() < 0 or given.sum() == 0:
            raise InputError(
                f"shares must be numbers of at least 0, one above it; got {given}"
            )
        empty = [i for i, n in enumerate(sizes) if n < 1 and given[i] > 0]
        if empty:
            raise InputError(f"source {empty[0]} has no rows and a share above 0")
        self.sizes = tuple(int(n) for n in sizes)
        self.shares = given / given.sum()
        self.batch_size = batch_size
        self.seed = seed
        self._counts = np.zeros(len(given), np.int64)
        self._orders: dict[int, tuple[int, np.ndarray]] = {}

    def next(self) -> MixtureRows:
        """The rows of the next batch."""
        source = np.empty(self.batch_size, np.int64)
        row = np.empty(self.batch_size, np.int64)
        for place in range(self.batch_size):
            chosen = self._next_source()
            source[place], row[place] = chosen, self._next_row(chosen)
        return MixtureRows(source, row)

    def get_state(self) -> dict[str, Any]:
        """The draws of each source so far, as ``{"counts": [...]}``."""
        return {"counts": self._counts.tolist()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on behind so many draws.

        Args:
          state: of ``get_state``, of a sampler of the same arguments.

        Raises:
          InputError: it is something else.
        """
        counts = state.get("counts") if isinstance(state, Mapping) else None
        found = np.asarray(counts if isinstance(counts, list) else [])
        if found.shape != self._counts.shape or found.dtype.kind != "i":
            raise InputError(
                f"the position of {len(self._counts)} sources is {{'counts': [...]}} "
                f"with as many whole numbers; got {state!r}"
            )
        if np.any(np.abs(found - self.shares * found.sum()) >= 1) or found.min() < 0:
            raise InputError(f"counts {counts} are not those of these shares")
        self._counts = found.astype(np.int64)

    def _next_source(self) -> int:
        count = len(self.shares)
        if count == 1:
            return 0
        slack = 1 / (2 * count - 2)
        behind = self.shares * (self._counts.sum() + 1) - self._counts
        # Of those that may be drawn, the one whose bound is reached first.
        ready = (behind >= slack - 1e-9) & (self.shares > 0)
        left = np.where(ready, 1 - slack - behind, np.inf)
        return int(np.argmin(left / np.where(self.shares > 0, self.shares, 1)))

    def _next_row(self, source: int) -> int:
        epoch, place = divmod(int(self._counts[source]), self.sizes[source])
        known = self._orders.get(source)
        if known is None or known[0] != epoch:
            draw = np.random.default_rng([self.seed, source, epoch])
            known = epoch, draw.permutation(self.sizes[source])
            self._orders[source] = known
        self._counts[source] += 1
        return int(known[1][place])


class MixtureBatches:
    """Batches of arrays from several sources, in fixed shares.

    Args:
      sources: arrays by name for each source, of the same names and shapes but for
        their lengths.
      shares: see ``MixtureSampler``.
      batch_size: examples of a batch.
      seed: see ``MixtureSampler``.
      entry: name under which a batch says the source of each example, int32; ``None``:
        it does not.

    Raises:
      InputError: sources of different names or shapes, or as ``MixtureSampler``.

    Memory: the arrays, on the host.

    >>> one, two = {"x": np.zeros(3)}, {"x": np.ones(5)}
    >>> batches = MixtureBatches([one, two], [0.5, 0.5], 4)
    >>> sorted(batches.next()["x"].tolist())
    [0.0, 0.0, 1.0, 1.0]
    """

    def __init__(
        self,
        sources: Sequence[Arrays],
        shares: Sequence[float],
        batch_size: int,
        *,
        seed: int = 0,
        entry: str | None = None,
    ) -> None:
        shapes = [
            {name: (np.shape(x)[1:], x.dtype) for name, x in s.items()} for s in sources
        ]
        if any(shape != shapes[0] for shape in shapes):
            raise InputError(f"sources must have equal names and shapes; got {shapes}")
        self._sources = [{n: np.asarray(x) for n, x in s.items()} for s in sources]
        sizes = [check_lengths(s) for s in self._sources]
        self._sampler = MixtureSampler(sizes, shares, batch_size, seed=seed)
        self._entry = entry

    def next(self) -> Batch:
        """The next batch."""
        source, row = self._sampler.next()
        batch = {
            name: np.stack(
                [
                    self._sources[s][name][r]
                    for s, r in zip(source.tolist(), row.tolist(), strict=True)
                ]
            )
            for name in self._sources[0]
        }
        return batch | ({self._entry: source.astype(np.int32)} if self._entry else {})

    def get_state(self) -> dict[str, Any]:
        """See ``MixtureSampler``."""
        return self._sampler.get_state()

    def set_state(self, state: Mapping[str, Any]) -> None:
        """See ``MixtureSampler``.

        Args:
          state: of ``get_state``.
        """
        self._sampler.set_state(state)
