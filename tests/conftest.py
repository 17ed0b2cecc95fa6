"""Settings of the whole suite; they must come before jax starts."""

import gc
import os
import pathlib

os.environ.setdefault("JAX_PLATFORMS", "cpu")
_FLAG = "--xla_force_host_platform_device_count=8"
if _FLAG not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_FLAG}".strip()
os.environ.setdefault("MPLBACKEND", "Agg")

# Traces make many small objects that live long: by default the collector looks at
# them so often that it takes a seventh of the processor time.
gc.set_threshold(50_000, 20, 50)

from support import compiler, interrupts

compiler.choose()
interrupts.heed()

import jax

compiler.share_contexts()

_CACHE = os.environ.get("JAX_COMPILATION_CACHE_DIR") or str(
    pathlib.Path.home() / ".cache" / "jaxopt_lab" / "xla-tests"
)

jax.config.update("jax_enable_x64", True)
# Not dtype promotion "strict": optax's own Adam does not trace under it. Our rows
# of the catalog do, and the conformance battery holds them to it.
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_compilation_cache_dir", _CACHE)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

pytest_plugins = (
    "support.tiers",
    "support.groups",
    "support.resident",
    "support.counts",
)
