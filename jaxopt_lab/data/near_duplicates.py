"""Near duplicates among documents, by bands of MinHash signatures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, COUNT_OR_ZERO, check_arguments
from jaxopt_lab.data.min_hashes import minhash, normalized


class Deduplicated(NamedTuple):
    """Documents of which near duplicates are known.

    Attributes:
      groups: ``(n,)``, for each document the first one of its group.
      kept: ``(n,)`` booleans, the first of each group.
    """

    groups: np.ndarray
    kept: np.ndarray


def deduplicate(
    documents: Sequence[str],
    *,
    within: Any = None,
    width: Annotated[int, COUNT] = 13,
    bands: Annotated[int, COUNT] = 9,
    rows: Annotated[int, COUNT] = 13,
    seed: Annotated[int, COUNT_OR_ZERO] = 0,
) -> Deduplicated:
    r"""Groups of near duplicates, of which the first document is kept.

    Signatures of :math:`b r` entries are cut into b bands of r. Two documents that
    agree in a band are joined, and groups are the connected components. Documents of
    Jaccard similarity s meet with the probability :math:`1 - (1 - s^r)^b`, see
    ``hit_probability``; for 9 bands of 13 it is 1/2 at 0.82.

    Args:
      documents: texts.
      within: ``(n,)``, the source of each document: only documents of one source are
        joined (local deduplication). ``None``: all are (global), which keeps at most as
        many.
      width: characters of a substring, see ``minhash``.
      bands: b.
      rows: r.
      seed: of the signatures.

    Returns:
      ``Deduplicated``. Groups do not depend on the order of the documents, the kept one
      does. Candidates are joined without a look at the texts, as in the source.

    Raises:
      InputError: there is no document, ``within`` has another length, or an option is
        out of range.

    Source: Shen et al., "SlimPajama-DC", 2023 (https://arxiv.org/abs/2309.10818), and
    the code of Cerebras's model zoo; bands and rows from memory, for its threshold 0.8.

    >>> deduplicate(["a b c d", "something else", "A, b, c, D!"]).kept.tolist()
    [True, True, False]
    """
    given = {"width": width, "bands": bands, "rows": rows, "seed": seed}
    check_arguments(deduplicate, given)
    found = minhash(documents, width=width, permutations=bands * rows, seed=seed)
    groups = band_groups(found, bands=bands, rows=rows, within=within)
    return Deduplicated(groups, groups == np.arange(len(groups)))


def band_groups(
    signatures: np.ndarray,
    *,
    bands: Annotated[int, COUNT] = 9,
    rows: Annotated[int, COUNT] = 13,
    within: Any = None,
) -> np.ndarray:
    """Connected components of signatures that agree in a band.

    Args:
      signatures: ``(n, K)``, of ``minhash``; the first ``bands * rows`` entries count.
      bands: number of bands.
      rows: entries of a band.
      within: ``(n,)``; only rows of equal values are joined. ``None``: all.

    Returns:
      ``(n,)``, for each row the first one of its component.

    Raises:
      InputError: entries are too few, or ``within`` has another length.

    >>> band_groups(np.array([[1, 2], [3, 4], [1, 5]]), bands=2, rows=1).tolist()
    [0, 1, 0]
    """
    check_arguments(band_groups, {"bands": bands, "rows": rows})
    signatures = np.asarray(signatures)
    if signatures.ndim != 2 or signatures.shape[1] < bands * rows:
        raise InputError(
            f"{bands} bands of {rows} need signatures (n, {bands * rows} or more); got "
            f"{signatures.shape}"
        )
    count = len(signatures)
    source = np.zeros(count, np.int64)
    if within is not None:
        if np.shape(within) != (count,):
            raise InputError(
                f"within must have shape ({count},), one source for each document; got "
                f"{np.shape(within)}"
            )
        source = np.unique(np.asarray(within), return_inverse=True)[1]
    parents = np.arange(count)
    for band in range(bands):
        own = signatures[:, band * rows : (band + 1) * rows]
        keys = np.concatenate([own.astype(np.int64), source[:, None]], axis=1)
        _, first, place = np.unique(
            keys, axis=0, return_index=True, return_inverse=True
        )
        for document, other in enumerate(first[place.reshape(-1)]):
            one, two = _root(parents, document), _root(parents, int(other))
            parents[max(one, two)] = min(one, two)
    return np.array([_root(parents, document) for document in range(count)])


def _root(parents: np.ndarray, document: int) -> int:
    while parents[document] != document:
        parents[document] = parents[parents[document]]
        document = int(parents[document])
    return document


def hit_probability(similarity: Any, *, bands: int = 9, rows: int = 13) -> Any:
    r"""Probability that two documents agree in a band, :math:`1 - (1 - s^r)^b`.

    Args:
      similarity: s, their Jaccard similarity.
      bands: b.
      rows: r.

    Returns:
      Like the similarity.

    >>> f"{hit_probability(0.8):.3f}"
    '0.399'
    """
    return 1 - (1 - similarity**rows) ** bands


def exact_overlap(documents: Sequence[str], others: Sequence[str]) -> np.ndarray:
    """Documents that stand among others, up to case, punctuation and white space.

    Args:
      documents: texts, as of a test set.
      others: texts, as of a training set.

    Returns:
      ``(documents,)`` booleans.

    >>> exact_overlap(["A cat.", "a dog"], ["a  cat"]).tolist()
    [True, False]
    """
    known = {normalized(other) for other in others}
    return np.array([normalized(document) in known for document in documents], bool)
