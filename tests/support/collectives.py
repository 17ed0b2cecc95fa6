"""What a compiled program sends between devices, read from its text."""

from __future__ import annotations

import contextlib
import pathlib
import re
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

_ITEMSIZE = {"f64": 8, "f32": 4, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "pred": 1}
_KINDS = "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute"
_COLLECTIVE = re.compile(rf"= (.*?) ({_KINDS})(?:-start)?\(")
_ARRAY = re.compile(r"\b([a-z]+\d*)\[([\d,]*)\]")


class Collective(NamedTuple):
    """One array that one collective sends.

    Attributes:
      kind: ``"all-reduce"``, ``"all-gather"`` and so on.
      shape: shape of the array on one device.
      itemsize: bytes of one element.
      group: number of devices that take part together.
    """

    kind: str
    shape: tuple[int, ...]
    itemsize: int
    group: int

    @property
    def ring_bytes(self) -> float:
        """Bytes that each device sends in an all-reduce around a ring."""
        assert self.kind == "all-reduce", f"no rule for {self.kind}"
        size = int(np.prod(self.shape)) * self.itemsize
        return 2 * (self.group - 1) / self.group * size


def partitioned_text(lowered: Any) -> str:
    """The module after the SPMD partitioner, before any pass of the backend.

    There types are the program's own and nothing is combined yet.

    Args:
      lowered: what ``jax.jit(f).lower(...)`` gives.

    Returns:
      The text.
    """
    with tempfile.TemporaryDirectory() as folder, _compiling_anew():
        lowered.compile(
            compiler_options={
                "xla_dump_to": folder,
                "xla_dump_hlo_pass_re": "spmd-partition",
            }
        )
        found = sorted(pathlib.Path(folder).glob("*after_spmd-partitioning*"))
        assert len(found) == 1, f"modules after the partitioner: {found}"
        return found[0].read_text()


@contextlib.contextmanager
def _compiling_anew() -> Iterator[None]:
    """Without the persistent cache: a program from there was not compiled here."""
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    # Whether there is a cache is asked once in a process, unless reset.
    compilation_cache.reset_cache()
    try:
        yield
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
        compilation_cache.reset_cache()


def collectives(text: str, devices: int) -> list[Collective]:
    """Every array that the module's collectives send.

    Args:
      text: a module; its collectives must not stand in loops, where what runs
        several times is written once.
      devices: number of devices, for groups that are not spelled out.

    Returns:
      One entry for each array of each collective.

    Raises:
      ValueError: a collective stands in a loop, or its groups are in an unknown
        spelling.
    """
    found, computation, repeated = [], "", _in_loops(text)
    for line in text.splitlines():
        computation = _opened(line) or computation
        match = _COLLECTIVE.search(line)
        if match is None:
            continue
        if computation in repeated:
            raise ValueError(f"a collective in a loop: {line.strip()}")
        group = _group_size(line, devices)
        for dtype, dims in _ARRAY.findall(match.group(1)):
            shape = tuple(int(n) for n in dims.split(",") if n)
            found.append(Collective(match.group(2), shape, _ITEMSIZE[dtype], group))
    return found


def _opened(line: str) -> str:
    """Name of the computation that begins with this line, or nothing."""
    match = re.match(r"(?:ENTRY )?(%[\w.\-]+) \(.*\{$", line)
    return match.group(1) if match else ""


def _in_loops(text: str) -> set[str]:
    """Names of the computations that a loop runs, directly or not."""
    calls: dict[str, set[str]] = {}
    computation, found = "", []
    for line in text.splitlines():
        computation = _opened(line) or computation
        names = set(re.findall(r"%[\w.\-]+", line.partition(" = ")[2]))
        calls.setdefault(computation, set()).update(names)
        if " while(" in line:
            found += re.findall(r"(?:body|condition)=(%[\w.\-]+)", line)
    repeated: set[str] = set()
    while found:
        name = found.pop()
        if name in calls and name not in repeated:
            repeated.add(name)
            found += calls[name]
    return repeated


def _group_size(line: str, devices: int) -> int:
    named = re.search(r"replica_groups=mesh\[([^\]]*)\]\s*\{([^}]*)\}", line)
    if named:
        sizes = dict(re.findall(r"'(\w+)'=(\d+)", named.group(1)))
        return int(np.prod([int(sizes[a]) for a in re.findall(r"\w+", named.group(2))]))
    iota = re.search(r"replica_groups=\[(\d+),(\d+)\]<=", line)
    if iota:
        return int(iota.group(2))
    listed = re.search(r"replica_groups=\{\{([\d,]+)\}", line)
    if listed:
        return len(listed.group(1).split(","))
    if "replica_groups={}" in line or "replica_groups" not in line:
        return devices
    raise ValueError(f"unknown spelling of the groups: {line}")


def all_reduced(sent: Sequence[Collective]) -> float:
    """Bytes that each device sends around the ring, scalars left out.

    Args:
      sent: what ``collectives`` found; anything but all-reduces is an error.

    Returns:
      The bytes; the loss and the metrics, which are scalars, do not count.
    """
    return sum(c.ring_bytes for c in sent if c.shape)
