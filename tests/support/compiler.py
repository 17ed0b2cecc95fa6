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
_SETTING = "jax_disable_most_optimizations"
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
        os.environ[_SETTING.upper()] = "true"


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

    For whole runs of commands and studies, which take a few steps, and for texts and
    faults. The parts that they are made of have tests of their own, which compile as
    users do.
    """
    import jax
    from jax._src import compiler

    get = compiler.get_compile_options
    flags = [flag for flag in _QUICK_FLAGS if known(flag)]

    def options(*args: Any, **named: Any) -> Any:
        found = get(*args, **named)
        more = [flag.removeprefix("--").split("=") for flag in flags]
        found.env_option_overrides += [(name, value == "true") for name, value in more]
        return found

    words = [os.environ.get("XLA_FLAGS", ""), *flags]
    inherited = {_SETTING.upper(): "true", "XLA_FLAGS": " ".join(words).strip()}
    before = {name: os.environ.get(name) for name in inherited}
    setting = jax.config.read(_SETTING)
    jax.config.update(_SETTING, True)
    os.environ.update(inherited)
    compiler.get_compile_options = options
    try:
        yield
    finally:
        compiler.get_compile_options = get
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
        jax.config.update(_SETTING, setting)


@functools.cache
def known(flag: str) -> bool:
    """Whether this jaxlib takes a flag; one that it does not know ends the process.

    So that it is not this one, another process is asked.
    """
    code = "from jaxlib import _jax; _jax.CompileOptions()"
    environ = {**os.environ, "XLA_FLAGS": flag}
    words = [sys.executable, "-c", code]
    return not subprocess.run(words, env=environ, capture_output=True).returncode
