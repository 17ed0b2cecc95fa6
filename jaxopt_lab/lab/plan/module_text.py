"""A compiled program's text: computations, how often they run, what they do."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

ITEMSIZE = {
    "f64": 8,
    "s64": 8,
    "u64": 8,
    "c64": 8,
    "c128": 16,
    "f32": 4,
    "s32": 4,
    "u32": 4,
    "bf16": 2,
    "f16": 2,
    "s16": 2,
    "u16": 2,
    "s8": 1,
    "u8": 1,
    "pred": 1,
}
_ARRAY = re.compile(r"\b([a-z]+\d*[a-z0-9]*)\[([\d,]*)\]")
_OPENS = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\) -> .* \{")
_DEFINES = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (.*)$")
_OPCODE = re.compile(r"^(\(.*?\)|\S+) ([\w\-]+)\(")
_CALLED = re.compile(
    r"(?:calls|to_apply|body|condition|true_computation|false_computation)"
    r"=%?([\w.\-]+)"
)
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")


class Array(NamedTuple):
    """Type and shape of one array in the text.

    Attributes:
      dtype: as the text writes it, ``"f32"``.
      shape: its sizes.
    """

    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> float:
        """Bytes of the array; 4-bit types count half, fp8 types one."""
        narrow = 0.5 if self.dtype.endswith("4") else 1.0
        return math.prod(self.shape) * ITEMSIZE.get(self.dtype, narrow)


class Instruction(NamedTuple):
    """One line of a computation.

    Attributes:
      name: its name.
      opcode: ``"dot"``, ``"all-reduce"`` and so on.
      results: the arrays it gives; several for a tuple.
      operands: names of what it takes; ``"name#3"``: one array of a tuple.
      text: the whole line after the name.
    """

    name: str
    opcode: str
    results: tuple[Array, ...]
    operands: tuple[str, ...]
    text: str


class Module(NamedTuple):
    """A program.

    Attributes:
      computations: instructions by name of the computation and name of the
        instruction.
      executions: how often each computation runs in one call of the program; NaN
        below a loop whose trip count the text does not tell.
    """

    computations: Mapping[str, Mapping[str, Instruction]]
    executions: Mapping[str, float]

    def instructions(self) -> list[tuple[float, str, Instruction]]:
        """All instructions that run: executions, computation, instruction."""
        return [
            (self.executions[name], name, line)
            for name, lines in self.computations.items()
            if self.executions.get(name, 0) != 0
            for line in lines.values()
        ]

    def taken(self, computation: str, line: Instruction) -> list[Array]:
        """The arrays that an instruction takes.

        Args:
          computation: the name of its computation.
          line: the instruction.

        Returns:
          One array for each operand; of a tuple that is taken whole, its first.
        """
        lines = self.computations[computation]
        pairs = [operand.partition("#")[::2] for operand in line.operands]
        return [lines[name].results[int(at or 0)] for name, at in pairs]


def read_module(text: str) -> Module:
    """Read the text of a program.

    Args:
      text: from ``compiled.as_text()`` or a dump, for instance that of the module
        after the SPMD partitioner.

    Returns:
      The module.

    Raises:
      ValueError: the text has no entry computation.
    """
    computations: dict[str, dict[str, Instruction]] = {}
    entry = current = ""
    for line in text.splitlines():
        opened = _OPENS.match(line)
        if opened:
            current = opened.group(2)
            computations[current] = {}
            entry = current if opened.group(1) else entry
        elif defined := _DEFINES.match(line):
            found = _instruction(defined.group(1), defined.group(2))
            if found is not None and current:
                computations[current][found.name] = found
    if not entry:
        raise ValueError("the text is no program: it has no ENTRY")
    return Module(computations, _executions(computations, entry))


def _instruction(name: str, rest: str) -> Instruction | None:
    found = _OPCODE.match(rest)
    if found is None:
        return None
    inside = _inside(rest, found.end() - 1)
    operands = tuple(re.findall(r"%([\w.\-]+(?:#\d+)?)", inside))
    return Instruction(name, found.group(2), arrays(found.group(1)), operands, rest)


def _inside(text: str, opening: int) -> str:
    """The text between the bracket at ``opening`` and its closing one."""
    depth = 0
    for i in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[i], 0)
        if depth == 0:
            return text[opening + 1 : i]
    return text[opening + 1 :]


def arrays(text: str) -> tuple[Array, ...]:
    """The arrays of a type, ``"(f32[2,3]{1,0}, s32[])"``."""
    return tuple(
        Array(dtype, tuple(int(n) for n in sizes.split(",") if n))
        for dtype, sizes in _ARRAY.findall(text)
    )


def _executions(
    computations: Mapping[str, Mapping[str, Instruction]], entry: str
) -> dict[str, float]:
    """Runs of each computation: those of its callers, times their loops' trips."""
    calls: dict[str, list[tuple[str, float]]] = {name: [] for name in computations}
    for caller, lines in computations.items():
        for line in lines.values():
            times = _trip_count(line, computations) if line.opcode == "while" else 1.0
            names = _CALLED.findall(line.text)
            for branches in _BRANCHES.findall(line.text):
                names += re.findall(r"%?([\w.\-]+)", branches)
            for name in names:
                if name in calls:
                    calls[name].append((caller, times))
    runs: dict[str, float] = {}

    def count(name: str) -> float:
        if name not in runs:
            runs[name] = 1.0 if name == entry else 0.0
            runs[name] += sum(count(c) * t for c, t in calls[name])
        return runs[name]

    return {name: count(name) for name in computations}


def _trip_count(
    loop: Instruction, computations: Mapping[str, Mapping[str, Instruction]]
) -> float:
    known = re.search(r'known_trip_count[^\d]*"?n"?\D*(\d+)', loop.text)
    if known:
        return float(known.group(1))
    condition = re.search(r"condition=%?([\w.\-]+)", loop.text)
    lines = computations.get(condition.group(1), {}) if condition else {}
    limits = [
        int(found.group(1))
        for line in lines.values()
        if line.opcode == "constant"
        and (found := re.match(r"s(?:32|64)\[\]\S* constant\((-?\d+)\)", line.text))
    ]
    below = any("direction=LT" in line.text for line in lines.values())
    return float(limits[0]) if below and len(limits) == 1 else math.nan
