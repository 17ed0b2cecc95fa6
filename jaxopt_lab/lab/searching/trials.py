"""The candidates of a search and their scores, in an SQLite file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.files import Closing, make_writable, reason
from jaxopt_lab.runtime.run_folder import differences, text_of

STORE = "search.sqlite3"
"""File of the candidates in a search's folder."""


class Trial(NamedTuple):
    """One candidate.

    Attributes:
      number: from 0.
      candidate: values by name.
      scores: one for each objective, larger is better; NaN where it failed.
      seconds: of its training.
    """

    number: int
    candidate: dict[str, Any]
    scores: list[float]
    seconds: float


class Trials(Closing):
    """The candidates of one search.

    Each is written as soon as its score is known, in a transaction of its own.

    Args:
      folder: made if it is not there.
      identity: everything that candidates and scores depend on, as JSON holds it.

    Raises:
      InputError: the file holds another search, or is no such file.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        make_writable(folder)
        self.path = folder / STORE
        try:
            self._db = sqlite3.connect(self.path, isolation_level=None)
            self._db.execute("create table if not exists search (settings text)")
            self._db.execute(
                "create table if not exists trials (number integer primary key, "
                "candidate text, scores text, seconds real)"
            )
            found = self._db.execute("select settings from search").fetchone()
        except sqlite3.Error as error:
            raise InputError(
                f"{self.path} is no store of candidates: {error}"
            ) from None
        asked = json.loads(json.dumps(identity))
        if found is None:
            self._run("insert into search values (?)", text_of(asked))
        elif found[0] != text_of(asked):
            before = json.loads(found[0])
            raise InputError(
                f"{self.path} holds another search: {differences(before, asked)}; give "
                "another out="
            )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def all(self) -> list[Trial]:
        """The candidates in the order of their numbers.

        Returns:
          A list.

        Raises:
          InputError: a number is missing, or the file is damaged.
        """
        try:
            rows = self._db.execute(
                "select number, candidate, scores, seconds from trials order by number"
            ).fetchall()
            found = [Trial(n, json.loads(c), json.loads(s), t) for n, c, s, t in rows]
        except (sqlite3.Error, ValueError) as error:
            raise InputError(f"{self.path} is damaged: {error}") from None
        if [trial.number for trial in found] != list(range(len(found))):
            raise InputError(f"{self.path} is damaged: a candidate is missing")
        return found

    def add(self, trial: Trial) -> None:
        """Keep a candidate.

        Args:
          trial: the next one.

        Raises:
          InputError: the file cannot be written.
        """
        texts = json.dumps(trial.candidate), json.dumps(trial.scores)
        self._run(
            "insert into trials values (?, ?, ?, ?)",
            trial.number,
            *texts,
            trial.seconds,
        )

    def _run(self, statement: str, *values: Any) -> None:
        try:
            self._db.execute(statement, values)
        except sqlite3.Error as error:
            raise InputError(f"cannot write {self.path}: {reason(error)}") from None
