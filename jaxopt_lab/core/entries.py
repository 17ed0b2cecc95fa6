"""Entries of a batch: refusing one that has not what is asked of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from jaxopt_lab.core.errors import InputError


def check_entries(
    batch: Mapping[str, Any], names: Iterable[str], purpose: str = ""
) -> None:
    """Refuse a batch without some entries.

    Args:
      batch: a dict.
      names: of the entries.
      purpose: what they are needed for, a verb, for the message.

    Raises:
      InputError: there is none of a name.

    >>> check_entries({"image": 1}, ["image", "label"], "mix")
    Traceback (most recent call last):
      ...
    jaxopt_lab.core.errors.InputError: the batch has no 'label' to mix; it has image
    """
    for name in names:
        if name not in batch:
            doing = f" to {purpose}" if purpose else ""
            there = ", ".join(map(str, batch)) or "nothing"
            raise InputError(f"the batch has no {name!r}{doing}; it has {there}")


def check_images(images: Any, purpose: str, *, channels: bool = False) -> None:
    """Refuse an array without a height and a width.

    Args:
      images: an array.
      purpose: what is done with them, a verb, for the message.
      channels: whether there must be an axis of channels, and none behind it.

    Raises:
      InputError: the array has too few axes, or other ones.

    >>> import numpy as np
    >>> check_images(np.zeros((2, 3)), "erase")
    Traceback (most recent call last):
      ...
    jaxopt_lab.core.errors.InputError: images to erase have shape (2, 3); accepted: \
(B, H, W, ...)
    """
    if images.ndim != 4 if channels else images.ndim < 3:
        axes = "(B, H, W, C)" if channels else "(B, H, W, ...)"
        raise InputError(
            f"images to {purpose} have shape {images.shape}; accepted: {axes}"
        )
