"""Operations of a program, counted from its text."""

from __future__ import annotations

import math
import re

from experiments.plan.module_text import Instruction, Module


def flops(module: Module) -> float:
    """Floating-point operations of all products and convolutions in one call.

    The compiler's own count (``cost_analysis``) takes the body of a loop once; this
    one as often as it runs. Two operations for each multiply-add. Elementwise work is
    left out.

    Args:
      module: the program of one device.

    Returns:
      The count for that device; NaN where a loop's trip count is not known.
    """
    total = 0.0
    for runs, computation, line in module.instructions():
        if line.opcode in ("dot", "convolution"):
            shapes = [
                module.computations[computation][name].results[0].shape
                for name in line.operands[:2]
            ]
            count = _dot if line.opcode == "dot" else _convolution
            total += runs * count(line, shapes)
    return total


def _dot(line: Instruction, shapes: list[tuple[int, ...]]) -> float:
    found = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", line.text)
    axes = [int(n) for n in found.group(1).split(",") if n] if found else []
    contracted = math.prod(shapes[0][axis] for axis in axes)
    return 2.0 * math.prod(line.results[0].shape) * contracted


def _convolution(line: Instruction, shapes: list[tuple[int, ...]]) -> float:
    labels = re.search(r"dim_labels=\w+_(\w+)->", line.text)
    if labels is None:
        return math.nan
    # All axes of the kernel but its output features; a group has its own inputs.
    per_output = math.prod(
        size
        for label, size in zip(labels.group(1), shapes[1], strict=True)
        if label != "o"
    )
    return 2.0 * math.prod(line.results[0].shape) * per_output
