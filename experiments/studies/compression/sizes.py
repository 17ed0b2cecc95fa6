"""The largest widths and ranks within a budget of weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from experiments.studies.compression.config import Config
from jaxopt_lab.core.errors import InputError

INPUTS, CLASSES = 64, 10


def dense_weights(width: int) -> int:
    """Weights of the perceptron of two hidden layers."""
    return INPUTS * width + width * width + width * CLASSES


def factored_weights(width: int, rank: int) -> int:
    """Weights of its layers as products of that rank, or of the largest there is."""
    pairs = (INPUTS, width), (width, width), (width, CLASSES)
    return sum(min(rank, a, b) * (a + b) for a, b in pairs)


def mixture_weights(experts: int, networks: int, hidden: int) -> int:
    """Weights of the mixture: router, networks and head."""
    return INPUTS * (experts + CLASSES) + networks * 2 * INPUTS * hidden


def compressed_weights(config: Config, networks: int, rank: int) -> int:
    """Weights of the mixture with each kernel as a product and a few rows.

    Args:
      config: the size of the study.
      networks: merged experts.
      rank: of every product.

    Returns:
      The number; a row counts one more, its number. A kernel that would be smaller
      whole is whole.
    """
    total = mixture_weights(config.experts, 0, config.hidden)
    for rows, columns in ((config.hidden, INPUTS), (INPUTS, config.hidden)):
        kept = round(config.keep * rows)
        taken_apart = rank * (rows + columns) + kept * (columns + 1)
        total += networks * min(taken_apart, rows * columns)
    return total


def largest(size: Callable[[int], int], most: int, budget: float) -> int:
    """The largest number up to ``most`` whose size is within the budget.

    Args:
      size: rising.
      most: the last number.
      budget: weights.

    Returns:
      The number.

    Raises:
      InputError: not even 1 fits.

    >>> largest(dense_weights, 128, dense_weights(128) / 2)
    82
    """
    found = [n for n in range(1, most + 1) if size(n) <= budget]
    if not found:
        raise InputError(f"no network has {budget:g} weights; the smallest, {size(1)}")
    return found[-1]


def widths(config: Config) -> Sequence[int]:
    """Units of the dense network at each budget."""
    whole = dense_weights(config.width)
    return [largest(dense_weights, config.width, b * whole) for b in config.budgets]


def ranks(config: Config) -> Sequence[int]:
    """Ranks of its factored layers at each budget."""
    whole = dense_weights(config.width)
    size = lambda rank: factored_weights(config.width, rank)
    most = min(INPUTS, config.width)
    return [largest(size, most, b * whole) for b in config.budgets]


def expert_ranks(config: Config) -> Sequence[int]:
    """Ranks of the kernels of merged experts at each budget."""
    whole = dense_weights(config.width)
    pairs = zip(config.budgets, config.groups, strict=True)
    return [
        largest(
            lambda r, g=g: compressed_weights(config, g, r), config.hidden, b * whole
        )
        for b, g in pairs
    ]
