"""Streams of conversations: pairs of speakers in the order of time."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from jaxopt_lab.core.errors import InputError

_SCENE, _CAST, _REPLY, _SAME_CAST = 40, 6, 0.6, 0.5


def synthetic(rng: np.random.Generator, people: int, events: int) -> np.ndarray:
    """Conversations in scenes of a few people who answer each other.

    A scene has up to six people, half of them from the scene before; its next speaker
    is the one before the last with probability 0.6, else any of the scene.

    Args:
      rng: random numbers.
      people: their number.
      events: number of pairs.

    Returns:
      ``(events, 2)``: a speaker and the next one, never the same.
    """
    pairs: list[tuple[int, int]] = []
    cast = rng.choice(people, min(_CAST, people), replace=False)
    last, before = int(cast[0]), int(cast[1])
    while len(pairs) < events:
        for _ in range(_SCENE):
            others = cast[cast != last]
            answers = before in others and rng.random() < _REPLY
            speaker = before if answers else int(rng.choice(others))
            pairs.append((last, speaker))
            last, before = speaker, last
        kept = cast[rng.random(len(cast)) < _SAME_CAST]
        rest = np.setdiff1d(np.arange(people), kept)
        new = rng.choice(rest, min(_CAST, people) - len(kept), replace=False)
        cast = np.concatenate([kept, new])
    return np.array(pairs[:events], np.int32)


def of_play(text: str) -> np.ndarray:
    """Pairs of speakers of a play.

    Args:
      text: with a heading, a line that ends in a colon, behind an empty line before
        each speech.

    Returns:
      ``(events, 2)``; a speaker who follows on himself is left out.

    Raises:
      InputError: there are fewer than two speakers.

    >>> of_play("A:\\nyes\\n\\nB:\\nno\\n\\nA:\\nwell").tolist()
    [[0, 1], [1, 0]]
    """
    lines = ["", *text.splitlines()]
    names = [
        line[:-1]
        for before, line in pairwise(lines)
        if not before.strip() and line.endswith(":")
    ]
    places = {name: i for i, name in enumerate(dict.fromkeys(names))}
    if len(places) < 2:
        raise InputError(f"the play has {len(places)} speakers; accepted: at least 2")
    order = np.array([places[name] for name in names], np.int32)
    pairs = np.stack([order[:-1], order[1:]], axis=1)
    return pairs[pairs[:, 0] != pairs[:, 1]]


def negatives(rng: np.random.Generator, pairs: np.ndarray, recent: int) -> np.ndarray:
    """For each event a person of the last ones who does not speak next.

    Args:
      rng: random numbers.
      pairs: ``(events, 2)``.
      recent: events that count, at least 3.

    Returns:
      ``(events,)``; where there is no such person, the speaker of the event.
    """
    found = np.empty(len(pairs), np.int32)
    for i, (source, target) in enumerate(pairs):
        near = np.unique(pairs[max(0, i - recent) : i + 1])
        near = near[(near != target) & (near != source)]
        found[i] = rng.choice(near) if len(near) else source
    return found


def average_precision(positive: np.ndarray, negative: np.ndarray) -> float:
    """Mean over the positives of the precision at their rank.

    Args:
      positive: ``(n,)`` scores.
      negative: ``(m,)``; ties with a positive count before it.

    Returns:
      From above 0 to 1.

    >>> average_precision(np.array([3.0, 1.0]), np.array([2.0]))
    0.8333333333333333
    """
    scores = np.concatenate([negative, positive])
    right = np.concatenate([np.zeros(len(negative)), np.ones(len(positive))])
    right = right[np.argsort(-scores, kind="stable")]
    ranks = np.flatnonzero(right) + 1
    return float(np.mean(np.arange(1, len(ranks) + 1) / ranks))


def recency(pairs: np.ndarray, others: np.ndarray, first: int) -> float:
    """Average precision of the time at which somebody was last seen.

    Args:
      pairs: ``(events, 2)``.
      others: ``(events,)`` negatives.
      first: event of the test's beginning.

    Returns:
      The precision, over the events from ``first`` on.
    """
    seen = np.full(int(pairs.max()) + 1, -1.0)
    scores = np.zeros((len(pairs), 2))
    for i, (source, target) in enumerate(pairs):
        # Who spoke last does not speak next: the source is known.
        scores[i] = seen[target], seen[others[i]]
        seen[source] = seen[target] = i
    return average_precision(scores[first:, 0], scores[first:, 1])
