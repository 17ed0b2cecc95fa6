"""Checks of the files of prepared tensorflow-datasets folders.

Damaged folders are found here, before the library reads them, because its own errors
are obscure or offer to download. The commands that the messages advise need
TensorFlow; reading their results does not.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from jaxopt_lab.core.errors import InputError

FILE_FORMAT = "array_record"
INFO = "dataset_info.json"
_VERSION = re.compile(r"\d+\.\d+\.\d+")


class HalfWrittenError(InputError):
    """A prepared folder lacks files, or what is in them cannot be read."""


def build_command(name: str, data_dir: Path) -> str:
    """The command that prepares a set.

    Args:
      name: name of the set, ``NAME`` or ``NAME/CONFIG``.
      data_dir: the folder for prepared sets.

    Returns:
      One line for a shell.

    >>> build_command("cifar10", Path("data"))
    'tfds build cifar10 --data_dir=data --file_format=array_record'
    """
    return f"tfds build {name} --data_dir={data_dir} --file_format={FILE_FORMAT}"


def find_prepared(name: str, data_dir: str | Path) -> Path:
    """The folder of a prepared set, checked for completeness.

    Args:
      name: ``NAME``, ``NAME/CONFIG`` or either with ``:VERSION``. Without a version,
        the newest that is there; without a configuration, the only one there is.
      data_dir: the folder that was given to ``tfds build`` as ``--data_dir``.

    Returns:
      The folder ``data_dir/NAME[/CONFIG]/VERSION``.

    Raises:
      InputError: it is not there, or is not in the format ``array_record``. The
        message holds the command that helps.
      HalfWrittenError: it exists, but is incomplete.
    """
    data_dir = Path(data_dir).expanduser()
    name, _, version = name.partition(":")
    if not re.fullmatch(r"\w+(/[\w.+-]+)?", name):
        raise InputError(
            f"{name!r} is no name of a TFDS set; accepted: NAME, NAME/CONFIG, either "
            "with :VERSION"
        )
    command = build_command(name, data_dir)
    if not data_dir.is_dir():
        raise InputError(f"no folder {data_dir}; {_prepare(command)}")
    top = data_dir / name
    versions = _versions(top)
    if not versions and "/" not in name and top.is_dir():
        configs = sorted(p.name for p in top.iterdir() if p.is_dir() and _versions(p))
        if len(configs) == 1:
            return find_prepared(f"{name}/{configs[0]}:{version}", data_dir)
        if configs:
            listed = ", ".join(f"{name}/{config}" for config in configs)
            raise InputError(
                f"{name} has several configurations in {data_dir}; accepted: {listed}"
            )
    if version and version not in versions:
        got = ", ".join(versions) or "none"
        raise InputError(f"no version {version} of {name} in {top}; there: {got}")
    if not versions:
        if top.is_dir() and any("incomplete" in p.name for p in top.rglob("*")):
            raise HalfWrittenError(
                f"{name} in {data_dir} is half-written (a build was interrupted); "
                f"build it again: {command}"
            )
        raise InputError(
            f"{name} is not prepared in {data_dir} (there: {_sets(data_dir)}); "
            f"{_prepare(command)}"
        )
    folder = top / (version or versions[-1])
    check_complete(folder, command)
    return folder


def _prepare(command: str) -> str:
    return f"prepare it on a machine with TensorFlow: {command}"


def _versions(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    names = [p.name for p in folder.iterdir() if _VERSION.fullmatch(p.name)]
    return sorted(names, key=lambda v: tuple(map(int, v.split("."))))


def _sets(data_dir: Path) -> str:
    names = sorted(p.name for p in data_dir.iterdir() if p.is_dir())
    shown = ", ".join(name for name in names if name != "downloads")
    return shown[:200] or "nothing"


def check_complete(folder: Path, command: str) -> None:
    """Check that all files of a prepared version are there, in our format.

    Args:
      folder: the folder of the version.
      command: the command to advise where something is missing.

    Raises:
      InputError: the records are in another format.
      HalfWrittenError: a file is missing, or the description is garbled.
    """

    def broken(what: str) -> HalfWrittenError:
        return HalfWrittenError(
            f"{folder} is half-written ({what}); remove it and build it again: "
            f"{command}"
        )

    for file in (INFO, "features.json"):
        if not (folder / file).is_file():
            raise broken(f"no {file}")
    try:
        info: dict[str, Any] = json.loads((folder / INFO).read_text())
        formats = [info["fileFormat"], *info.get("alternativeFileFormats", [])]
        shards = [
            shard for split in info["splits"] for shard in _shards(info["name"], split)
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise broken(f"{INFO} is garbled") from None
    if FILE_FORMAT not in formats:
        raise InputError(
            f"{folder} holds {formats[0]} files, which need TensorFlow; convert them "
            "on a machine that has it with: tfds convert_format "
            f"--dataset_version_dir={folder} --out_file_format={FILE_FORMAT}"
        )
    missing = [shard for shard in shards if not (folder / shard).is_file()]
    if missing:
        raise broken(f"{len(missing)} of {len(shards)} files missing: {missing[0]} ...")


def _shards(name: str, split: dict[str, Any]) -> list[str]:
    template = split.get("filepathTemplate") or (
        "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    )
    count = len(split.get("shardLengths", []))
    names = []
    for i in range(count):
        values = {
            "{DATASET}": name,
            "{SPLIT}": split["name"],
            "{FILEFORMAT}": FILE_FORMAT,
            "{SHARD_X_OF_Y}": f"{i:05d}-of-{count:05d}",
            "{SHARD_INDEX}": f"{i:05d}",
            "{NUM_SHARDS}": f"{count:05d}",
        }
        file = template
        for token, value in values.items():
            file = file.replace(token, value)
        names.append(file)
    return names
