"""Huffman's code: lengths, exact sizes, and the bits themselves."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from jaxopt_lab.core.errors import InputError


def huffman_lengths(codes: NDArray[np.integer]) -> dict[int, int]:
    """Lengths of the code words of the symbols that occur.

    Args:
      codes: whole numbers, at least one.

    Returns:
      Bits by symbol; a single symbol has 1.

    Raises:
      InputError: there are no symbols.

    >>> huffman_lengths(np.array([0, 0, 1, 2]))
    {0: 1, 1: 2, 2: 2}
    """
    symbols, counts = np.unique(codes, return_counts=True)
    if not len(symbols):
        raise InputError("a Huffman code needs at least one symbol; got none")
    if len(symbols) == 1:
        return {int(symbols[0]): 1}
    lengths = dict.fromkeys(map(int, symbols), 0)
    pairs = enumerate(zip(counts, symbols, strict=True))
    heap = [(int(n), i, [int(symbol)]) for i, (n, symbol) in pairs]
    heapq.heapify(heap)
    order = len(heap)
    while len(heap) > 1:
        first, second = heapq.heappop(heap), heapq.heappop(heap)
        for symbol in (*first[2], *second[2]):
            lengths[symbol] += 1
        heapq.heappush(heap, (first[0] + second[0], order, first[2] + second[2]))
        order += 1
    return lengths


def huffman_bits(codes: NDArray[np.integer]) -> int:
    """Bits of symbols in their Huffman code, without its table.

    Args:
      codes: whole numbers, at least one.

    Returns:
      From the entropy to one bit a symbol above.

    >>> huffman_bits(np.array([0, 0, 1, 2]))
    6
    """
    symbols, counts = np.unique(codes, return_counts=True)
    lengths = huffman_lengths(codes)
    return sum(int(n) * lengths[int(s)] for s, n in zip(symbols, counts, strict=True))


def words(lengths: Mapping[int, int]) -> dict[int, str]:
    """The canonical code words of lengths: a table of lengths is all a reader needs.

    Args:
      lengths: by symbol.

    Returns:
      Texts of 0 and 1.

    >>> words({0: 1, 1: 2, 2: 2})
    {0: '0', 1: '10', 2: '11'}
    """
    found, code, before = {}, 0, 0
    for length, symbol in sorted((n, s) for s, n in lengths.items()):
        code <<= length - before
        found[symbol] = format(code, f"0{length}b")
        code, before = code + 1, length
    return found


def decode(bits: str, lengths: Mapping[int, int], count: int) -> Sequence[int]:
    """Symbols from their code words.

    Args:
      bits: a text of 0 and 1.
      lengths: of the code.
      count: symbols.

    Returns:
      They.

    Raises:
      InputError: the bits end too early or go on.

    >>> decode("0110", {0: 1, 1: 2, 2: 2}, 3)
    [0, 2, 0]
    """
    symbols = {word: symbol for symbol, word in words(lengths).items()}
    found, word = [], ""
    for bit in bits:
        word += bit
        if word in symbols:
            found.append(symbols[word])
            word = ""
    if word or len(found) != count:
        raise InputError(f"the bits are cut: {len(found)} of {count} symbols")
    return found
