"""A compiled decoder that tells of its tokens while it runs, and can be stopped."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import io_callback

from jaxopt_lab.inference import LayeredStep

T = TypeVar("T")


class Stream:
    """The tokens of one row, as the calls of the model tell them.

    A model step that is ``watched`` tells the host of every call: tokens up to its
    first position are final. After ``stop`` the logits of the next call are NaN, which
    ends the row in every decoder.
    """

    def __init__(self) -> None:
        self._told: queue.SimpleQueue[list[int] | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._row: dict[int, int] = {}
        self._next = 0

    def watched(self, step: Any, mask: int | None = None) -> Any:
        """A model step of one row that tells of its calls.

        Args:
          step: a ``ModelStep``, a ``ChunkStep`` or a ``LayeredStep``; with ``mask`` a
            ``MaskedStep``.
          mask: token that stands for a mask: tokens up to the first one are final.

        Returns:
          The step; its logits are those of ``step``, or NaN once the stream is stopped.
        """
        flag = jax.ShapeDtypeStruct((), bool)
        called = self._called if mask is None else partial(self._filled, mask)
        if isinstance(step, LayeredStep):

            def embed(params: Any, tokens: Any, position: Any) -> Any:
                stopped = io_callback(self._called, flag, tokens, position)
                return jnp.where(stopped, jnp.nan, step.embed(params, tokens, position))

            return step._replace(embed=embed)

        def model_step(params: Any, cache: Any, tokens: Any, position: Any) -> Any:
            stopped = io_callback(called, flag, tokens, position)
            logits, cache = step(params, cache, tokens, position)
            return jnp.where(stopped, jnp.nan, logits), cache

        return model_step

    def _filled(self, mask: int, tokens: Any, columns: Any) -> np.ndarray:
        del columns
        row = np.ravel(tokens)
        masks = np.flatnonzero(row == mask)
        last = int(masks[0]) if masks.size else len(row)
        if last > self._next:
            self._told.put(row[self._next : last].tolist())
            self._next = last
        return np.asarray(self._stop.is_set())

    def _called(self, tokens: Any, position: Any) -> np.ndarray:
        first = int(np.ravel(position)[0])
        self._row |= {first + i: int(t) for i, t in enumerate(np.ravel(tokens))}
        if first >= self._next:
            new = [self._row[i] for i in range(self._next, first + 1)]
            self._next = first + 1
            self._told.put(new)
        return np.asarray(self._stop.is_set())

    def of(self, run: Callable[[], T]) -> Generator[list[int] | T, None, None]:
        """Run a program in a thread of its own; its tokens as they become final.

        Args:
          run: the compiled decoder.

        Yields:
          Lists of tokens from the row's first on, and at the end what ``run`` returns.
          Where the caller stops, by an error or Ctrl-C, so does the program.
        """
        self._stop.clear()
        self._row, self._next = {}, 0
        result: list[Any] = []

        def work() -> None:
            try:
                result.append(jax.block_until_ready(run()))
            except BaseException as error:
                result.append(error)
            finally:
                self._told.put(None)

        # A thread of its own: Ctrl-C does not interrupt a program that XLA runs.
        worker = threading.Thread(target=work)
        worker.start()
        try:
            while (new := self._told.get()) is not None:
                yield new
        finally:
            self._stop.set()
            worker.join()
            while not self._told.empty():
                self._told.get()
        if isinstance(result[0], BaseException):
            raise result[0]
        yield result[0]
