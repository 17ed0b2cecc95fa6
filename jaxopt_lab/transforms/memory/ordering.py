"""Orders that let XLA update an array in place.

It does so where it can prove that all that reads the old array has run, and copies the
array elsewhere; an operand that is of no consequence is the proof.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.platforms import traced_for, traced_mesh
from jaxopt_lab.core.typing import PyTree, Updates


def in_order(value: PyTree, before: Updates) -> PyTree:
    """The same scalars, known to XLA only once other arrays are.

    Not across devices: the one number that is looked at would be sent. There
    ``made_after`` serves.

    Args:
      value: real scalars, such as slots, a tree like ``before``.
      before: arrays.

    Returns:
      A tree like ``value``.
    """
    if _of_several_devices(before):
        return value

    def one(i: jax.Array, x: jax.Array) -> jax.Array:
        if not x.size:
            return i
        first = x.reshape(-1)[0]
        # Is it a number or not, the smaller of the two is `i`.
        return jnp.minimum(i, i + (first != first).astype(i.dtype))

    return jax.tree.map(one, value, before)


def made_after(value: Updates, before: Updates) -> Updates:
    """The same arrays of several devices, known to XLA only once others are.

    The compiler of the kernels drops the operand that is of no consequence, after XLA
    has taken it for its proof. Not on a TPU, whose order XLA knows without it.

    Args:
      value: arrays.
      before: arrays of the same shapes.

    Returns:
      A tree like ``value``.
    """
    if not _of_several_devices(before) or traced_for(before) == "tpu":
        return value
    real = lambda x: jnp.issubdtype(x.dtype, jnp.floating)
    return jax.tree.map(lambda x, y: _made_after(x, y) if real(x) else x, value, before)


@jax.custom_jvp
def _made_after(x: jax.Array, before: jax.Array) -> jax.Array:
    bits = jax.lax.bitcast_convert_type(x, integer_like(x))
    # Whatever the second is, these are the bits of the first.
    same = bits | (bits & (before != before).astype(bits.dtype))
    return jax.lax.bitcast_convert_type(same, x.dtype)


@_made_after.defjvp
def _made_after_jvp(primals: tuple, tangents: tuple) -> tuple:
    return primals[0], tangents[0]


def integer_like(x: jax.Array) -> jnp.dtype:
    """The type of the bits of floats.

    Args:
      x: real array.

    Returns:
      The unsigned integers of its width.

    >>> str(integer_like(jnp.zeros(2, jnp.bfloat16)))
    'uint16'
    """
    return jnp.dtype(f"uint{jnp.finfo(x.dtype).bits}")


def _of_several_devices(arrays: Any) -> bool:
    mesh = traced_mesh(arrays)
    return mesh is not None and mesh.size > 1
