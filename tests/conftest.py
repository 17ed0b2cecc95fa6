"""Settings of the whole suite; they must come before jax starts."""

import os
import pathlib

os.environ.setdefault("JAX_PLATFORMS", "cpu")
_FLAG = "--xla_force_host_platform_device_count=8"
if _FLAG not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_FLAG}".strip()
os.environ.setdefault("MPLBACKEND", "Agg")

import jax
import pytest

_CACHE = os.environ.get("JAX_COMPILATION_CACHE_DIR") or str(
    pathlib.Path.home() / ".cache" / "jaxopt_lab" / "xla-tests"
)

jax.config.update("jax_enable_x64", True)
# Not dtype promotion "strict": optax's own Adam does not trace under it. Our rows
# of the catalog do, and the battery holds them to it.
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_compilation_cache_dir", _CACHE)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

# Every compiled program takes a handful of memory mappings, of which Linux gives a
# process 65,530; beyond them XLA crashes.
_MANY_MAPPINGS = 30_000
_TESTS_BETWEEN_LOOKS = 40
_done = 0


@pytest.fixture(autouse=True)
def drop_compiled_programs():
    """Forget compiled programs once there are very many."""
    yield
    global _done
    _done += 1
    maps = pathlib.Path("/proc/self/maps")
    if _done % _TESTS_BETWEEN_LOOKS or not maps.exists():
        return
    if maps.read_bytes().count(b"\n") > _MANY_MAPPINGS:
        jax.clear_caches()


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="run the tests marked full")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--full"):
        return
    full = [item for item in items if item.get_closest_marker("full")]
    config.hook.pytest_deselected(items=full)
    items[:] = [item for item in items if not item.get_closest_marker("full")]
