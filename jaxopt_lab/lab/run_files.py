"""The files of a run's folder: those that the lab writes, and no others."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.files import reason
from jaxopt_lab.runtime.folder_lock import LOCK
from jaxopt_lab.runtime.run_folder import CONFIG

METRICS = "metrics.jsonl"
SUMMARY = "summary.json"
HISTORY = "history.jsonl"
VOCABULARY = "vocabulary.json"
CURVES = "curves.png"
CHECKPOINTS = "checkpoints"
TENSORBOARD = "tensorboard"
CSV = "csv"
PROFILE = "profile"
REPORT = "report.html"
CURVATURE = "curvature"
EXPORTS = ("weights.npz", "weights.safetensors", "model.stablehlo")

_FILES = (METRICS, SUMMARY, HISTORY, VOCABULARY, CURVES, REPORT, CONFIG, *EXPORTS)
_TOP = re.compile(
    "|".join(
        # write_atomically names its temporary files after the file that they become.
        rf"{re.escape(name)}|\.{re.escape(name)}\..+"
        for name in _FILES
    )
    + rf"|{re.escape(LOCK)}"
)
_BELOW = {
    CHECKPOINTS: re.compile(
        r"\d+(\.replaced|\.unreadable|\.orbax-checkpoint-tmp.*)?|\.lock"
    ),
    TENSORBOARD: re.compile(r"\.?events\.out\.tfevents\..+"),
    CSV: re.compile(r"\.?\w+\.csv(\..+)?"),
    PROFILE: re.compile("plugins"),
    CURVATURE: re.compile(r"curvature-\d+\.npz"),
    "calibration": re.compile(r"results\.json|reliability\.png"),
    "inspect": re.compile(
        r"report\.html|results\.jsonl|arrays\.npz|"
        r"(spectrum|layers|line|surface|alphas|contours|curves|along)\.png"
    ),
}
_IDENTITY = {"method", "task", "model", "steps"}


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run of the lab.

    Args:
      folder: the folder; need not exist.

    Returns:
      True where its ``config.json``, or the first line of its history, is the
      configuration of a run; other programs have files of these names too.
    """
    with contextlib.suppress(OSError, ValueError):
        settings = json.loads((folder / CONFIG).read_bytes())
        return isinstance(settings, dict) and settings.keys() >= _IDENTITY
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        # Killed before the configuration was written.
        line = (folder / HISTORY).read_text().partition("\n")[0]
        return {*json.loads(line)["configuration"]} >= _IDENTITY
    return False


def is_unused(path: Path) -> bool:
    """Whether a file or folder is left of a run that was killed before its first step.

    Args:
      path: an entry of a folder that holds no run.
    """
    if path.name == CHECKPOINTS and path.is_dir():
        return not any(path.iterdir())
    return path.name == LOCK or path.name.startswith((f".{HISTORY}.", f".{CONFIG}."))


def next_free(stem: str, root: Path | None) -> Path:
    """The next free folder of a name, with a number behind it.

    Args:
      stem: the name; colons and slashes become hyphens.
      root: where it goes; ``runs`` by default.

    Returns:
      The path; nothing is made.
    """
    root = Path("runs") if root is None else root
    stem = stem.replace(":", "-").replace("/", "-")
    number = 1
    while (root / f"{stem}-{number:03d}").exists():
        number += 1
    return root / f"{stem}-{number:03d}"


def refuse_foreign(folder: Path, names: Sequence[str], what: str) -> None:
    """Refuse a folder with files of something else.

    Args:
      folder: the folder.
      names: of the files that are foreign; none: it is accepted.
      what: stands there else: a run, a comparison, a tuning.

    Raises:
      InputError: there are such files.
    """
    if names:
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        raise InputError(
            f"out={folder} holds files that are no {what} ({shown}); give a folder of "
            "its own"
        )


def foreign(folder: Path) -> list[str]:
    """The names in a folder that the lab has not written.

    Args:
      folder: an existing folder.

    Returns:
      Sorted names; for a folder that the lab makes, the names below it.
    """
    ours = set(_written(folder))
    names = []
    for path in sorted(folder.iterdir()):
        if path in ours:
            continue
        if path.name in _BELOW and path.is_dir():
            names += [f"{path.name}/{p.name}" for p in path.iterdir() if p not in ours]
        else:
            names.append(path.name)
    return names


def remove_written(folder: Path) -> None:
    """Remove what the lab has written into a folder, and nothing else.

    Args:
      folder: the folder; it stays, even empty. A link is removed, never its target.

    Raises:
      InputError: a file cannot be removed. ``config.json`` is removed last, so that
        what is left is still known as a run.
    """
    files = sorted(_written(folder), key=lambda p: p.name == CONFIG)
    try:
        for path in files:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"cannot remove {error.filename}: {reason(error)}") from None
    for name in _BELOW:
        with contextlib.suppress(OSError):  # not there, a link, or not empty
            (folder / name).rmdir()


def remove_later(folder: Path, step: int) -> None:
    """Remove the densities of steps that a resumed run takes again.

    Args:
      folder: of the run.
      step: the step from which it goes on.
    """
    for path in (folder / CURVATURE).glob("curvature-*.npz"):
        number = path.stem.removeprefix("curvature-")
        if number.isdecimal() and int(number) > step:
            path.unlink(missing_ok=True)


def read_summary(folder: Path) -> dict[str, Any]:
    """The summary of a run.

    Args:
      folder: of the run.

    Returns:
      Its figures; empty where there is none, or none that can be read.
    """
    with contextlib.suppress(OSError, ValueError):
        summary = json.loads((folder / SUMMARY).read_bytes())
        if isinstance(summary, dict):
            return summary
    return {}


def read_characters(folder: Path) -> str:
    """The characters of a run on text, by token.

    Args:
      folder: of the run.

    Returns:
      Them; empty where none are written: a run on others, or of an older version.
    """
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads((folder / VOCABULARY).read_bytes())["characters"]
        if isinstance(found, str):
            return found
    return ""


def _written(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name in _BELOW and path.is_dir():
            fits = _BELOW[path.name]
            yield from (p for p in path.iterdir() if fits.fullmatch(p.name))
        elif _TOP.fullmatch(path.name):
            yield path
