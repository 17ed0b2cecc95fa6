"""Collectives and bytes sent by a compiled program, for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jaxopt_lab.lab.plan.module_text import read_module
from jaxopt_lab.lab.plan.partitioned import compile_partitioned
from jaxopt_lab.lab.plan.wire import Sent, sent


def partitioned_text(lowered: Any) -> str:
    """The module after the SPMD partitioner; fails where it was not written."""
    found = compile_partitioned(lowered)
    assert found.exact, "no module after the partitioner"
    return found.text


def collectives(text: str, mesh: Mapping[str, int]) -> list[Sent]:
    """Every array that the module's collectives send; see ``wire.sent``."""
    return sent(read_module(text), mesh)


def all_reduced(found: Sequence[Sent]) -> float:
    """Bytes that each device sends around the ring, scalars left out.

    Args:
      found: what ``collectives`` found; anything but all-reduces is an error.

    Returns:
      The bytes; the loss and the metrics, which are scalars, do not count.
    """
    for one in found:
        assert one.kind == "all-reduce", f"no all-reduce: {one}"
    return sum(one.ring_bytes for one in found if one.array.shape)
