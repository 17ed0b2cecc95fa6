"""Bytes that a compiled program holds."""

from __future__ import annotations

from typing import Any


def peak_bytes(program: Any) -> int:
    """Bytes alive at most while a program runs, by its compiler.

    Args:
      program: what ``jax.jit(f).lower(...).compile()`` gives.

    Returns:
      Arguments, temporaries and outputs, less what outputs share with donated
      arguments.
    """
    memory = program.memory_analysis()
    held = memory.argument_size_in_bytes + memory.output_size_in_bytes
    return held + memory.temp_size_in_bytes - memory.alias_size_in_bytes
