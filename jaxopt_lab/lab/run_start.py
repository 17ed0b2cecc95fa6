"""The first step of a run: its files are claimed, and a trace may begin."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import command_line, run_files, run_folder, summary, throughput
from jaxopt_lab.lab.assembly import Program
from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.lab.provenance import circumstances
from jaxopt_lab.lab.run_options import RunOptions
from jaxopt_lab.lab.run_settings import settings_of
from jaxopt_lab.runtime import Sink
from jaxopt_lab.runtime.profile import Profile


class OpenedLater:
    """A sink that is opened when the run begins."""

    def __init__(self, make: Callable[[], Sink]) -> None:
        self._make = make
        self._sink: Sink | None = None

    def open(self) -> None:
        self._sink = self._make()

    def write(self, step: int, record: Mapping[str, Any]) -> None:
        assert self._sink is not None
        self._sink.write(step, record)

    def close(self) -> None:
        if self._sink is not None:
            self._sink.close()


def begin_files(
    place: run_folder.RunFolder,
    start: int,
    configuration: Configuration,
    program: Program,
    sinks: Sequence[OpenedLater],
) -> None:
    """Claim the folder's files, when the step is compiled and none is taken."""
    entry = {
        **circumstances(),
        "command": command_line.command(configuration, str(place.path)),
        "mesh": summary.mesh_text(program.mesh),
        "began": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
    }
    overwrite = configuration.run.existing == "overwrite"
    place.begin(start, settings_of(configuration), entry, overwrite=overwrite)
    told = summary.begun(configuration, start, entry)
    place.write(run_files.SUMMARY, told)
    if program.characters:
        place.write(run_files.VOCABULARY, {"characters": program.characters})
    for sink in sinks:
        sink.open()


def profile_of(run: RunOptions, folder: Path, start: int) -> Profile | None:
    """The trace of the steps that ``profile=`` names.

    Args:
      run: options of the run.
      folder: of the run.
      start: steps taken before it.

    Returns:
      The trace; ``None`` without ``profile=``.

    Raises:
      InputError: the run is past the first of these steps.
    """
    steps = throughput.profiled_steps(run)
    if steps is None:
        return None
    if start >= steps[0]:
        raise InputError(
            f"profile={run.profile} would trace nothing: the run is at step {start}"
        )
    return Profile(folder / run_files.PROFILE, *steps)


def at_start(
    begin: Callable[[], None] | None, profile: Profile | None, start: int
) -> Callable[[], None]:
    """Called when the step is compiled: claims the files, and may begin a trace."""

    def both() -> None:
        if begin is not None:
            begin()
        if profile is not None:
            profile.step(start)

    return both
