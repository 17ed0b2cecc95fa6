"""Encodings of hypernetworks' inputs that have one magnitude."""

from __future__ import annotations

import math
from typing import Literal

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import check_arguments

Encoding = Literal["cos_sin", "complement"]


def magnitude_invariant_encoding(
    z: jax.Array, *, kind: Encoding = "cos_sin"
) -> jax.Array:
    r"""Inputs in [0, 1] as vectors of one norm.

    .. math:: [\cos(\pi z / 2), \sin(\pi z / 2)], \quad |\cdot|_2 = \sqrt d;
        \qquad [z, 1 - z], \quad |\cdot|_1 = d

    Args:
      z: ``(..., d)``, in [0, 1], which is not checked: outside, the first norm stays
        and two inputs 4 apart have one encoding; the second norm grows.
      kind: the first or the second form.

    Returns:
      ``(..., 2 d)``, smooth in ``z``.

    Raises:
      InputError: ``kind`` is unknown, or ``z`` is not real and floating.

    Source: Gonzalez Ortiz et al., "Magnitude Invariant Parametrizations Improve
    Hypernetwork Learning", 2023 (https://arxiv.org/abs/2304.07645).

    >>> magnitude_invariant_encoding(jnp.array([0.25]), kind="complement").tolist()
    [0.25, 0.75]
    """
    check_arguments(magnitude_invariant_encoding, {"kind": kind})
    if not jnp.issubdtype(z.dtype, jnp.floating) or not z.ndim:
        raise InputError(f"z must be real floating of (..., d); got {z.dtype}{z.shape}")
    if kind == "complement":
        return jnp.concatenate([z, jnp.asarray(1, z.dtype) - z], axis=-1)
    angle = z * jnp.asarray(math.pi / 2, z.dtype)
    return jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], axis=-1)
