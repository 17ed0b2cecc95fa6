"""Streamed batches of sets that do not fit into memory, through grain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import jax
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data.batches import check_batch_size, check_position
from jaxopt_lab.data.optional import need

Example = Mapping[str, Any]
Transform = Callable[[Any, np.random.Generator], Any]


class RandomAccess(Protocol):
    """Examples by number, such as the sources of ``open_tfds``."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> Any: ...


class _Rows:
    """View of some rows of every batch of an endless set."""

    def __init__(self, examples: Any, batch_size: int, rows: range) -> None:
        self._examples, self._batch_size, self._rows = examples, batch_size, rows

    def __len__(self) -> int:
        return len(self._examples) // self._batch_size * len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        batch, row = divmod(int(index), len(self._rows))
        return self._examples[batch * self._batch_size + self._rows[row]]


class GrainBatches:
    """Shuffled batches read through grain, in threads or worker processes.

    The examples are reshuffled in every epoch; batches are cut from the endless
    sequence of epochs, so a batch may have the end of one and the start of the next,
    and every example occurs once an epoch. A batch depends on nothing but the seed and
    its number, so the position is that number alone, and a run may be resumed with
    another number of workers.

    Args:
      source: examples by number: ``len(source)`` and ``source[i]``, a dict of arrays.
        It must pickle where there are workers.
      batch_size: examples in a batch of one seed, ``1 .. len(source)``.
      seed: one seed: leaves of a batch have shape ``(batch_size, ...)``. A sequence of
        S seeds: ``(S, batch_size, ...)``, row s being the batch of that seed alone.
      rows: read these rows of every batch only, as ``process_rows`` gives them, in
        the order in which the whole batch has them; ``None``: all.
      transform: ``transform(example, rng) -> example`` with numbers drawn from ``rng``
        only, to decode, crop and augment. After it all examples must have one shape.
      num_workers: processes that read for each seed; 0: threads of this one.
      num_threads: threads that read, in each process and for each seed, at least 1.

    Raises:
      InputError: grain is not installed, the source is empty, or an argument is out of
        range.

    Memory: up to ``2 * num_threads`` batches in flight for each seed.

    Example::

      sources = open_tfds("imagenet2012", "/data/tfds")
      batches = GrainBatches(sources.train, 256, seed=0, transform=resize)
    """

    def __init__(
        self,
        source: RandomAccess,
        batch_size: int,
        seed: int | Sequence[int],
        *,
        rows: range | None = None,
        transform: Transform | None = None,
        num_workers: int = 0,
        num_threads: int = 4,
    ) -> None:
        check_batch_size(batch_size, len(source))
        seeds = [seed] if isinstance(seed, int) else list(seed)
        if not seeds or min(seeds) < 0 or max(seeds) >= 2**32:
            raise InputError(
                f"seed={seed!r} is out of range; accepted: one or several integers in "
                "[0, 4294967295]"
            )
        for name, value, least in (
            ("num_workers", num_workers, 0),
            ("num_threads", num_threads, 1),
        ):
            if value < least:
                raise InputError(
                    f"{name}={value} is out of range; accepted: [{least}, inf)"
                )
        if rows is not None and (
            not rows or rows.step != 1 or not 0 <= rows.start < rows.stop <= batch_size
        ):
            raise InputError(
                f"rows={rows} are not rows of a batch of {batch_size}; accepted: "
                f"range(i, j) with 0 <= i < j <= {batch_size}"
            )
        grain = need("grain", "GrainBatches")
        self.rows = rows
        self._grain = grain
        self._stacked = not isinstance(seed, int)
        self._num_workers = num_workers
        # Grain's default prefetches up to 500 elements, which here are batches.
        self._reading = grain.ReadOptions(
            num_threads=num_threads, prefetch_buffer_size=2 * num_threads
        )
        self._sets = []
        for one in seeds:
            examples = grain.MapDataset.source(source).seed(one).shuffle().repeat()
            if transform is not None:
                examples = examples.random_map(transform)
            if rows is not None:
                # After the transform, whose rng depends on the index in the whole set.
                part: Any = _Rows(examples, batch_size, rows)
                examples = grain.MapDataset.source(part)
            size = batch_size if rows is None else len(rows)
            self._sets.append(examples.batch(size, drop_remainder=True))
        self._index = 0
        self._iterators: list[Any] | None = None

    def next(self) -> Any:
        """The next batch, as numpy arrays."""
        if self._iterators is None:
            self._iterators = [iter(self._from(x, self._index)) for x in self._sets]
        batches = [next(it) for it in self._iterators]
        self._index += 1
        if not self._stacked:
            return batches[0]
        return jax.tree.map(lambda *leaves: np.stack(leaves), *batches)

    def _from(self, batches: Any, index: int) -> Any:
        rest = batches[index:].to_iter_dataset(self._reading)
        if self._num_workers == 0:
            return rest
        from absl import flags

        # Grain reads absl flags when it starts workers; outside of absl.app they have
        # not been parsed.
        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()
        options = self._grain.multiprocessing.MultiprocessingOptions(
            num_workers=self._num_workers
        )
        return rest.mp_prefetch(options)

    def get_state(self) -> dict[str, int]:
        """The number of batches given so far, as ``{"index": ...}``."""
        return {"index": self._index}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go to the batch of that number, without reading those before it.

        Args:
          state: ``{"index": i}``, as ``get_state`` gives it.

        Raises:
          InputError: it is something else.
        """
        index = check_position(state)
        self.close()
        self._index = index

    def close(self) -> None:
        """End the threads and processes that read ahead; ``next`` starts new ones."""
        for iterator in self._iterators or ():
            iterator.close()
        self._iterators = None


def evaluation_stream(
    source: RandomAccess,
    batch_size: int,
    *,
    transform: Callable[[Any], Any] | None = None,
) -> Callable[[], Iterator[dict[str, np.ndarray]]]:
    """All examples once, in order, read again for each evaluation.

    Args:
      source: examples by number, dicts of arrays.
      batch_size: examples in a batch; may be larger than the set.
      transform: ``transform(example) -> example``, without random numbers.

    Returns:
      A function for ``make_evaluator``: it gives the batches, all of one shape, with
      ``"weight"``, float32 of shape ``(batch_size,)``: 0 for the copies of the first
      example of the last batch that fill it, 1 elsewhere.

    Raises:
      InputError: the source is empty or ``batch_size`` less than 1.

    >>> batches = evaluation_stream([{"x": 5}, {"x": 6}, {"x": 7}], 2)
    >>> [(b["x"].tolist(), b["weight"].tolist()) for b in batches()]
    [([5, 6], [1.0, 1.0]), ([7, 7], [1.0, 0.0])]
    """
    count = len(source)
    check_batch_size(1, count)
    if batch_size < 1:
        raise InputError(f"batch_size={batch_size} is out of range; accepted: [1, inf)")

    def batches() -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, count, batch_size):
            examples = [source[i] for i in range(start, min(start + batch_size, count))]
            if transform is not None:
                examples = [transform(example) for example in examples]
            weight = (np.arange(batch_size) < len(examples)).astype(np.float32)
            examples += [examples[0]] * (batch_size - len(examples))
            stacked = {
                name: np.stack([example[name] for example in examples])
                for name in examples[0]
            }
            yield {**stacked, "weight": weight}

    return batches
