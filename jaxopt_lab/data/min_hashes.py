"""MinHash signatures of documents, which estimate their Jaccard similarity."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Annotated

import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, COUNT_OR_ZERO, check_arguments

# The smallest prime above 2 ** 32: a product of two numbers below 2 ** 32 and a
# summand below it stay below 2 ** 64.
_PRIME = np.uint64(2**32 + 15)
_LOW = np.uint64(2**32 - 1)
_BLOCK = 4096


def normalized(document: str) -> str:
    """A text in lower case, without punctuation, white space collapsed.

    Args:
      document: any text.

    Returns:
      Its words without punctuation and symbols, separated by one space.

    >>> normalized("Hello,   World! ")
    'hello world'
    """
    text = document.lower()
    # Categories P and S: punctuation and symbols.
    signs = {ord(c): None for c in set(text) if unicodedata.category(c)[0] in "PS"}
    return " ".join(text.translate(signs).split())


def shingles(document: str, *, width: Annotated[int, COUNT] = 13) -> np.ndarray:
    """Hashes of the different substrings of a normalized text.

    Args:
      document: any text; it is normalized first.
      width: characters of a substring; a shorter text is one substring itself.

    Returns:
      Sorted 32-bit hashes, uint64; none of an empty text.

    >>> len(shingles("abababab", width=2))
    2
    """
    check_arguments(shingles, {"width": width})
    text = normalized(document)
    points = np.frombuffer(text.encode("utf-32-le"), np.uint32).astype(np.uint64)
    if not len(points):
        return np.zeros(0, np.uint64)
    width = min(width, len(points))
    hashes = np.full(len(points) - width + 1, 14695981039346656037, np.uint64)
    for offset in range(width):
        hashes ^= points[offset : offset + len(hashes)]
        hashes *= np.uint64(1099511628211)
        hashes ^= hashes >> np.uint64(29)
    return np.unique(hashes >> np.uint64(32))


def minhash(
    documents: Sequence[str],
    *,
    width: Annotated[int, COUNT] = 13,
    permutations: Annotated[int, COUNT] = 128,
    seed: Annotated[int, COUNT_OR_ZERO] = 0,
) -> np.ndarray:
    r"""MinHash signatures of documents, on the host.

    With the hashes h of a document's substrings,

    .. math:: \min_h\; ((a_k h + b_k) \bmod p) \bmod 2^{32}

    for each of the random functions k. Two documents agree in an entry with the
    probability of their Jaccard similarity J, so that the share of equal entries is
    unbiased, with a deviation of :math:`\sqrt{J (1 - J) / K}`.

    Args:
      documents: texts; each is normalized first.
      width: characters of a substring.
      permutations: K.
      seed: of the functions; signatures of different ones cannot be compared.

    Returns:
      ``(documents, K)``, uint32; the largest number of empty texts.

    Raises:
      InputError: there is no document, or an option is out of range.

    Memory: K times 8 bytes times at most 4,096 substrings at a time.

    Source: Broder, "On the Resemblance and Containment of Documents", 1997, with the
    settings of Shen et al., "SlimPajama-DC", 2023 (https://arxiv.org/abs/2309.10818);
    width 13 is that of its text, its code's default is 6. Its functions are those of
    datasketch, which wrap at 2 ** 64 before the prime; here they do not.

    >>> one, two = minhash(["A small cat sat there.", "a small cat   sat there"])
    >>> bool((one == two).all())
    True
    """
    given = {"width": width, "permutations": permutations, "seed": seed}
    check_arguments(minhash, given)
    if isinstance(documents, str) or not len(documents):
        raise InputError("minhash takes a sequence of one document at least")
    draw = np.random.default_rng(seed)
    a = draw.integers(1, 2**32, (permutations, 1), np.uint64)
    b = draw.integers(0, int(_PRIME), (permutations, 1), np.uint64)
    out = np.full((len(documents), permutations), _LOW, np.uint32)
    for row, document in zip(out, documents, strict=True):
        found = shingles(document, width=width)
        for start in range(0, len(found), _BLOCK):
            values = (a * found[start : start + _BLOCK] + b) % _PRIME & _LOW
            np.minimum(row, values.min(axis=1).astype(np.uint32), out=row)
    return out


def jaccard(a: str, b: str, *, width: Annotated[int, COUNT] = 13) -> float:
    """Share of the substrings of two documents that both have.

    Args:
      a: a text.
      b: another.
      width: characters of a substring.

    Returns:
      From 0 to 1; 1 of two empty texts.

    >>> jaccard("abc", "bcd", width=2)
    0.3333333333333333
    """
    one, two = shingles(a, width=width), shingles(b, width=width)
    either = len(np.union1d(one, two))
    return len(np.intersect1d(one, two)) / either if either else 1.0
