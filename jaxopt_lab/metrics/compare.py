"""All metrics of two sets in one table."""
# Its examples wait for pytest --full.

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np
from jax.typing import ArrayLike

from jaxopt_lab.core import errors
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.metrics.fuzzy_topology import fuzzy_topology_impact
from jaxopt_lab.metrics.knn_balls import knn_coverage
from jaxopt_lab.metrics.lsh_coverage import lsh_precision_recall
from jaxopt_lab.metrics.mark_recapture import mark_evaluate
from jaxopt_lab.metrics.sets import check_sets

_ENTRIES: tuple[tuple[Callable[..., Any], dict[str, Any]], ...] = (
    (knn_coverage, {"k": 5}),
    (mark_evaluate, {"k": 1}),
    (fuzzy_topology_impact, {"k": 5}),
    (lsh_precision_recall, {"family": "sign", "k": 0}),
    (lsh_precision_recall, {"family": "sign", "k": 3}),
    (lsh_precision_recall, {"family": "pstable", "k": 0}),
    (lsh_precision_recall, {"family": "pstable", "k": 3}),
)


class SetScore(NamedTuple):
    """One line of the table.

    Attributes:
      metric: name of the metric.
      setting: its options, in words.
      measure: name of the measure.
      value: the number.
      error: its error, as the metric says it.
    """

    metric: str
    setting: str
    measure: str
    value: float
    error: float


class SetTable(NamedTuple):
    """All measures of two sets; as a string, a table.

    Attributes:
      rows: its lines.
    """

    rows: tuple[SetScore, ...]

    def __str__(self) -> str:
        lines = ["| metric | setting | measure | value | error |"]
        lines.append("|--|--|--|--|--|")
        lines += [
            f"| {metric} | {setting} | {measure} | {value:.4f} | {error:.4f} |"
            for metric, setting, measure, value, error in self.rows
        ]
        return "\n".join(lines)


def compare_sets(
    real: ArrayLike,
    generated: ArrayLike,
    *,
    embed: Callable[[Any], ArrayLike] | None = None,
    key: jax.Array,
    metrics: Sequence[str] | None = None,
    k: Annotated[int | None, COUNT] = None,
    block: Annotated[int, COUNT] = 1024,
) -> SetTable:
    """All metrics of two sets: k-NN balls, mark and recapture, fuzzy topology, hashing.

    Args:
      real: ``(n, features)``, real floating, or examples that ``embed`` takes.
      generated: ``(m, features)``, or examples.
      embed: from some examples to their points ``(examples, features)``, such as a
        jitted network in evaluation mode; it is given ``block`` at a time. ``None``:
        the examples are points.
      key: typed PRNG key, from which the hash tables are drawn.
      metrics: names of the metrics; ``None``: all of ``knn_coverage``,
        ``mark_evaluate``, ``fuzzy_topology_impact`` and ``lsh_precision_recall``.
      k: neighbours, of all metrics that have some; ``None``: each has its own default.
      block: examples at a time.

    Returns:
      The table; ``print`` shows it in Markdown. Values are Python numbers.

    Raises:
      InputError: a set is empty, no matrix or of equal points, ``k`` is out of range,
        or a metric is unknown.

    Cost and memory: those of the metrics one after the other.

    >>> x = np.random.default_rng(0).normal(size=(12, 2))
    >>> only = {"metrics": ("knn_coverage",), "k": 2}
    >>> table = compare_sets(x, x + 9, key=jax.random.key(0), **only)
    >>> table.rows[0].metric, table.rows[0].measure, table.rows[0].value
    ('knn_coverage', 'precision', 0.0)
    >>> str(table).splitlines()[0]
    '| metric | setting | measure | value | error |'
    """
    check_arguments(compare_sets, {"k": k, "block": block})
    names = dict.fromkeys(metric.__name__ for metric, _ in _ENTRIES)
    for name in metrics or ():
        if name not in names:
            raise errors.unknown("metrics", name, names)
    if embed is not None:
        real, generated = (_embedded(embed, s, block) for s in (real, generated))
    # Outside of jit: there the values of the sets can be looked at.
    x, y, _ = check_sets(real, generated, 1)
    rows: list[SetScore] = []
    for metric, setting in _ENTRIES:
        if metrics is not None and metric.__name__ not in metrics:
            continue
        given = dict(setting)
        if k is not None and setting["k"] > 0:
            given["k"] = k
        found = _jitted(metric, tuple(given.items()), block)(x, y, key=key)
        words = ", ".join(f"{name}={value}" for name, value in given.items())
        rows += [
            SetScore(metric.__name__, words, measure, float(e.value), float(e.error))
            for measure, e in jax.device_get(found)._asdict().items()
        ]
    return SetTable(tuple(rows))


@functools.cache
def _jitted(metric: Any, options: tuple[tuple[str, Any], ...], block: int) -> Any:
    return jax.jit(functools.partial(metric, block=block, **dict(options)))


def _embedded(embed: Callable[[Any], ArrayLike], examples: Any, block: int) -> Any:
    count = len(examples)
    parts = [
        np.asarray(embed(examples[start : start + block]))
        for start in range(0, count, block)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, 1))
