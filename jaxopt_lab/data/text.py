"""Text files as sets for next-character prediction."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.files import reason
from jaxopt_lab.data.dataset import Dataset


def read_text(path: str | Path) -> str:
    """The characters of a text file, line ends as they are.

    Args:
      path: a file in UTF-8.

    Returns:
      Its text.

    Raises:
      InputError: it is missing, empty, or not UTF-8.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        raise InputError(f"{path} is a folder; accepted: a text file in UTF-8")
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 (byte {error.start}: {error.reason}); accepted: a "
            "text file in UTF-8"
        ) from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {reason(error)}") from None
    if not text:
        raise InputError(f"{path} is empty; accepted: a text file in UTF-8")
    return text


def vocabulary(text: str) -> str:
    """The distinct characters of a text by code point: token i is character i.

    Args:
      text: any text.

    Returns:
      The characters.

    >>> vocabulary("banana")
    'abn'
    """
    return "".join(sorted(set(text)))


def load_text(
    path: str | Path,
    context: int,
    test_fraction: float = 0.1,
    *,
    stride: int | None = None,
) -> Dataset:
    """A text file as windows of characters, with the next character as target.

    The last part of the file is for the test. A window at place p has the characters
    ``p .. p + context - 1`` as inputs and ``p + 1 .. p + context`` as targets; none
    crosses the boundary between the parts. Windows for the test do not overlap.

    Args:
      path: a file in UTF-8.
      context: characters in a window, at least 1.
      test_fraction: share of the characters kept for the test, in ``(0, 1)``.
      stride: characters from one training window to the next, at least 1. Default: a
        quarter of ``context``, so that a character is met at several places of a
        window.

    Returns:
      The set; its tokens are the places in ``vocabulary`` of the whole file.

    Raises:
      InputError: the file is missing, empty, not UTF-8 or too short for one window in
        each part, or an argument is out of range.

    Memory: 8 bytes a character, times ``context / stride`` for the training part.

    Example::

      dataset = load_text("data/tinyshakespeare/input.txt", context=128)
    """
    if context < 1:
        raise InputError(f"context={context} is out of range; accepted: [1, inf)")
    if not 0 < test_fraction < 1:
        raise InputError(
            f"test_fraction={test_fraction} is out of range; accepted: (0, 1)"
        )
    stride = max(1, context // 4) if stride is None else stride
    if stride < 1:
        raise InputError(f"stride={stride} is out of range; accepted: [1, inf)")
    text = read_text(path)
    characters = vocabulary(text)
    tokens = _tokens(text)
    cut = len(text) - round(len(text) * test_fraction)
    pieces = {"train": tokens[:cut], "test": tokens[cut:]}
    for split, piece in pieces.items():
        if len(piece) <= context:
            raise InputError(
                f"{path}, {split}: {len(piece)} of {len(text)} characters; accepted: "
                f"at least {context + 1} for context={context}"
            )
    return Dataset(
        name=Path(path).stem,
        kind="text",
        train=_windows(pieces["train"], context, stride),
        test=_windows(pieces["test"], context, context),
        num_classes=len(characters),
        input_shape=(context,),
        characters=characters,
    )


def _tokens(text: str) -> np.ndarray:
    points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    return np.unique(points, return_inverse=True)[1].astype(np.int32)


def _windows(tokens: np.ndarray, context: int, stride: int) -> dict[str, np.ndarray]:
    windows = np.lib.stride_tricks.sliding_window_view(tokens, context + 1)[::stride]
    return {
        "inputs": np.ascontiguousarray(windows[:, :-1]),
        "targets": np.ascontiguousarray(windows[:, 1:]),
    }
