"""Counts over time that need no download."""

from __future__ import annotations

import collections
import importlib
import itertools
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from experiments.applications.poisson_factors.config import Config
from jaxopt_lab.core.errors import InputError


def counts_of(name: str, config: Config) -> np.ndarray:
    """The counts of a set.

    Args:
      name: of the set.
      config: the size.

    Returns:
      int32 ``(T, V)``; of ``binary`` 0 or 1.

    Raises:
      InputError: a package or the library's sources are missing.
    """
    if name == "sunspots":
        return _sunspots()
    if name == "drawn":
        return _drawn(config)
    counts = word_counts(_library_words(), config.blocks, config.block, config.words)
    return np.minimum(counts, 1) if name == "binary" else counts


def word_counts(words: Iterator[str], blocks: int, block: int, most: int) -> np.ndarray:
    """Counts of the most frequent words in blocks of a running text.

    Args:
      words: the text.
      blocks: T.
      block: words in a block.
      most: V; of equally frequent words the first in the alphabet.

    Returns:
      int32 ``(T, V)``.

    Raises:
      InputError: the text is too short, or has too few different words.

    >>> word_counts(iter(["b", "a", "b", "c", "a", "a"]), 2, 3, 2).tolist()
    [[1, 2], [2, 0]]
    """
    read = list(itertools.islice(words, blocks * block))
    number = collections.Counter(read)
    if len(read) < blocks * block or len(number) < most:
        raise InputError(
            f"the text has {len(read)} words, {len(number)} different ones; accepted: "
            f"{blocks * block} and {most} at least"
        )
    chosen = sorted(number, key=lambda word: (-number[word], word))[:most]
    place = {word: i for i, word in enumerate(chosen)}
    counts = np.zeros((blocks, most), np.int32)
    for i, word in enumerate(read):
        if word in place:
            counts[i // block, place[word]] += 1
    return counts


def _library_words() -> Iterator[str]:
    """The words of the standard library's sources, in the order of module names."""
    folder = Path(sysconfig.get_path("stdlib"))
    for name in sorted(sys.stdlib_module_names):
        single, package = folder / f"{name}.py", folder / name
        files = [single] if single.is_file() else sorted(package.glob("*.py"))
        for path in files:
            text = path.read_text(encoding="utf-8", errors="ignore").lower()
            yield from re.findall(r"[a-z]{2,}", text)


def _drawn(config: Config) -> np.ndarray:
    """Counts of the model itself, by NumPy; rates of steps near 1, so scores last.

    In many draws all scores come near 0, and so does every forecast. It is the first
    one with an event a feature in each of the last steps.
    """
    features, factors = config.drawn
    draw = 0
    while True:
        rng = np.random.default_rng([config.first_seed, draw])
        loadings = rng.dirichlet(np.full(features, 0.1), factors)
        weights = rng.gamma(300 / factors, size=factors)
        scores, last = [], np.ones(factors)
        for rate in rng.gamma(50.0, 1 / 50, config.blocks):
            last = np.maximum(rng.gamma(last) / rate, 1e-30)
            scores.append(last)
        counts = rng.poisson(scores * weights @ loadings).astype(np.int32)
        if counts[-config.ahead :].sum(axis=1).min() >= features:
            return counts
        draw += 1


def _sunspots() -> np.ndarray:
    """Yearly sunspots of statsmodels, three years in a step."""
    try:
        sunspots = importlib.import_module("statsmodels.datasets.sunspots")
    except ImportError:
        text = "data=sunspots needs statsmodels: pip install statsmodels"
        raise InputError(text) from None
    years = np.asarray(sunspots.load_pandas().data["SUNACTIVITY"])
    return np.round(years).astype(np.int32).reshape(-1, 3)
