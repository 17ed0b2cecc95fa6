"""The folder of a tuning: its identity, the validations so far, and the states."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.files import make_writable, reason
from jaxopt_lab.lab.run_files import refuse_foreign
from jaxopt_lab.lab.tuning.halving import Scored
from jaxopt_lab.lab.tuning.program import Population, SettingsProgram
from jaxopt_lab.runtime import Checkpoints
from jaxopt_lab.runtime.atomic_files import write_text
from jaxopt_lab.runtime.folder_lock import LOCK
from jaxopt_lab.runtime.run_folder import differences, text_of

IDENTITY = "tuning.json"
SCORES = "scores.json"
RESULTS = "results.json"
BEST = "best.json"
FIGURE = "grid.png"
STATES = "states"


class Store:
    """The files of one tuning.

    Args:
      folder: made if it is not there.
      identity: everything that the scores depend on, as JSON holds it.

    Raises:
      InputError: the folder holds another tuning or other files, or cannot be written.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.folder = folder
        asked = json.loads(json.dumps(identity))
        before = self._read(IDENTITY)
        if before is None and folder.is_dir():
            names = sorted(p.name for p in folder.iterdir() if p.name != LOCK)
            refuse_foreign(folder, names, "tuning")
        if before is not None and text_of(before) != text_of(asked):
            raise InputError(
                f"{folder} holds another tuning: {differences(before, asked)}; give "
                "another out="
            )
        make_writable(folder)
        self.write(IDENTITY, asked)
        self._scores: dict[str, Any] = self._read(SCORES) or {}

    def scores(self, rung: int, group: int) -> list[Scored] | None:
        """The validations of a group at the end of a rung; ``None``: not there yet."""
        found = self._scores.get(f"{rung}/{group}")
        if found is None:
            return None
        return [Scored(s, n, tuple(a), tuple(c)) for s, n, a, c in found]

    def add(self, rung: int, group: int, scored: Sequence[Scored]) -> None:
        """Keep the validations of a group at the end of a rung."""
        self._scores[f"{rung}/{group}"] = [list(s) for s in scored]
        self.write(SCORES, self._scores)

    def save(self, group: int, population: Population) -> None:
        """Keep the states of a group, in place of earlier ones."""
        with Checkpoints(self._states(group), keep=1, keep_best=0) as kept:
            kept.save(population.step, population.blocks, data={}, force=True)

    def restore(
        self,
        group: int,
        program: SettingsProgram,
        before: Population,
        rows: Sequence[int],
        since: int,
    ) -> Population:
        """The states of a group from its folder.

        Args:
          group: number of the group.
          program: of the group.
          before: its settings in the last rung, not trained.
          rows: those of them that are in this rung.
          since: the step at which this rung begins.

        Returns:
          The settings of this rung, at the step that was saved last; at step 0 where
          none was.
        """
        kept = Checkpoints(self._states(group), read_only=True)
        at = kept.latest()
        if at is None:
            return program.chosen(before, rows)
        # States at the end of a rung are those of its settings, later ones of ours.
        late = at > since
        template = program.chosen(before, rows) if late else before
        found = template._replace(blocks=kept.restore(template.blocks).state, step=at)
        return found if late else program.chosen(found, rows)

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        """Replace a JSON file, whole or not at all.

        Args:
          name: of the file.
          content: what JSON can hold.

        Raises:
          InputError: it cannot be written.
        """
        path = self.folder / name
        text = json.dumps(content, indent=1) + "\n"
        write_text(path, text)

    def _states(self, group: int) -> Path:
        return self.folder / STATES / str(group)

    def _read(self, name: str) -> Any:
        path = self.folder / name
        try:
            return json.loads(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise InputError(f"cannot read {path}: {reason(error)}") from None
        except ValueError:
            raise InputError(f"{path} is damaged: it is no JSON") from None
