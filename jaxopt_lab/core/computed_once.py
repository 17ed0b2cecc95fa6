"""Results that XLA:CPU keeps, instead of computing them again for each reader."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import jax

from jaxopt_lab.core.platforms import for_one_cpu

T = TypeVar("T")


def computed_once(f: Callable[..., T], *arguments: Any) -> T:
    """``f(*arguments)``, in a program for one CPU as a call that is not inlined.

    XLA:CPU fuses elementwise operations into each operation that reads them, past
    ``optimization_barrier``, and loops over a fusion in the shape of its last one: over
    the halves of blocks in the shape of a row, such a loop is not vectorised. The
    result of a call is neither computed again nor reshaped inside of it.

    Args:
      f: a function of arrays.
      *arguments: trees of arrays.

    Returns:
      What it returns.

    >>> import jax.numpy as jnp
    >>> float(jax.jit(lambda x: computed_once(jnp.square, x) + 1)(2.0))
    5.0
    """
    # Over several devices the partitioner would place what is inside of it by itself.
    if not for_one_cpu(*arguments):
        return f(*arguments)
    # Not loaded by `import jax`.
    from jax.experimental.xla_metadata import set_xla_metadata

    def inside(*arguments: Any) -> T:
        with set_xla_metadata(inlineable=None):
            return f(*arguments)

    with set_xla_metadata(inlineable="false"):
        return jax.jit(inside)(*arguments)
