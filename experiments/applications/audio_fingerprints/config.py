"""The numbers of the application on audio fingerprints."""

from __future__ import annotations

import dataclasses

from experiments.applications.application import Settings

RATE = 8000  # samples a second
WINDOW, HOP = 512, 256


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the application.

    Attributes:
      concerts: events that are recorded.
      seconds: length of an event.
      clips: recordings of events.
      unrelated: recordings of nothing else, which share a jingle.
      shortest: seconds of the shortest recording.
      longest: of the longest.
      jingle: seconds of the jingle.
      least: matched landmarks of an edge.
      overlap: seconds that a true pair has in common, at least.
      rounds: of the filter of edges.
    """

    concerts: int = 6
    seconds: float = 40.0
    clips: int = 40
    unrelated: int = 10
    shortest: float = 8.0
    longest: float = 20.0
    jingle: float = 3.0
    least: int = 5
    overlap: float = 1.0
    rounds: int = 3
