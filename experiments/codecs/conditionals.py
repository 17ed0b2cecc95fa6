"""Distributions of one symbol after another under a circuit, in fixed operations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from experiments.codecs.chow_liu import breadth_first
from experiments.codecs.circuit import Circuit
from experiments.codecs.pmf_tables import Floats


class Conditionals:
    """Given the symbols so far, the probabilities of the next variable's.

    Only products, sums in a fixed order and scalings by powers of 2 happen here, which
    IEEE 754 rounds in one way: encoder and decoder, on whatever machines, have the same
    numbers. (Exponentials, matrix products and vectorized sums are not so defined.) The
    probabilities themselves are numbers of float64, taken from the circuit by
    ``linear``, once.

    A symbol changes the messages on its path to the root alone; a distribution needs
    those from the root down to it: of depth x K^2 for each variable and image.

    Args:
      edges: ``(D, K, K)`` probabilities.
      leaves: ``(D, K, C)``.
      parents: of the tree.
      count: images, all at the same variable.

    Attributes:
      order: the variables as they are to be given.
    """

    def __init__(
        self,
        edges: Floats,
        leaves: Floats,
        parents: NDArray[np.integer],
        count: int,
    ) -> None:
        self.order = breadth_first(parents)
        self._edges, self._leaves = edges, leaves
        self._parents = [int(p) for p in parents]
        d, k = edges.shape[:2]
        # Of the symbol, and of each child: ones where nothing is known.
        self._symbols = np.ones((d, count, k))
        self._messages = np.ones((d, count, k))
        self._children: list[list[int]] = [[] for _ in range(d)]
        for child in self.order[1:]:
            self._children[self._parents[child]].append(child)

    def pmf(self, variable: int) -> Floats:
        """Probabilities of the symbols of a variable, up to a factor.

        Args:
          variable: its number; its own symbol is not known yet.

        Returns:
          ``(count, C)``.
        """
        path = [variable]
        while self._parents[path[-1]] >= 0:
            path.append(self._parents[path[-1]])
        down = None
        for one, below in zip(path[::-1], [*path[-2::-1], -1], strict=True):
            if down is None:
                prior = self._edges[one][0][None]
                down = np.repeat(prior, self._messages.shape[1], axis=0)
            else:
                down = _product(down, self._edges[one])
            for other in self._children[one]:
                if other != below:
                    down = down * self._messages[other]
            down = _scaled(down * self._symbols[one])
        assert down is not None
        return _product(down, self._leaves[variable])

    def give(self, variable: int, symbols: NDArray[np.integer]) -> None:
        """Make the symbols of a variable known.

        Args:
          variable: its number.
          symbols: ``(count,)``.
        """
        self._symbols[variable] = self._leaves[variable][:, symbols].T
        while self._parents[variable] >= 0:
            own = self._symbols[variable]
            for child in self._children[variable]:
                own = own * self._messages[child]
            message = _product(own, self._edges[variable].T)
            self._messages[variable] = _scaled(message)
            variable = self._parents[variable]


def linear(circuit: Circuit) -> tuple[Floats, Floats]:
    """Probabilities of a circuit in float64, as the coder uses them.

    They are numbers of float32, which a packed circuit holds as they are: the logarithm
    of one in float64 and its exponential round to it again, whatever the library.

    Args:
      circuit: the circuit.

    Returns:
      Edges and leaves.

    >>> circuit = Circuit(np.array([-1]), np.zeros((1, 1, 1)), np.zeros((1, 1, 1)))
    >>> linear(circuit)[1].tolist()
    [[[1.0]]]
    """
    edges, leaves = (
        np.exp(np.asarray(x, np.float64)).astype(np.float32).astype(np.float64)
        for x in (circuit.edges, circuit.leaves)
    )
    return edges, leaves


def _product(rows: Floats, matrix: Floats) -> Floats:
    """Rows times a matrix, the terms added from first to last."""
    found = rows[:, :1] * matrix[0][None]
    for k in range(1, matrix.shape[0]):
        found = found + rows[:, k : k + 1] * matrix[k][None]
    return found


def _scaled(rows: Floats) -> Floats:
    """Rows whose largest entry is from 1/2 to 1, by powers of 2; zeros stay."""
    _, exponent = np.frexp(np.max(rows, axis=1, keepdims=True))
    return np.ldexp(rows, -exponent)
