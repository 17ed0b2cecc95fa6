"""Bytes that a compiled program reads from and writes to memory, from its text.

The compiler's own ``bytes accessed`` takes the body of a loop once, and counts what
lies in the small fast memory of a TPU like the rest. Here each instruction counts what
it reads and writes in the large memory, as often as it runs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jaxopt_lab.lab.plan.module_text import Array, Instruction, Module, read_module

_TYPED = re.compile(r"\b([a-z]+\d*[a-z0-9]*)\[([\d,]*)\](\{[^{}]*\})?")
# Names, parts and views of arrays; what they stand for is counted where it is used.
_FREE = frozenset(
    [
        "parameter",
        "constant",
        "tuple",
        "get-tuple-element",
        "bitcast",
        "after-all",
        "partition-id",
        "replica-id",
        "add-dependency",
        "domain",
        "opt-barrier",
        "while",
        "conditional",
        "call",
    ]
)
_INNER = re.compile(
    r"(?:body|condition|true_computation|false_computation|to_apply)=%?([\w.\-]+)"
)
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_SLICES = ("dynamic-slice", "slice", "gather")


class Traffic(NamedTuple):
    """Bytes of one call of a program.

    Attributes:
      known: of everything that runs a known number of times; every branch of a
        conditional counts as taken.
      unknown: of one turn of each loop whose number of turns the text does not tell.
    """

    known: float
    unknown: float


def traffic(text: str) -> Traffic:
    """Read and written bytes of a program.

    Args:
      text: from ``compiled.as_text()``.

    Returns:
      The bytes on one device.
    """
    module = read_module(text)
    known = unknown = 0.0
    for name in _reached(module, text):
        runs = module.executions[name]
        lines = module.computations[name]
        moved = sum(_moved(line, lines, module) for line in lines.values())
        if math.isnan(runs):
            unknown += moved
        else:
            known += runs * moved
    return Traffic(known, unknown)


def _reached(module: Module, text: str) -> list[str]:
    """The entry, and the bodies and branches that it calls; not those of fusions."""
    found = re.search(r"^ENTRY %?([\w.\-]+) ", text, re.MULTILINE)
    assert found is not None, "read_module has found it"
    reached = [found.group(1)]
    for name in reached:
        for line in module.computations[name].values():
            if line.opcode not in ("while", "conditional", "call"):
                continue
            inner = _INNER.findall(line.text)
            for branches in _BRANCHES.findall(line.text):
                inner += re.findall(r"%?([\w.\-]+)", branches)
            reached += [x for x in inner if x not in reached]
    return reached


def _results(line: Instruction) -> list[tuple[Array, bool]]:
    """The arrays of an instruction, and whether each lies in the large memory."""
    head = line.text[: line.text.find(f" {line.opcode}(")]
    return [
        (
            Array(dtype, tuple(int(n) for n in sizes.split(",") if n)),
            re.search(r"S\([1-9]\d*\)", layout) is None,
        )
        for dtype, sizes, layout in _TYPED.findall(head)
    ]


def _operand(name: str, lines: Mapping[str, Instruction]) -> list[tuple[Array, bool]]:
    name, _, at = name.partition("#")
    if name not in lines:
        return []
    found = _results(lines[name])
    return found[int(at) : int(at) + 1] if at else found


def _large(arrays: Sequence[tuple[Array, bool]]) -> float:
    return sum(array.nbytes for array, large in arrays if large)


def _moved(
    line: Instruction, lines: Mapping[str, Instruction], module: Module
) -> float:
    """Bytes that one run of an instruction moves."""
    if line.opcode in _FREE or line.opcode.endswith("-done"):
        return 0.0
    if 'custom_call_target="ConcatBitcast"' in line.text:
        return 0.0
    results = _results(line)
    if line.opcode in ("copy-start", "slice-start"):
        # What it gives: the copy and the source, in this or the other order.
        taken = [x for name in line.operands for x in _operand(name, lines)]
        size = min(array.nbytes for array, _ in results if array.shape)
        there = [large for array, large in results if array.nbytes == size]
        writes = there[0] if line.opcode == "copy-start" else there[-1]
        return size * (sum(large for _, large in taken[:1]) + bool(writes))
    if line.opcode == "fusion":
        return _of_fusion(line, lines, module)
    if line.opcode in _SLICES:
        return 2 * _large(results)
    if line.opcode == "dynamic-update-slice":
        return 2 * _large(_operand(line.operands[1], lines))
    taken = [x for name in line.operands for x in _operand(name, lines)]
    if line.opcode.endswith("-start"):
        # Its results repeat the operands.
        return _large(results)
    return _large(taken) + _large(results)


def _of_fusion(
    line: Instruction, lines: Mapping[str, Instruction], module: Module
) -> float:
    called = re.search(r"calls=%?([\w.\-]+)", line.text)
    if called is None:
        return _large(_results(line))
    inside = module.computations[called.group(1)]
    total = 0.0
    for taken in inside.values():
        number = re.search(r" parameter\((\d+)\)", taken.text)
        if number is None:
            continue
        given = _operand(line.operands[int(number.group(1))], lines)
        if given and given[0][1]:
            total += _read(taken.name, given[0][0], inside)
    root = list(inside.values())[-1]
    written = root.operands if root.opcode == "tuple" else (root.name,)
    for (array, large), name in zip(_results(line), written, strict=False):
        if large:
            total += _written(name, array, inside)
    return total


def _is_view(line: Instruction) -> bool:
    """Whether it gives its operand another shape, or other tiles, in place."""
    views = ("bitcast", "reshape")
    return line.opcode in views or "output_to_operand_aliasing" in line.text


def _read(name: str, whole: Array, inside: Mapping[str, Instruction]) -> float:
    """Bytes that a fusion reads of one operand: all, or the slices of it alone."""
    total = 0.0
    for line in inside.values():
        if name not in line.operands:
            continue
        if _is_view(line):
            total += _read(line.name, whole, inside)
        elif line.opcode in _SLICES and line.operands[0] == name:
            total += line.results[0].nbytes
        elif line.opcode in ("dynamic-update-slice", "scatter"):
            # Written in place; what is written counts as a result.
            total += 0.0 if line.operands[0] == name else whole.nbytes
        else:
            return whole.nbytes
    return min(total, whole.nbytes)


def _written(name: str, whole: Array, inside: Mapping[str, Instruction]) -> float:
    """Bytes of one result: all, or the part that is updated in place."""
    line = inside.get(name)
    while line is not None and _is_view(line):
        line = inside.get(line.operands[0])
    if line is None or line.opcode not in ("dynamic-update-slice", "scatter"):
        return whole.nbytes
    update = inside.get(line.operands[1 if line.opcode != "scatter" else 2])
    return whole.nbytes if update is None else update.results[0].nbytes
