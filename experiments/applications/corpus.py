"""Text of the applications: the sources of Python's standard library, or a file."""

from __future__ import annotations

import functools
import sys
import sysconfig
from pathlib import Path

import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data import read_text

TEXT = "a text file in UTF-8; default: the sources of Python's standard library"

VOCABULARY = "\n" + "".join(map(chr, range(32, 127))) + "\x7f"
"""Characters by token: line ends, printable ASCII, and one for all others."""


def library() -> dict[str, str]:
    """The modules of Python's standard library by name, in the order of the names.

    Those of one file of Python; packages, extensions and modules without a source are
    left out. Another version of Python has other texts.

    Returns:
      Text by name.

    Raises:
      InputError: the sources are not installed.
    """
    folder = Path(sysconfig.get_paths()["stdlib"])
    names = sorted(sys.stdlib_module_names)
    files = {name: folder / f"{name}.py" for name in names}
    texts = {
        n: f.read_text("utf-8", "replace") for n, f in files.items() if f.is_file()
    }
    if len(texts) < 100:
        raise InputError(
            f"{folder} holds {len(texts)} sources of the standard library; accepted: "
            "text=FILE, or a Python with its sources"
        )
    return texts


@functools.cache
def sources(text: str = "", *, count: int, least: int) -> dict[str, str]:
    """Texts by source.

    Args:
      text: a file, which is cut into ``count`` parts; empty: modules of the standard
        library, the first ``count`` by name that are long enough.
      count: number of sources.
      least: characters of each, at least.

    Returns:
      Text by name.

    Raises:
      InputError: the file cannot be read, or there is not enough text.
    """
    if text:
        whole = read_text(text)
        size = len(whole) // count
        if size < least:
            raise InputError(
                f"{text} has {len(whole)} characters; accepted: {count * least} or more"
            )
        return {f"part {i}": whole[i * size : (i + 1) * size] for i in range(count)}
    found = {name: x for name, x in library().items() if len(x) >= least}
    if len(found) < count:
        raise InputError(
            f"{len(found)} modules have {least} characters; accepted: {count}, or "
            "text=FILE"
        )
    return dict(list(found.items())[:count])


def encoded(text: str) -> np.ndarray:
    """Tokens of a text, its characters' places in ``VOCABULARY``.

    Args:
      text: any text.

    Returns:
      int32.

    >>> encoded("A b~é").tolist()
    [34, 1, 67, 95, 96]
    """
    points = np.frombuffer(text.replace("\t", " ").encode("utf-32-le"), np.uint32)
    table = np.full(128, len(VOCABULARY) - 1, np.int32)
    for place, character in enumerate(VOCABULARY):
        table[ord(character)] = place
    return table[np.minimum(points, 127)]


def decoded(tokens: np.ndarray) -> str:
    """The text of tokens.

    Args:
      tokens: of ``encoded``.

    Returns:
      The text.

    >>> decoded(encoded("A b"))
    'A b'
    """
    return "".join(VOCABULARY[token] for token in np.asarray(tokens).tolist())
