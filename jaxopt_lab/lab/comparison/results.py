"""The results of a comparison: ranks, intervals, and what is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxopt_lab.lab.comparison.measures import plain
from jaxopt_lab.lab.comparison.trainings import Trained
from jaxopt_lab.lab.paired_tests import all_pairs
from jaxopt_lab.lab.statistics import (
    FEWEST_EXAMPLES,
    bootstrap_interval,
    mean_interval,
)


def results(about: Mapping[str, Any], runs: Sequence[Trained]) -> dict[str, Any]:
    """The results as ``results.json`` holds them.

    Args:
      about: what was compared: ``task``, ``model``, ``seeds`` (a list), and what else
        the page says; no times and no paths.
      runs: the complete runs.

    Returns:
      ``about``; ``score`` and ``higher_is_better``; ``methods``, a list: ``label``,
      ``rank`` (by the mean), ``mean_rank`` (a mean over the seeds of the rank among
      the methods), ``mean``, ``interval`` (Student's, over the seeds),
      ``examples_interval`` (bootstrap over at least 100 test examples), ``settings``
      and the record of the run; ``pairs``, a list: ``first``, ``second``,
      ``difference`` (of the first minus the second, paired over the seeds),
      ``interval``, ``p``, ``smallest`` (the smallest difference that could have been
      shown), ``better`` (the label of the better one; ``None``: undecided) and
      ``examples_interval``. Numbers that are not known are ``None``.
    """
    score = runs[0].record["score"]
    higher = score != "loss"
    sign = 1.0 if higher else -1.0
    scores = np.array([_floats(run.record["scores"]) for run in runs])
    found = all_pairs(sign * scores)
    examples = _examples(runs)
    methods = []
    ranks = _ranks(-sign * scores)
    means = scores.mean(axis=1)
    order = _ranks(-sign * means[:, None])[:, 0]
    for i, run in enumerate(runs):
        mean, half = mean_interval(scores[i])
        record = {n: x for n, x in run.record.items() if n not in ("examples", "score")}
        methods.append(
            {
                "label": run.label,
                "rank": plain(order[i])[0],
                "mean_rank": plain(ranks[i].mean())[0],
                "mean": plain(mean)[0],
                "interval": _ends(mean - half, mean + half),
                "examples_interval": _over_examples(examples[i]),
                **record,
                "settings": run.settings,
            }
        )
    pairs = []
    for k, (i, j) in enumerate(zip(found.first, found.second, strict=True)):
        # Signs of the differences are those of the score, whichever way is better.
        ends = sorted((sign * found.low[k], sign * found.high[k]))
        better = None
        if found.different[k]:
            better = runs[i if found.mean[k] > 0 else j].label
        between = np.zeros(0)
        if examples[i].size and examples[i].shape == examples[j].shape:
            between = examples[i] - examples[j]
        pairs.append(
            {
                "first": runs[i].label,
                "second": runs[j].label,
                "difference": plain(sign * found.mean[k])[0],
                "interval": _ends(*ends),
                "p": plain(found.p[k])[0],
                "smallest": plain(found.smallest[k])[0],
                "better": better,
                "examples_interval": _over_examples(between),
            }
        )
    return {
        "about": dict(about),
        "score": score,
        "higher_is_better": higher,
        "test_examples": max(len(x) for x in examples) or None,
        "methods": methods,
        "pairs": pairs,
    }


def ranked(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The methods of results, the best first; those without a score last."""
    methods = found["methods"]
    return sorted(methods, key=lambda m: (m["rank"] is None, m["rank"] or 0))


def shown(found: Mapping[str, Any], label: str) -> tuple[list[str], list[str]]:
    """The methods that one is shown to be better than, and those it is worse than.

    Args:
      found: the results.
      label: of the method.

    Returns:
      Both, by label.
    """
    mine = [p for p in found["pairs"] if label in (p["first"], p["second"])]
    others = {
        i: p["second"] if p["first"] == label else p["first"]
        for i, p in enumerate(mine)
    }
    better = [others[i] for i, p in enumerate(mine) if p["better"] == label]
    worse = [others[i] for i, p in enumerate(mine) if p["better"] == others[i]]
    return better, worse


def _examples(runs: Sequence[Trained]) -> list[np.ndarray]:
    found = []
    for run in runs:
        every = np.array(_floats(run.record["examples"]))
        found.append(every if np.all(np.isfinite(every)) else np.zeros(0))
    return found


def _over_examples(values: np.ndarray) -> list[float] | None:
    if values.size < FEWEST_EXAMPLES:
        return None
    return list(bootstrap_interval(values))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1 along the first axis, the smallest first, ties shared."""
    from scipy import stats

    last = np.where(np.isfinite(values), values, np.inf)
    return stats.rankdata(last, axis=0)


def _ends(low: float, high: float) -> list[float] | None:
    ends = [float(low), float(high)]
    return ends if np.all(np.isfinite(ends)) else None


def _floats(values: Sequence[float | None]) -> list[float]:
    return [np.nan if x is None else x for x in values]
