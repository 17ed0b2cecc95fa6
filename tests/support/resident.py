"""Memory of a process of the suite: what it holds, and how it lets go of it.

A pytest plugin. Compiled programs and traces stay in jax's caches for ever; a process
that holds much drops them all, at the end of a file or, beyond more, after any test.
"""

from __future__ import annotations

import ctypes
import gc
import pathlib
import resource
import sys
from collections.abc import Iterator

import jax
import pytest

_AFTER_A_FILE = 1.2e9
_AFTER_A_TEST = 2.0e9
# What stays after a drop may be in use; another drop pays only beyond it.
_ABOVE_THE_LAST = 0.4e9
# Every compiled program takes a handful of memory mappings, of which Linux gives a
# process 65,530; beyond them XLA crashes.
_MANY_MAPPINGS = 30_000
_TESTS_BETWEEN_COUNTS = 40

_STATM = pathlib.Path("/proc/self/statm")
_MAPS = pathlib.Path("/proc/self/maps")
_kept = 0.0
_done = 0


def resident() -> float:
    """Bytes of this process in memory; 0 where the system does not say."""
    if not _STATM.exists():
        return 0.0
    return int(_STATM.read_text().split()[1]) * resource.getpagesize()


def peak() -> float:
    """Most bytes that this process has had in memory."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def drop() -> None:
    """Forget compiled programs and give free memory back to the system."""
    global _kept
    jax.clear_caches()
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
    _kept = resident()


def clear_module_caches(module: object) -> None:
    """Empty the ``lru_cache`` of each function of a test file that has run."""
    for value in list(vars(module).values()):
        clear = getattr(value, "cache_clear", None)
        if callable(clear) and getattr(value, "__module__", "") == module.__name__:
            clear()


def _many_mappings() -> bool:
    if _done % _TESTS_BETWEEN_COUNTS or not _MAPS.exists():
        return False
    return _MAPS.read_bytes().count(b"\n") > _MANY_MAPPINGS


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Iterator[None]:
    result = yield
    global _done
    _done += 1
    bar = _AFTER_A_TEST
    if nextitem is None or nextitem.path != item.path:
        bar = _AFTER_A_FILE
        clear_module_caches(getattr(item, "module", None) or sys.modules[__name__])
    if resident() > max(bar, _kept + _ABOVE_THE_LAST) or _many_mappings():
        drop()
    return result
