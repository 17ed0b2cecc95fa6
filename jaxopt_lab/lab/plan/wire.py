"""Messages of a program between devices, by kind and mesh axis."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxopt_lab.lab.plan.module_text import Array, Instruction, Module

_IOTA = r"\[([\d,]+)\](?:T\(([\d,]+)\))?"

KINDS = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "all-to-all",
    "collective-permute",
)


class Sent(NamedTuple):
    """One array that one collective sends.

    Attributes:
      kind: ``"all-reduce"``, ``"all-gather"`` and so on.
      axes: the mesh axes over which its groups extend; ``("?",)`` where they are no
        product of axes.
      array: the largest of its whole arrays on one device: the operand of a reduction,
        the result of a gathering.
      group: number of devices that take part together.
      executions: how often it runs in a call; NaN if that is unknown.
    """

    kind: str
    axes: tuple[str, ...]
    array: Array
    group: int
    executions: float

    @property
    def ring_bytes(self) -> float:
        """Bytes that each device sends around a ring, all executions together."""
        rounds = 2.0 if self.kind == "all-reduce" else 1.0
        share = (self.group - 1) / self.group
        if self.kind == "collective-permute":
            share = 1.0
        return rounds * share * self.array.nbytes * self.executions


def sent(module: Module, mesh: Mapping[str, int]) -> list[Sent]:
    """Every array that a program's collectives send.

    Args:
      module: the program. The text after the SPMD partitioner is the one to read:
        later, backends combine, promote and rewrite collectives.
      mesh: sizes of the mesh axes by name, outermost first.

    Returns:
      One entry for each array of each collective over more than one device.

    Raises:
      ValueError: groups in an unknown spelling.
    """
    found = []
    for runs, computation, line in module.instructions():
        kind = line.opcode.removesuffix("-start")
        if kind not in KINDS:
            continue
        groups = _groups(line, math.prod(mesh.values()))
        if groups.shape[1] < 2:
            continue
        axes = _axes(groups, mesh, whole=kind != "collective-permute")
        given = module.taken(computation, line)
        # The start of an asynchronous collective gives operands and results.
        results = line.results[-len(given) :] if given else line.results
        for a, b in zip(given, results, strict=True):
            array = max(a, b, key=lambda x: x.nbytes)
            found.append(Sent(kind, axes, array, groups.shape[1], runs))
    return found


def _groups(line: Instruction, devices: int) -> np.ndarray:
    """Device numbers, shape (groups, devices of a group)."""
    text = line.text
    if pairs := re.search(r"source_target_pairs=\{(.*?)\}\}", text):
        ids = np.array(re.findall(r"(\d+),(\d+)", pairs.group(1)), int)
        return (
            ids[ids[:, 0] != ids[:, 1]].reshape(-1, 2)
            if len(ids)
            else np.zeros((0, 1), int)
        )
    if named := re.search(
        rf"replica_groups=mesh\[([^\]]*)\](?:,? ?device_ids=\({_IOTA}\))?\s*"
        r"\{([^}]*)\}",
        text,
    ):
        sizes = {k: int(n) for k, n in re.findall(r"'([^']+)'=(\d+)", named.group(1))}
        groups = _over(sizes, re.findall(r"'([^']+)'", named.group(4)))
        return groups if named.group(2) is None else _iota(*named.groups()[1:3])[groups]
    if iota := re.search(rf"replica_groups=\[(\d+),(\d+)\]<={_IOTA}", text):
        return _iota(*iota.groups()[2:4]).reshape(int(iota.group(1)), -1)
    if listed := re.search(r"replica_groups=\{(\{.*?\})\}", text):
        rows = re.findall(r"\{([\d,]+)\}", listed.group(1))
        return np.array([[int(n) for n in row.split(",")] for row in rows])
    if "replica_groups={}" in text or "replica_groups" not in text:
        return np.arange(devices)[None]
    raise ValueError(f"unknown spelling of the groups: {text}")


def _iota(shape: str, order: str | None) -> np.ndarray:
    """Device numbers in a row, written as a shape and the order of its axes."""
    sizes = [int(n) for n in shape.split(",")]
    ids = np.arange(math.prod(sizes)).reshape(sizes)
    if order:
        ids = ids.transpose([int(n) for n in order.split(",")])
    return ids.ravel()


def _over(sizes: Mapping[str, int], axes: Sequence[str]) -> np.ndarray:
    """The groups of devices that differ along some axes only."""
    names = list(sizes)
    ids = np.arange(math.prod(sizes.values())).reshape(tuple(sizes.values()))
    rest = [i for i, name in enumerate(names) if name not in axes]
    own = [i for i, name in enumerate(names) if name in axes]
    group = math.prod(sizes[names[i]] for i in own)
    return ids.transpose(rest + own).reshape(-1, group)


def _axes(groups: np.ndarray, mesh: Mapping[str, int], whole: bool) -> tuple[str, ...]:
    """The mesh axes that the groups fill, or (not ``whole``) move along."""
    wanted = {frozenset(row) for row in groups.tolist()}
    names = [name for name, size in mesh.items() if size > 1]
    for count in range(1, len(names) + 1):
        for axes in itertools.combinations(names, count):
            have = {frozenset(row) for row in _over(mesh, axes).tolist()}
            if have == wanted:
                return axes
            if not whole and all(any(w <= h for h in have) for w in wanted):
                return axes
    return ("?",)


def by_axis(found: Sequence[Sent]) -> dict[tuple[str, tuple[str, ...]], float]:
    """Ring bytes of each device by kind and mesh axes, scalars included."""
    total: dict[tuple[str, tuple[str, ...]], float] = {}
    for one in found:
        key = (one.kind, one.axes)
        total[key] = total.get(key, 0.0) + one.ring_bytes
    return total
