"""How programs are compiled in the plain run: quickly; most of its time is that.

The full run compiles them as users do, but for those of ``quickly``. Only the
compiler's effort differs: what a program computes, allocates and sends is decided
before.
"""

import contextlib
import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

_CHOICE = "JAXOPT_LAB_TESTS_COMPILER"
# The older emitters make a program of a few operations in two thirds of the time. Fewer
# modules of LLVM (``--xla_cpu_parallel_codegen_split_count=1``) would save a twentieth,
# but some programs then compute wrong numbers.
_QUICK_FLAGS = ("--xla_cpu_use_fusion_emitters=false",)

_PROGRAMS_OF_A_CONTEXT = 100


def choose() -> None:
    """Set XLA's flags, before jax starts; its processes inherit them."""
    if _CHOICE in os.environ:
        return
    os.environ[_CHOICE] = "as users" if "--full" in sys.argv else "quick"
    if quick():
        flags = [os.environ.get("XLA_FLAGS", "")]
        flags += [flag for flag in _QUICK_FLAGS if known(flag)]
        os.environ["XLA_FLAGS"] = " ".join(flags).strip()
        os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "true"


def share_contexts() -> None:
    """Let many programs be lowered in one MLIR context, once jax is loaded.

    jax makes one for each, with all of its dialects: a fifth to a third of what a
    program of one operation takes. The programs are the same.
    """
    from jax._src.interpreters import mlir

    make = getattr(mlir, "make_ir_context", None)
    if make is None:
        return
    contexts: list[Any] = []
    made = 0

    def shared() -> Any:
        nonlocal made
        # What is uniqued in a context, constants too, stays as long as it does.
        if made % _PROGRAMS_OF_A_CONTEXT == 0:
            contexts[:] = [make()]
        made += 1
        return contexts[0]

    mlir.make_ir_context = shared


def quick() -> bool:
    """Whether this run compiles with little effort."""
    return os.environ.get(_CHOICE) == "quick"


@contextlib.contextmanager
def quickly() -> Iterator[None]:
    """A context, or a decorator, in which the full run compiles with little effort too.

    For programs that run once or twice, where another test compiles the same
    computation as users do or no number is compared.
    """
    import jax

    name = "jax_disable_most_optimizations"
    before = jax.config.read(name)
    jax.config.update(name, True)
    try:
        yield
    finally:
        jax.config.update(name, before)


@functools.cache
def known(flag: str) -> bool:
    """Whether this jaxlib takes a flag; one that it does not know ends the process.

    So that it is not this one, another process is asked.
    """
    code = "from jaxlib import _jax; _jax.CompileOptions()"
    environ = {**os.environ, "XLA_FLAGS": flag}
    words = [sys.executable, "-c", code]
    return not subprocess.run(words, env=environ, capture_output=True).returncode
