"""Texts put together again from masked spans and their targets."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data.masked_spans import SpanTokens


def restore_spans(
    tokens: Any,
    *,
    special: SpanTokens,
) -> np.ndarray:
    """The text of which spans were masked: each is put back in its place.

    On the host; the targets may have been predicted, of any length.

    Args:
      tokens: integers ``(length,)``, as of ``corrupt_spans``.
      special: the special tokens.

    Returns:
      Integers ``(n,)``; a text without a separator comes back without its padding.

    Raises:
      InputError: a sentinel of the text has no target, or a target has no end.

    >>> special = SpanTokens(sentinels=(9,), end=6, separator=7, eom=8, pad=5)
    >>> restore_spans([2, 9, 4, 6, 7, 9, 3, 8, 5], special=special).tolist()
    [2, 3, 4]
    """
    given = np.asarray(tokens)
    row = given.tolist()
    sentinels, end, separator, eom, _ = special
    if separator not in row:
        return given[given != special.pad]
    cut = row.index(separator)
    text, rest = row[: cut - 1] if row[cut - 1] == end else row[:cut], row[cut + 1 :]
    targets: dict[int, list[int]] = {}
    while rest and rest[0] in sentinels:
        if eom not in rest:
            raise InputError(f"the target of sentinel {rest[0]} has no end, {eom}")
        stop = rest.index(eom)
        targets[rest[0]] = rest[1:stop]
        rest = rest[stop + 1 :]
    out: list[int] = []
    for token in text:
        if token in sentinels and token not in targets:
            raise InputError(f"sentinel {token} of the text has no target")
        out += targets.get(token, [token])
    return np.array(out, given.dtype)
