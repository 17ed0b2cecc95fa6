"""A range coder (rANS) of symbols with integer frequencies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxopt_lab.core.errors import InputError

LOWEST = 1 << 31
"""The head is at least this between two symbols, and below 2^63."""
WORD = 32
HEAD_BYTES = 8
MOST_PRECISION = 28


def encode(starts: Sequence[int], widths: Sequence[int], precision: int) -> bytes:
    """Code symbols, the last one first, so that they are decoded in order.

    Args:
      starts: of each symbol the sum of the frequencies of those before it.
      widths: its frequency, at least 1; all frequencies add up to 2^precision.
      precision: at most 28.

    Returns:
      The head in 8 bytes and then words of 4: the bits that the frequencies ask for,
      and at most 64 more.

    Raises:
      InputError: a frequency is out of range.

    >>> len(encode([], [], 16)), len(encode([0] * 64, [1 << 15] * 64, 16))
    (8, 16)
    """
    _check_precision(precision)
    head, words = LOWEST, []
    for start, width in zip(reversed(starts), reversed(widths), strict=True):
        start, width = int(start), int(width)
        if not 0 < width <= (1 << precision) - start or start < 0:
            raise InputError(
                f"a symbol from {start} of width {width} is not in 2^{precision}; "
                "accepted: widths of at least 1"
            )
        if head >= (LOWEST >> precision << WORD) * width:
            words.append(head & 0xFFFFFFFF)
            head >>= WORD
        head = (head // width << precision) + head % width + start
    body = np.asarray(words[::-1], "<u4").tobytes()
    return head.to_bytes(HEAD_BYTES, "little") + body


class Decoder:
    """Symbols from a code.

    Args:
      code: of ``encode``.
      precision: the same.

    Raises:
      InputError: the code has no head, or ends within a word.

    >>> decoder = Decoder(encode([0, 3], [3, 1], 2), 2)
    >>> [decoder.symbol([0, 3, 4]) for _ in range(2)]
    [0, 1]
    >>> decoder.finish()
    """

    def __init__(self, code: bytes, precision: int) -> None:
        _check_precision(precision)
        if len(code) < HEAD_BYTES or (len(code) - HEAD_BYTES) % 4:
            raise InputError(f"the code is cut: {len(code)} bytes are no whole words")
        self._head = int.from_bytes(code[:HEAD_BYTES], "little")
        self._words = np.frombuffer(code[HEAD_BYTES:], "<u4").tolist()
        self._at, self._precision = 0, precision

    def symbol(self, ends: Sequence[int]) -> int:
        """The next symbol.

        Args:
          ends: 0 and the sums of the frequencies, C + 1 numbers; the last is
            2^precision.

        Returns:
          From 0 to C - 1.

        Raises:
          InputError: the code has ended.
        """
        slot = self._head & ((1 << self._precision) - 1)
        symbol = int(np.searchsorted(ends, slot, side="right")) - 1
        start, end = int(ends[symbol]), int(ends[symbol + 1])
        self._head = (end - start) * (self._head >> self._precision) + slot - start
        if self._head < LOWEST:
            if self._at == len(self._words):
                raise InputError(f"the code is cut: it ends after {self._at} words")
            self._head = self._head << WORD | self._words[self._at]
            self._at += 1
        return symbol

    def finish(self) -> None:
        """Check that all of the code was read.

        Raises:
          InputError: it was not: it is another code, or one of other symbols.
        """
        left = len(self._words) - self._at
        if left or self._head != LOWEST:
            raise InputError(
                f"the code is damaged or of another model: {left} words are left over"
            )


def _check_precision(precision: int) -> None:
    if not 1 <= precision <= MOST_PRECISION:
        raise InputError(
            f"precision must be from 1 to {MOST_PRECISION}; got {precision}"
        )
