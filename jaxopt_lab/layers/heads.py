"""Heads of an attention."""

from __future__ import annotations

from jaxopt_lab.core.errors import InputError


def head_size(features: int, heads: int) -> int:
    """The features of one head.

    Args:
      features: of all heads.
      heads: their number.

    Returns:
      ``features // heads``.

    Raises:
      InputError: the heads do not divide the features.

    >>> head_size(8, 2)
    4
    """
    if features % heads:
        raise InputError(
            f"heads must divide the features, {features}; got heads={heads}"
        )
    return features // heads
