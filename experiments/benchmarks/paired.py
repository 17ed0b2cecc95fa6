"""Ratios of times measured in pairs, so that a drifting machine cancels out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Ratio(NamedTuple):
    """Time of one program over that of another, over all pairs.

    Attributes:
      median: median of the ratios.
      low: lower quartile.
      high: upper quartile.
      seconds: median time of the first program and of the second.
      pairs: how many pairs.
    """

    median: float
    low: float
    high: float
    seconds: tuple[float, float]
    pairs: int

    def __str__(self) -> str:
        return f"{self.median:.3f} (quartiles {self.low:.3f} to {self.high:.3f})"


def settle_allocator() -> None:
    """Let the allocator keep freed buffers of the programs to come.

    glibc maps a large buffer afresh, with a fault for each of its pages, until one as
    large has been freed: the same program is up to three times as slow before, by what
    ran in the process earlier.
    """
    held = np.ones(31 << 20, np.uint8)
    del held


def ratio(
    a: Callable[[], Any],
    b: Callable[[], Any],
    *,
    pairs: int = 10,
    repeat: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> Ratio:
    """Time ``a`` against ``b`` in the order A B B A, after one warm-up of each.

    Args:
      a: runs the first program to its end (blocks until the result is there).
      b: runs the second.
      pairs: number of pairs, made even.
      repeat: runs timed together as one, for programs of less than a millisecond.
      clock: ``time.process_time`` for processor time, all threads added up, which
        waiting for a busy machine does not lengthen.

    Returns:
      The ratio of their times by the clock.
    """

    def timed(run: Callable[[], Any]) -> float:
        began = clock()
        for _ in range(repeat):
            run()
        return (clock() - began) / repeat

    a()
    b()
    return ratio_of(lambda: timed(a), lambda: timed(b), pairs)


def ratio_of(a: Callable[[], float], b: Callable[[], float], pairs: int) -> Ratio:
    """The ratio of two times, measured in the order A B B A.

    Args:
      a: the seconds of one run of the first program.
      b: those of the second.
      pairs: number of pairs, made even.

    Returns:
      The ratio.
    """
    times = []
    for _ in range((pairs + 1) // 2):
        first, second = a(), b()
        times.append((first, second))
        second, first = b(), a()
        times.append((first, second))
    array = np.array(times)
    low, median, high = np.quantile(array[:, 0] / array[:, 1], [0.25, 0.5, 0.75])
    one, other = np.median(array, axis=0)
    return Ratio(
        float(median), float(low), float(high), (float(one), float(other)), len(times)
    )


def report(name: str, figures: dict[str, Any]) -> None:
    """Print figures as a table, and as one line of JSON for programs.

    Args:
      name: what was measured.
      figures: values by label; ``Ratio``s, numbers or texts.
    """
    import jax
    from rich.console import Console
    from rich.table import Table

    table = Table(title=name, title_justify="left", show_header=False)
    for label, value in figures.items():
        table.add_row(label, f"{value:.4g}" if isinstance(value, float) else str(value))
    Console().print(table)
    plain = {
        label: value._asdict() if isinstance(value, Ratio) else value
        for label, value in figures.items()
    }
    about = {
        "benchmark": name,
        "jax": jax.__version__,
        "backend": jax.default_backend(),
    }
    print(json.dumps({**about, **plain}))
