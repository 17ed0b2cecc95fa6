"""Optimizers whose state is smaller than the parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jaxopt_lab.transforms.compressed as compressed
from jaxopt_lab.catalog.schema import (
    DECAY,
    NON_NEGATIVE,
    POSITIVE,
    Interval,
    Method,
    Option,
)

_COUNT = Interval(1.0)
_FLOPS = {
    "flops": "finding the codes of two moments takes about a hundred operations a "
    "parameter; the plain step of the battery's small network, over a thousand "
    "examples, has five thousand"
}
_ADAMW: Mapping[str, Option] = {
    "learning_rate": Option(
        1e-3, "step size; a schedule may stand for it", NON_NEGATIVE
    ),
    "b1": Option(0.9, "decay of the mean of the gradients", DECAY),
    "b2": Option(0.999, "decay of the mean of their squares", DECAY),
    "eps": Option(1e-8, "added to the root of the second moment", POSITIVE),
    "weight_decay": Option(1e-4, "decoupled decay, times the step size", NON_NEGATIVE),
}
_MIN_SIZE = Option(
    4096, "elements from which on a tensor's moments are coded", _COUNT, static=True
)
_STOCHASTIC = Option(False, "round without bias, by a key", static=True)


def _block(default: int) -> Option:
    return Option(default, "elements that share a scale", _COUNT, static=True)


def _adamw(
    factory: Callable[..., Any], options: dict[str, Option], **facts: Any
) -> Method:
    """A row of AdamW with its moments as codes."""
    return Method(
        name=factory.__name__,
        family="compressed",
        kind="optimizer",
        factory=factory,
        options={**_ADAMW, **options, "min_size": _MIN_SIZE, "stochastic": _STOCHASTIC},
        gradients=1,
        # Of tensors of less than two chunks; 4.2, the updates, of larger ones.
        temp_bytes="16",
        needs=frozenset({"params"}),
        # Codes pass no derivative on; what there is of it is finite.
        differentiable=False,
        **facts,
    )


ROWS = (
    _adamw(
        compressed.adamw8bit,
        {"block": _block(256)},
        summary="AdamW with its moments in 8 bits, block by block",
        known_failures=_FLOPS,
        state_bytes="2 + 8 / block",
        paper="Dettmers et al. 2022, arXiv:2110.02861",
        code="bitsandbytes, torchao",
        vectors="adam_lowbit",
    ),
    _adamw(
        compressed.adamw4bit,
        {"block": _block(128)},
        summary="AdamW with its moments in 4 bits, block by block",
        known_failures=_FLOPS,
        state_bytes="1 + 8 / block",
        paper="Li, Chen and Zhu 2023, arXiv:2309.01507",
        code="torchao",
        vectors="adam_lowbit",
    ),
    _adamw(
        compressed.adamw_fp8,
        {
            "block": _block(256),
            "dtype": Option(
                "float8_e4m3fn",
                "which 8-bit float",
                ("float8_e4m3fn", "float8_e5m2"),
                static=True,
            ),
        },
        summary="AdamW with its moments as 8-bit floats, block by block",
        state_bytes="2 + 8 / block",
        paper="after Dettmers et al. 2022, arXiv:2110.02861",
        code="torchao",
        vectors="adam_lowbit",
    ),
    _adamw(
        compressed.adamw_linear,
        {
            "block": Option(
                "row",
                "what shares a step: the last axis or the whole tensor",
                ("row", "tensor"),
                static=True,
            ),
            "bits": Option(
                8, "bits of the first moment: 4 or 8", Interval(4.0, 8.0), static=True
            ),
            "symmetric": Option(True, "codes around zero", static=True),
            "second_moment": Option(
                "float32",
                "what the second moment is stored as",
                ("float32", "dynamic", "linear"),
                static=True,
            ),
        },
        summary="AdamW with its first moment in equal steps, row by row",
        # A step for each row, here of 128 elements.
        state_bytes="4 + bits / 8 + 4 / 128",
        paper="Chitsaz et al. 2024, arXiv:2407.11722",
        code="chandar-lab/EfficientLLMs",
        vectors="adam_linear_quant",
    ),
)
