"""The module after the SPMD partitioner, before any pass of the backend."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.experimental.compilation_cache import compilation_cache


class Partitioned(NamedTuple):
    """A compiled program and its text as the partitioner left it.

    Attributes:
      compiled: the executable.
      text: the module after the partitioner: types are the program's own, nothing is
        combined yet; the final text where no such file was written.
      exact: whether it is the former.
    """

    compiled: Any
    text: str
    exact: bool


def compile_partitioned(lowered: Any, **options: Any) -> Partitioned:
    """Compile and keep the partitioner's text.

    Args:
      lowered: what ``jax.jit(f).lower(...)`` gives.
      **options: more compiler options.

    Returns:
      Both. The persistent cache is left aside: a program from there was not
      partitioned here.
    """
    with tempfile.TemporaryDirectory() as folder, _compiling_anew():
        dump = {"xla_dump_to": folder, "xla_dump_hlo_pass_re": "spmd-partition"}
        compiled = lowered.compile(compiler_options={**dump, **options})
        # Numbering differs between versions; only the end of the name is stable.
        found = sorted(Path(folder).glob("*after_spmd-partitioning*"))
        if len(found) == 1:
            return Partitioned(compiled, found[0].read_text(), exact=True)
    return Partitioned(compiled, compiled.as_text(), exact=False)


@contextlib.contextmanager
def _compiling_anew() -> Iterator[None]:
    before = jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue]
    jax.config.update("jax_compilation_cache_dir", None)
    # Whether there is a cache is asked once in a process, unless reset.
    compilation_cache.reset_cache()
    try:
        yield
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
        compilation_cache.reset_cache()
