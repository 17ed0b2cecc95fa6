"""Operations of a program, counted from its text."""

from __future__ import annotations

import math
import re

import numpy as np

from jaxopt_lab.lab.plan.module_text import Instruction, Module


def flops(module: Module) -> float:
    """Floating-point operations of all products and convolutions in one call.

    The compiler's own count (``cost_analysis``) takes the body of a loop once; this
    one as often as it runs. Two operations for each multiply-add. Elementwise work is
    left out, and so are products with the padding of a convolution.

    Args:
      module: the program of one device.

    Returns:
      The count for that device; NaN where a loop's trip count is not known.
    """
    total = 0.0
    for runs, computation, line in module.instructions():
        if line.opcode in ("dot", "convolution"):
            shapes = [x.shape for x in module.taken(computation, line)[:2]]
            count = _dot if line.opcode == "dot" else _convolution
            total += runs * count(line, shapes)
    return total


def _dot(line: Instruction, shapes: list[tuple[int, ...]]) -> float:
    found = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", line.text)
    axes = [int(n) for n in found.group(1).split(",") if n] if found else []
    contracted = math.prod(shapes[0][axis] for axis in axes)
    return 2.0 * math.prod(line.results[0].shape) * contracted


def _convolution(line: Instruction, shapes: list[tuple[int, ...]]) -> float:
    labels = re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", line.text)
    if labels is None:
        return math.nan
    image, kernel, result = (
        dict(zip(names, sizes, strict=True))
        for names, sizes in zip(
            labels.groups(), [*shapes, line.results[0].shape], strict=True
        )
    )
    window = re.search(r"window=\{([^}]*)\}", line.text)
    fields = dict(f.split("=") for f in window.group(1).split()) if window else {}
    # A group has input features of its own: those that its part of the kernel has.
    total = 2.0 * result["b"] * result["f"] * kernel["i"]
    for i, axis in enumerate(name for name in kernel if name.isdigit()):
        sizes = {
            name: int(value.split("x")[i])
            for name, value in fields.items()
            if name in ("stride", "lhs_dilate", "rhs_dilate")
        }
        low = int(fields["pad"].split("x")[i].split("_")[0]) if "pad" in fields else 0
        total *= _pairs(image[axis], kernel[axis], result[axis], low, **sizes)
    return total


def _pairs(
    side: int,
    size: int,
    out: int,
    low: int,
    stride: int = 1,
    lhs_dilate: int = 1,
    rhs_dilate: int = 1,
) -> int:
    """Pairs of output and tap along an axis that meet a pixel.

    Not padding, and no hole of a dilated image, of which the gradients of a
    convolution with a stride have many: those three convolutions all count the same.
    """
    at = np.arange(out)[:, None] * stride + np.arange(size)[None] * rhs_dilate - low
    inside = (at >= 0) & (at % lhs_dilate == 0) & (at // lhs_dilate < side)
    return int(np.sum(inside))
