"""The data of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

from jaxopt_lab import data
from jaxopt_lab.core.typing import Batch


class TaskData(NamedTuple):
    """The data of a run, as shapes and as sources of batches.

    Attributes:
      kind: ``"image"`` or ``"text"``.
      num_classes: number of classes, or of tokens.
      input_shape: shape of one example.
      train: makes the endless, shuffled training batches, at their beginning; with a
        leading axis of seeds where the run has several. Given the rows of a batch
        that this process holds, a streamed set reads no others.
      test: test batches of one shape, padded; or a function that reads them again.
      fixed: ``fixed(n)`` gives the first n training examples (of a streamed set: test
        examples) as batches of one shape, padded, always the same.
      val: the part of the training set that ``run.val`` keeps aside, as ``test``.
      characters: of a text, by token; empty: not known.
      of_classes: as ``train``, of the examples of some classes alone; ``None`` where
        the set is not in memory or has no classes.
    """

    kind: Literal["image", "text"]
    num_classes: int
    input_shape: tuple[int, ...]
    train: Callable[[range | None], data.BatchSource]
    test: Sequence[Batch] | Callable[[], Iterable[Batch]]
    fixed: Callable[[int], Sequence[Batch]]
    val: Sequence[Batch] | None = None
    characters: str = ""
    of_classes: Callable[[range], data.BatchSource] | None = None
