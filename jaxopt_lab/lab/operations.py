"""Operations of a step, counted in its program, and their part of the device's."""

from __future__ import annotations

import math
from typing import Any

from jaxopt_lab.core.jaxprs import subprograms
from jaxopt_lab.lab.plan.chips import CHIPS, Chip

_KINDS = (
    ("H100", "H100"),
    ("H200", "H200"),
    ("v5 lite", "v5e"),
    ("v5e", "v5e"),
    ("v5p", "v5p"),
    ("TPU v5", "v5p"),
)
"""Parts of the names that jax gives to devices, the first that is found counts."""


def chip_of(device_kind: str) -> Chip | None:
    """The data sheet of a device.

    Args:
      device_kind: as ``jax.Device.device_kind`` says it.

    Returns:
      It; ``None`` for a device that is not known.

    >>> chip_of("NVIDIA H100 80GB HBM3").name, chip_of("cpu")
    ('H100', None)
    """
    found = (name for part, name in _KINDS if part in device_kind)
    name = next(found, None)
    return None if name is None else CHIPS[name]


def products(jaxpr: Any) -> float:
    """Floating-point operations of all products and convolutions of a program.

    Two for each multiply-add; the body of a loop counts as often as it runs, the
    dearest branch of a condition once. Elementwise work is left out. A ``while`` loop,
    whose turns are not known, counts once; parts of a ``shard_map`` count for every
    device.

    Args:
      jaxpr: the program, as ``jax.make_jaxpr`` gives it.

    Returns:
      The count.

    >>> import jax, jax.numpy as jnp
    >>> x = jnp.ones((2, 3))
    >>> products(jax.make_jaxpr(lambda x: x @ x.T)(x).jaxpr)
    24.0
    """
    total = 0.0
    for eqn in jaxpr.eqns:
        name = eqn.primitive.name
        if name == "dot_general":
            (contracted, _), _ = eqn.params["dimension_numbers"]
            shape = eqn.invars[0].aval.shape
            size = math.prod(eqn.outvars[0].aval.shape)
            total += 2.0 * size * math.prod(shape[axis] for axis in contracted)
        elif name == "conv_general_dilated":
            total += _convolution(eqn)
        else:
            inner = [products(sub) for sub in subprograms(eqn)]
            if name == "cond":
                total += max(inner, default=0.0)
            else:
                total += _times(eqn) * sum(inner)
    return total


def _times(eqn: Any) -> int:
    if eqn.primitive.name == "scan":
        return eqn.params["length"]
    if eqn.primitive.name == "shard_map":
        mesh = eqn.params["mesh"]
        manual = eqn.params.get("manual_axes", mesh.axis_names)
        return math.prod(mesh.shape[axis] for axis in manual)
    return 1


def _convolution(eqn: Any) -> float:
    kernel, numbers = eqn.invars[1].aval.shape, eqn.params["dimension_numbers"]
    spec = numbers.rhs_spec
    taps = math.prod(kernel[axis] for axis in spec[1:])  # its own inputs, and window
    holes = math.prod(eqn.params["lhs_dilation"])
    return 2.0 * math.prod(eqn.outvars[0].aval.shape) * taps / holes
