"""Native low-precision arithmetic of qwix, for modules of flax."""

from __future__ import annotations

import re
from typing import Any, Literal, get_args

from jaxopt_lab.core.errors import InputError, unknown
from jaxopt_lab.core.extras import need

QwixType = Literal[
    "int2", "int4", "int8", "float8_e4m3fn", "float8_e5m2", "nf4", "mxfp8", "mxfp4"
]


def qwix_model(
    model: Any,
    *inputs: Any,
    weights: QwixType | None = "int8",
    activations: QwixType | None = "int8",
    gradients: QwixType | None = None,
    match: str = ".*",
) -> Any:
    """Make a module whose products run in qwix's integers or 8-bit floats.

    Parameters stay floats, so that every optax chain and every checkpoint works as
    before. Where ``quant_dot_general`` computes with rounded floats, qwix multiplies
    the codes themselves, which accelerators do faster. Its symmetric grid is
    ``QwixGrid``, not that of the study, and its backward pass takes rounded operands.
    Two operands of int4 do not run on CPUs with jax 0.10.2: XLA refuses the program.

    Args:
      model: an ``nnx.Module``; it stays as it is.
      *inputs: of one call, whose values do not matter.
      weights: type of the kernels; None: unrounded. Likewise the others.
      activations: of the other operands; needs ``weights``.
      gradients: of the gradients in the backward pass.
      match: regular expression of whole paths of modules (``"layers/0"``).

    Returns:
      The quantized module.

    Raises:
      InputError: qwix is not installed, a type is unknown, the model is no
        ``nnx.Module``, or ``match`` finds none of its modules.

    >>> qwix_model(None, weights=None)
    Traceback (most recent call last):
      ...
    jaxopt_lab.core.errors.InputError: activations=int8 needs weights; got weights=None

    Source: google/qwix 0.1.8.
    """
    types = {"weights": weights, "activations": activations, "gradients": gradients}
    for name, kind in types.items():
        if kind is not None and kind not in get_args(QwixType):
            raise unknown(name, kind, get_args(QwixType))
    if activations is not None and weights is None:
        raise InputError(f"activations={activations} needs weights; got weights=None")
    qwix = need("qwix", "qwix_model", "qwix")
    from flax import nnx

    if not isinstance(model, nnx.Module):
        raise InputError(
            f"model must be an nnx.Module; got {type(model).__name__}, for Linen's "
            "call qwix.quantize_model"
        )
    paths = ["/".join(map(str, path)) for path, _ in nnx.iter_modules(model)]
    if not any(re.fullmatch(match, path) for path in paths):
        raise InputError(
            f"match={match!r} is the path of no module; there are "
            f"{', '.join(filter(None, paths))}"
        )
    rule = qwix.QtRule(
        module_path=match,
        weight_qtype=weights,
        act_qtype=activations,
        bwd_qtype=gradients,
    )
    return qwix.quantize_model(model, qwix.QtProvider([rule]), *inputs)
